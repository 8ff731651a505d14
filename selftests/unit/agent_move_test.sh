#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# tier: full
#
# Moves of a VM, and what goes wrong with them before they are committed.
#
# shellcheck disable=SC2317	# the tests are called by name
set -u

# shellcheck source=selftests/unit/agent_lib.sh
. "$(dirname "$0")/agent_lib.sh"
need_qemu
QUICK=move,no_wait,hook_fails,abort,state_old,state_garbage

t_move() { # a plain move
	two || return 1
	move vm0 a "$PORT_B" || return 1
	says "$W/move.err" "runs at 127.0.0.1 as vm0 after" && moved
}

t_move_ipv6() { # the same over IPv6
	if no_ipv6; then
		echo "# no IPv6 here"
		return 0
	fi
	agent a "$PORT_A" && agent b "$PORT_B" --listen "[::1]:$PORT_B" && vm_start a || return 1
	move vm0 a - --to "[::1]:$PORT_B" || return 1
	says "$W/move.err" "runs at ::1 as vm0 after" && moved
}

t_move_json() { # --json has the promised keys
	two || return 1
	move vm0 a "$PORT_B" --json || return 1
	python3 - "$W/move.out" <<-'END' && moved
	import json, sys
	r = json.load(open(sys.argv[1]))
	want = "vm to regions ram_bytes switch_ms fill_ms state_bytes state_wire_bytes pages_total pages_zero " \
	       "pages_demand pages_push wire_bytes status"
	missing = [k for k in want.split() if k not in r]
	ok = not missing and r["status"] == "complete" and r["ram_bytes"] == 16 << 20 and \
	     r["pages_total"] == 4096 and r["state_bytes"] > 10000 and r["regions"] == ["vm0"] and \
	     0 < r["state_wire_bytes"] < r["state_bytes"] / 2
	print("#", r) if not ok else None
	sys.exit(not ok)
	END
}

t_sample() { # what the VM used last is pushed first
	two || return 1
	: >"$W/used"
	move vm0 a "$PORT_B" --json --sample 100
	rm "$W/used"
	check "the last sample, then the rest of the one before" grep -qx "40+10 7+3" "$W/order" &&
	check "told" grep -q "17 faults: 13 pages are pushed first" "$W/a.log" || return 1
	rm "$W/order"
	python3 - "$W/move.out" <<-'END' && moved
	import json, sys
	s = json.load(open(sys.argv[1]))["sample"]
	ok = s["pages"] == 13 and s["faults"] == 17 and s["ms"] >= 100
	print("#", s) if not ok else None
	sys.exit(not ok)
	END
}

t_sample_none() { # 0: nobody looks
	two || return 1
	: >"$W/used"
	move vm0 a "$PORT_B" --sample 0
	rm "$W/used"
	check "no order" test ! -e "$W/order" && moved
}

t_sample_fails() { # a sample that fails fails nothing
	two || return 1
	: >"$W/nosample"
	move vm0 a "$PORT_B"
	rm "$W/nosample"
	check "told" grep -q "nothing is pushed first" "$W/a.log" && moved
}

t_sample_hybrid() { # pushed while it runs: a sample goes with each round
	two || return 1
	: >"$W/used"
	move vm0 a "$PORT_B" --mode hybrid
	rm "$W/used"
	check "an order" grep -qx "7+3" "$W/order" || return 1
	rm "$W/order"
	moved
}

sampled() { # every: so it is
	python3 - "$W/state.json" "$1" <<-'END'
	import json, sys
	r = json.load(open(sys.argv[1]))["a"]["regions"]["vm0"]
	sys.exit(r.get("every") != int(sys.argv[2]))
	END
}

t_sample_undone() { # rolled back: no sample is left
	two || return 1
	move vm0 a "$PORT_B" --sample 30000 & m=$!
	check "sampled" wait_for sampled 1 || return 1
	tp a move --abort vm0 --socket "$W/a.sock" >/dev/null 2>&1 || return 1
	wait "$m"
	check "ended" wait_for sampled 0 && unmoved
}

altered() { # how [function]: a move between agents that do not hear each other as they are
	PLAIN=--insecure-plain
	two || return 1
	python3 "$HELPER" alter "$PORT_X" "$PORT_B" "$1" &
	pids="$pids $!"
	wait_for python3 -c "import socket; socket.create_connection(('127.0.0.1', $PORT_X))" 2>/dev/null || return 1
	"${2:-move}" vm0 a "$PORT_X" --json
}

went_live() { # yes|no: the move that told of itself
	python3 - "$W/move.out" "$1" <<-'END'
	import json, sys
	r = json.load(open(sys.argv[1]))
	ok = r["status"] == "complete" and ("live" in r) == (sys.argv[2] == "yes")
	print("#", r) if not ok else None
	sys.exit(not ok)
	END
}

t_usual() { # nobody says how: memory is pushed while it runs
	two || return 1
	move_as_usual vm0 a "$PORT_B" --json
	went_live yes && moved
}

t_regions() { # memory of three regions: each is in its place there
	agent a "$PORT_A" && agent b "$PORT_B" || return 1
	mkdir -p "$W/vm-a/vm0"
	for i in 1 2; do
		tp a create "vm0.dimm$i" 16M >/dev/null || return 1
		echo "dimm $i" | dd of="$RAM/a/vm0.dimm$i" conv=notrunc 2>/dev/null
	done
	args=$(printf '%s\n' -m slots=2,maxmem=256M -device pc-dimm,memdev=ram1 -device pc-dimm,memdev=ram2)
	TELEPAGE_REGIONS=3 TELEPAGE_REGION_0=vm0 TELEPAGE_REGION_1=vm0.dimm1 \
		TELEPAGE_REGION_2=vm0.dimm2 vm_start a "$args" || return 1
	move vm0 a "$PORT_B" --json || { sed 's/^/# /' "$W/move.out"; return 1; }
	check "VM runs there" wait_for runs b &&
	check "the second one" grep -aqx "dimm 1" "$RAM/b/vm0.dimm1" &&
	check "the third one" grep -aqx "dimm 2" "$RAM/b/vm0.dimm2" &&
	check "mapped in this order" maps_in_order b vm0 vm0.dimm1 vm0.dimm2
}

maps_in_order() { # host region...: QEMU's back ends ram0, ram1, ... are these
	h=$1 i=0
	shift
	for r; do
		tr '\0' '\n' <"/proc/$(cat "$W/vm-$h/vm0/pid")/cmdline" |
			grep -q "id=ram$i,.*mem-path=$RAM/$h/$r," || return 1
		i=$((i + 1))
	done
}

t_usual_shown() { # how far a round is
	two || return 1
	touch "$W/wanted"
	move_as_usual vm0 a "$PORT_B" & m=$!
	check "pages of the round" wait_for grep -q "^vm0 .*0/1 pages" "$W/move.err"
	err=$?
	rm "$W/wanted"
	wait "$m" || return 1
	[ "$err" = 0 ] && says "$W/move.err" "switching over" && says "$W/move.err" "complete at" && moved
}

t_usual_again() { # how much a round pushes again, whatever is written to meanwhile
	two || return 1
	touch "$W/rewritten"
	move_as_usual vm0 a "$PORT_B"
	rm "$W/rewritten"
	says "$W/move.err" "round 2: 100 pages" && moved
}

t_usual_old() { # to an agent that cannot do that: memory follows the VM
	altered old move_as_usual || { sed 's/^/# /' "$W/move.err"; return 1; }
	went_live no && moved
}

t_usual_fills() { # of memory that is still coming here: likewise
	two || return 1
	python3 - "$W/state.json" <<-'END'
	import json, sys
	s = json.load(open(sys.argv[1]))
	s["a"]["regions"]["vm0"]["absent"] = 5
	json.dump(s, open(sys.argv[1], "w"))
	END
	move_as_usual vm0 a "$PORT_B" --json
	went_live no && moved
}

t_state_old() { # agents that do not pack device state: each end is the other's older one
	altered old || { sed 's/^/# /' "$W/move.err"; return 1; }
	python3 - "$W/move.out" <<-'END' && moved
	import json, sys
	r = json.load(open(sys.argv[1]))
	ok = r["status"] == "complete" and r["state_wire_bytes"] == r["state_bytes"] > 10000
	print("#", r) if not ok else None
	sys.exit(not ok)
	END
}

t_state_garbage() { # device state that comes as garbage: the VM stays where it is
	altered garble; object undone vm0 "the device state cannot be unpacked: " $? 1 && unmoved
}

t_state_short() { # of which only a piece comes, with a proper end
	altered short; object undone vm0 "the device state cannot be unpacked: it ends too early" $? 1 && unmoved
}

object() { # status vm words, exit status: what move --json has printed
	[ "$4" = "$5" ] || { echo "# exit status $4 instead of $5"; return 1; }
	python3 - "$W/move.out" "$1" "$2" "$3" <<-'END'
	import json, sys
	out, status, vm, words = sys.argv[1:]
	text = open(out).read()
	r = json.loads(text)
	ok = set(r) == {"vm", "status", "error"} and r["status"] == status and \
	     r["vm"] == (vm or None) and words in r["error"] and text.count("\n") == 1
	print("#", r) if not ok else None
	sys.exit(not ok)
	END
}

busy() { # times: the hook was
	[ "$(grep -c busy "$W/b.log")" = "$1" ]
}

t_json_failures() { # --json is one object whatever goes wrong
	move vm0 a "$PORT_B" --json; object failed vm0 "is the agent running" $? 1 || return 1
	move vm0 a "$PORT_B" --json --to nowhere.invalid; object failed vm0 "nowhere.invalid: " $? 1 || return 1
	move vm0 a "$PORT_B" --json --to h:99999; object failed vm0 "bad port" $? 2 || return 1
	move vm0 a "$PORT_B" --json --bulk-lanes 99; object failed "" "--bulk-lanes takes" $? 2 || return 1
	move ../x a "$PORT_B" --json; object failed "" "a VM's name is" $? 2 || return 1
	move vm0 a "$PORT_B" --json more; object failed "" "takes one VM" $? 2 || return 1
	move vm0 a "$PORT_B" --frobnicate --json; object failed "" "wrong command line" $? 2 || return 1
	two || return 1
	move vm1 a "$PORT_B" --json; object failed vm1 "no such VM" $? 1 || return 1
	move vm0 a "$PORT_X" --json; object undone vm0 "Connection refused" $? 1 || return 1
	hook <<-'END'
	exit 1
	END
	move vm0 a "$PORT_B" --json; object undone vm0 "hook start: exit status 1" $? 1 || return 1
	python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('$W/dead.sock')"
	move vm0 a "$PORT_B" --json --qmp "$W/dead.sock"; object undone vm0 "Connection refused" $? 1 || return 1
	for what in --watch --abort; do
		tp a move "$what" vm0 --json --socket "$W/a.sock" >"$W/move.out"
		object failed vm0 "no move of this VM" $? 1 || return 1
	done
	hook <<-'END'
	[ "$1" = stop ] || { echo busy; sleep 30; }
	exec $HOOK "$@"
	END
	move vm0 a "$PORT_B" & m=$!
	check "hook runs" wait_for busy 1 || return 1
	tp a move --abort vm0 --json --socket "$W/a.sock" >"$W/move.out"
	object undone vm0 "aborted by the user" $? 0 || return 1
	wait "$m"
	move vm0 a "$PORT_B" --json & m=$!
	check "hook runs again" wait_for busy 2 || return 1
	agent_kill a
	wait "$m"; object unknown vm0 "the agent went away" $? 1
}

t_move_as() { # another name there
	two || return 1
	move vm0 a "$PORT_B" --as web || return 1
	check "region has the name" wait_for is_left b "web 0 0 0" &&
	check "it runs" counts b web &&
	check "its directory has it" test -s "$W/vm-b/web/args"
}

t_no_wait() { # returns at the switch-over
	two || return 1
	touch "$W/hold"
	move vm0 a "$PORT_B" --no-wait || return 1
	check "still filling" test "$(left b)" = "vm0 0 1 0" || return 1
	check "source copy is kept, frozen" test "$(left a)" = "vm0 1 1 1" || return 1
	rm "$W/hold"
	moved
}

t_abandoned() { # given up at the destination: a failure, and what is here only stays
	two || return 1
	touch "$W/hold"
	move vm0 a "$PORT_B" --json & m=$!
	check "fills" wait_for grep -q "runs here" "$W/b.log" || return 1
	tp b abandon vm0 --yes 2>/dev/null || return 1
	wait "$m"; object failed vm0 "was abandoned at" $? 1 || return 1
	check "its memory stays: $(left a)" wait_for is_left a "vm0 0 0 1" &&
	check "the other side is done with it" wait_for is_left b "vm0 0 0 0"
}

t_still_wanted() { # nothing is let go of while there is something left to push
	two || return 1
	touch "$W/wanted"
	move vm0 a "$PORT_B" & m=$!
	check "complete there" wait_for grep -q "vm0: complete" "$W/b.log" || return 1
	sleep 1
	check "kept here: $(left a)" test "$(left a)" = "vm0 1 1 1" || return 1
	rm "$W/wanted"
	wait "$m" && moved
}

t_paused() { # a paused VM arrives paused
	two || return 1
	qmp a stop >/dev/null
	move vm0 a "$PORT_B" || return 1
	check "paused there" sh -c "python3 '$HELPER' qmp '$W/vm-b/vm0/qmp.sock' query-status | grep -q '\"paused\"'" &&
	check "does not count" test "$(counter b)" = "$(sleep 0.5; counter b)" &&
	qmp b cont >/dev/null && check "and can go on" counts b
}

t_chain() { # back home while the first move still fills
	two || return 1
	touch "$W/hold"
	move vm0 a "$PORT_B" --no-wait || return 1
	check "runs at b" runs b || return 1
	move vm0 b "$PORT_A" --no-wait || return 1
	check "runs at a beside the frozen copy" runs a vm0.2 || return 1
	check "a has both: $(left a)" test "$(left a)" = "vm0,vm0.2 1 2 1" || return 1
	rm "$W/hold"
	check "all let go at a: $(left a)" wait_for is_left a "vm0.2 0 0 0" || return 1
	check "all let go at b: $(left b)" wait_for is_left b "- 0 0 0" || return 1
	check "still runs at a" runs a vm0.2 || return 1
	# and out again, under its plain name
	move vm0 a "$PORT_B" && moved
}

t_no_vm() { # the VM is not there: where that was looked for, and what to do
	agent a "$PORT_A" || return 1
	! move vm0 a "$PORT_B" && says "$W/move.err" "no such VM: $W/vm-a/vm0: No such file" &&
	says "$W/move.err" "--vm-dir" || return 1
	mkdir -p "$W/vm-a/vm0" "$W/vm-other"
	! move vm0 a "$PORT_B" && says "$W/move.err" "no QMP socket: $W/vm-a/vm0/qmp.sock: No such file" || return 1
	! move vm0 a "$PORT_B" --vm-dir "$W/vm-other" && says "$W/move.err" "no such VM: $W/vm-other/vm0" || return 1
	(cd "$W" && ! move vm0 a "$PORT_B" --qmp here.sock) &&
	says "$W/move.err" "no QMP socket: $W/here.sock" || return 1
	python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('$W/vm-a/vm0/qmp.sock')"
	! move vm0 a "$PORT_B" && says "$W/move.err" "cannot talk to its QEMU: $W/vm-a/vm0/qmp.sock: Connection refused"
}

t_vm_dir() { # a VM that is elsewhere than the agent has them
	two && mv "$W/vm-a/vm0" "$W/elsewhere" && mkdir "$W/vm-a/x" && mv "$W/elsewhere" "$W/vm-a/x/vm0" || return 1
	move vm0 a "$PORT_B" --vm-dir "$W/vm-a/x" && check "VM runs at the destination" wait_for runs b
}

t_no_peer() { # nobody listens there
	agent a "$PORT_A" && vm_start a || return 1
	! move vm0 a "$PORT_B" && says "$W/move.err" "Connection refused" &&
	check "VM runs" runs a && check "clean" is_left a "vm0 0 0 0"
}

t_not_a_region() { # RAM outside of the filesystem
	agent a "$PORT_A" && agent b "$PORT_B" || return 1
	mkdir -p "$W/vm-a/vm0"
	qemu-system-x86_64 -machine pc,accel=tcg -m 16M -nodefaults -display none -daemonize \
		-qmp "unix:$W/vm-a/vm0/qmp.sock,server=on,wait=off" -pidfile "$W/vm-a/vm0/pid" || return 1
	! move vm0 a "$PORT_B" && says "$W/move.err" "the VM's RAM is no region"
}

t_name_taken() { # a VM of this name runs there
	two || return 1
	mkdir -p "$W/vm-b/vm0"
	qemu-system-x86_64 -machine none -nodefaults -display none -daemonize \
		-qmp "unix:$W/vm-b/vm0/qmp.sock,server=on,wait=off" -pidfile "$W/vm-b/vm0/pid" || return 1
	! move vm0 a "$PORT_B" && says "$W/move.err" "runs here already" &&
	check "VM runs" runs a && check "clean" is_left a "vm0 0 0 0"
}

t_hook_fails() { # its last line is what the user sees
	two || return 1
	hook <<-'END'
	[ "$1" = stop ] && exec $HOOK "$@"
	echo "first line" >&2
	echo "no disk for $2 with region $TELEPAGE_REGION_0 of $TELEPAGE_REGION_SIZE_0" >&2
	exit 3
	END
	! move vm0 a "$PORT_B" &&
	says "$W/move.err" "no disk for vm0 with region vm0 of 16777216" && unmoved
}

t_hook_starts_nothing() { # exit 0, but no VMM
	two || return 1
	hook <<-'END'
	echo 'nothing to do'
	END
	# it takes 20 s until the agent gives up on the QMP socket
	! move vm0 a "$PORT_B" && says "$W/move.err" "The VMM at the destination\|the VMM at the destination" &&
	unmoved
}

t_wrong_machine() { # the device state does not fit
	two || return 1
	hook <<-'END'
	sed -i 's/^pc,/pc,acpi=off,usb=on,/; s/^-nodefaults/-nodefaults\n-device\ne1000/' "$TELEPAGE_ARGS_FILE"
	exec $HOOK "$@"
	END
	! move vm0 a "$PORT_B" && says "$W/move.err" "device state\|closed the connection" && unmoved
}

t_vmm_dies() { # QEMU at the destination crashes before it was loaded
	two || return 1
	hook <<-'END'
	$HOOK "$@" || exit 1
	[ "$1" = stop ] || kill -9 "$(cat $TELEPAGE_VM_DIR/pid)"
	END
	! move vm0 a "$PORT_B" && says "$W/move.err" "127.0.0.1:" && rm -f "$W/vm-b/vm0/pid" && unmoved
}

t_abort() { # while the hook works
	two || return 1
	hook <<-'END'
	[ "$1" = stop ] || sleep 30
	exec $HOOK "$@"
	END
	move vm0 a "$PORT_B" & m=$!
	check "hook runs" wait_for grep -q "hook start" "$W/b.log" || return 1
	tp a move --abort vm0 --socket "$W/a.sock" 2>"$W/abort.err" || return 1
	! wait "$m" && says "$W/move.err" "aborted by the user" && unmoved
}

t_abort_paused_at_start() { # a VM that was paused stays paused
	two || return 1
	qmp a stop >/dev/null
	hook <<-'END'
	echo "no" >&2
	exit 1
	END
	! move vm0 a "$PORT_B" &&
	check "still paused" sh -c "python3 '$HELPER' qmp '$W/vm-a/vm0/qmp.sock' query-status | grep -q '\"paused\"'"
}

t_abort_too_late() { # after the switch-over
	two || return 1
	touch "$W/hold"
	move vm0 a "$PORT_B" --no-wait || return 1
	! tp a move --abort vm0 --socket "$W/a.sock" 2>"$W/abort.err" &&
	says "$W/abort.err" "committed" && rm "$W/hold" && moved
}

t_stop_is_slow() { # a move that is still being undone and the next one do not meet
	two || return 1
	hook <<-'END'
	if [ "$1" = stop ]; then
		while [ -d "$TELEPAGE_VM_DIR/.." ] && [ ! -e "$TELEPAGE_VM_DIR/../fine" ]; do sleep 0.1; done
		exec $HOOK "$@"
	fi
	[ -e "$TELEPAGE_VM_DIR/../fine" ] || { echo "not now" >&2; exit 1; }
	exec $HOOK "$@"
	END
	move vm0 a "$PORT_B" &
	check "it fails" wait_for grep -q "hook start: not now" "$W/b.log" || return 1
	agent_kill a
	agent a "$PORT_A" || return 1
	check "a is done with it" wait_for grep -q "undone: the agent was restarted" "$W/a.log" || return 1
	! move vm0 a "$PORT_B" && says "$W/move.err" "still being undone" &&
	check "VM runs" runs a || return 1
	touch "$W/vm-b/fine"
	check "undone at last" wait_for is_left b "- 0 0 0" || return 1
	move vm0 a "$PORT_B" && moved
}

t_hook_words() { # the shipped hook says which region it was not given
	mkdir -p "$W/vm-a/vm0" && touch "$W/ram" && echo "pc,memory-backend=ram0" >"$W/vm-a/vm0/args"
	! TELEPAGE_REGIONS=2 TELEPAGE_REGION_PATH_0=$W/ram TELEPAGE_VM_DIR=$W/vm-a/vm0 \
		"$SHIPPED_HOOK" run vm0 2>"$W/err" && says "$W/err" "TELEPAGE_REGION_1 is not set"
}

t_stop_is_for_its_move() { # the hook stops no QEMU but its own
	agent a "$PORT_A" && vm_start a || return 1
	TELEPAGE_MOVE=0123 TELEPAGE_VM_DIR=$W/vm-a/vm0 "$SHIPPED_HOOK" stop vm0 || return 1
	check "VM runs" runs a || return 1
	TELEPAGE_VM_DIR=$W/vm-a/vm0 "$SHIPPED_HOOK" stop vm0
	check "the operator's stop does" test ! -e "$W/vm-a/vm0/pid"
}

t_watch() { # a second viewer, and the list
	two || return 1
	touch "$W/hold"
	move vm0 a "$PORT_B" --no-wait || return 1
	tp a move --watch vm0 --socket "$W/a.sock" 2>"$W/watch.err" & w=$!
	check "sees it" wait_for test -s "$W/watch.err" || return 1
	rm "$W/hold"
	wait "$w" && says "$W/watch.err" "complete at" && moved
}

run_tests
