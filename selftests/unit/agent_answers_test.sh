#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# tier: full
#
# A move's source when QEMU and the peer answer late, not at all, or not what was hoped
# for: neither is real here (agent_stub.py).
#
# shellcheck disable=SC2317	# the tests are called by name
set -u

# shellcheck source=selftests/unit/agent_lib.sh
. "$(dirname "$0")/agent_lib.sh"
QUICK=warm,warm_late,late_prepare,late_start,late_stop,commit_refused_killed,qemu_dies,found_new,quit_again,forget

world() {
	stubs_come
	agent a "$PORT_A" && stubs_start
}

# on a loaded machine this comes late, too: no test hangs on when exactly
got() { # qmp|peer command [times]: at least
	[ -e "$W/$1/log" ] && [ "$(grep -cx "$2" "$W/$1/log")" -ge "${3:-1}" ]
}

sees() { # the same, some time
	check "$1 got $2" wait_for got "$@"
}

never() { # qmp|peer command
	check "$1 never got $2" test -z "$(grep -x "$2" "$W/$1/log")"
}

vm_is() {
	[ "$(cat "$Q/vm" 2>/dev/null)" = "$1" ]
}

begins() { # the move, in the background: $m
	move vm0 a "$PORT_B" "$@" & m=$!
}

gives_up() { # --abort, in the background: $b
	tp a move --abort vm0 --socket "$W/a.sock" 2>"$W/abort.err" & b=$!
	check "undo begins" wait_for grep -q "failed: aborted by the user" "$W/a.log"
}

alive() {
	check "the agent lives" kill -0 "$pid_a"
}

record() { # key: what the one record says
	python3 -c 'import json, sys; print(json.load(open(sys.argv[1])).get(sys.argv[2]))' \
		"$(echo "$W"/st-a/src-*.json)" "$1"
}

as_before() { # all of it is here, nothing of the move
	check "VM runs" wait_for vm_is running &&
	check "clean: $(left a)" wait_for is_left a "vm0 0 0 0" && alive
}

came() { # plain|packed: what the peer got of QEMU's state
	python3 - "$P/got" "$1" <<-'END'
	import sys
	got = open(sys.argv[1], "rb").read()
	ok = got == b"state" * 1000 if sys.argv[2] == "plain" else \
	     got[:4] == b"\x28\xb5\x2f\xfd" and len(got) < 500
	print("#", len(got), got[:20]) if not ok else None
	sys.exit(not ok)
	END
}

t_state_plain() { # a peer that says nothing of packed device state gets it as it is
	world && touch "$P/complete" || return 1
	begins
	wait "$m" && check "not packed" came plain && alive
}

t_state_packed() { # one that does gets it packed
	world && touch "$P/complete" || return 1
	echo '{"token":"cccccccccccccccccccccccccccccccc","regions":["vm0"],"zstd":true}' >"$P/refuse.prepare"
	begins
	wait "$m" && check "packed" came packed && alive
}

a_kernel() { # what the VM's memory and registers are, and the peer wants to be told of it
	python3 - "$RAM/a/vm0" "$Q/hmp" <<-'END'
	import struct, sys
	base, ram = 0xffffffff80000000, bytearray(1 << 20)
	def put(page, at, v):
	    struct.pack_into("<Q", ram, page * 4096 + at, v)
	for table, at, page in (1, 511, 2), (2, 510, 3), (3, 0, 4):
	    put(table, at * 8, page << 12 | 3)
	for page in range(256):
	    put(4, page * 8, page << 12 | 3 | (0 if 16 <= page < 32 else 1 << 63))
	open(sys.argv[1], "r+b").write(ram)
	def regs(name, rip, rsp):
	    words = dict.fromkeys("RAX RBX RCX RDX RSI RDI RBP R8_ R9_ R10 R11 R12 R13 R14 R15".split(), 0)
	    words.update(RIP=base + rip * 4096, RSP=base + rsp * 4096 + 8, CR3=4096, EFER=0xd01)
	    text = "CPU#0\r\n" + "".join(f"{k.replace('_', ' ')}={v:016x}\r\n" for k, v in words.items())
	    text += f"CPL=0\r\nCR0=80050033\r\nCR4=000000b0\r\nGS =0000 {base + 64 * 4096:016x}\r\n"
	    text += f"TR =0040 {base + 43 * 4096:016x}\r\nGDT=     {base + 42 * 4096:016x} 0000007f\r\n"
	    open(f"{sys.argv[2]}.registers{name}", "w").write(
	        text + f"IDT=     {base + 41 * 4096:016x} 00000fff\r\n")
	regs("", 16, 48)
	regs(".stopped", 17, 200)
	open(sys.argv[2] + ".mtree", "w").write(
	    'FlatView #0\r\n AS "memory", root: system\r\n Root memory region: system\r\n'
	    "  0000000000000000-00000000000fffff (prio 0, ram): ram0\r\n")
	END
	echo '{"token":"cccccccccccccccccccccccccccccccc","regions":["vm0"],"warm":true}' >"$P/refuse.prepare"
	touch "$P/complete"
}

t_warm() { # pages that the VM needs first are told twice, and waited for before it moves
	world && a_kernel && touch "$P/hold.warm" || return 1
	echo '{"pages":80,"here":77,"ms":12}' >"$P/refuse.warm.wait"
	begins --json --warm 234
	sees peer warm && check "it runs meanwhile" vm_is running && rm "$P/hold.warm" || return 1
	wait "$m" || return 1
	python3 - "$P/warm" "$W/move.out" <<-'END'
	import json, sys
	told = [json.loads(line) for line in open(sys.argv[1])]
	def pages(m):
	    assert len(m["pages"]) == 1
	    runs = m["pages"][0]
	    return [p for i in range(0, len(runs), 2) for p in range(runs[i], runs[i] + runs[i + 1])]
	first, second, r = pages(told[0]), pages(told[1]), json.load(open(sys.argv[2]))
	ok = len(told) == 2 and [m["wait"] for m in told] == [0, 234] and first[:5] == [1, 2, 3, 4, 16] and \
	     {41, 42, 43, 48, 51, 64, 127} <= set(first) and len(set(first)) == len(first) and \
	     {17, 200, 203} <= set(second) and not set(first) & set(second) and \
	     r["warm"]["here_pages"] == 77 and r["warm"]["wait_ms"] == 12 and \
	     r["warm"]["pages"] == len(first) + len(second) and "warm_ms" in r["switch"]
	print("#", told, r) if not ok else None
	sys.exit(not ok)
	END
}

t_warm_late() { # the VM does not move before the answer, and stays when it is given up then
	world && a_kernel && touch "$P/hold.warm.wait" || return 1
	begins
	sees peer warm 2 && check "it stands still" wait_for vm_is postmigrate || return 1
	check "both are done" wait_for test -s "$P/got" && sleep 0.3 && never peer commit || return 1
	gives_up && ! wait "$m" && wait "$b" && as_before
}

t_warm_slow() { # what is waited for does not count as the peer's silence (16 s)
	world && a_kernel && touch "$P/hold.warm.wait" || return 1
	echo '{"pages":80,"here":77,"ms":10000}' >"$P/refuse.warm.wait"
	begins --json --warm 10000
	sees peer warm 2 && sleep 16 && rm "$P/hold.warm.wait" || return 1
	wait "$m" && says "$W/move.out" '"here_pages": *77'
}

t_warm_cut() { # the peer goes away instead of an answer
	world && a_kernel && touch "$P/hold.warm.wait" || return 1
	begins
	sees peer warm 2 && check "it stands still" wait_for vm_is postmigrate || return 1
	peer_dies
	! wait "$m" && as_before
}

warm_without() { # words: the VM moves, and no page is told
	begins --json
	wait "$m" && says "$W/a.log" "$1" && alive &&
	check "the report says nothing of it" test -z "$(grep -o '"warm": {' "$W/move.out")"
}

t_warm_mute() { # QEMU refuses to say anything: the VM moves without
	world && a_kernel && echo "no such command" >"$Q/refuse.human-monitor-command" || return 1
	warm_without "needs first: no such command" && never peer warm
}

t_warm_nonsense() { # QEMU says what is not understood
	world && a_kernel && echo "FlatView #0" >"$Q/hmp.mtree" || return 1
	warm_without "does not say where its RAM is" && never peer warm
}

t_warm_32bit() { # the CPUs are in another mode
	world && a_kernel && sed -i 's/^RIP/EIP/' "$Q/hmp.registers" || return 1
	warm_without "not in 64-bit mode" && never peer warm
}

t_warm_refused() { # the peer wants none of it
	world && a_kernel && echo '{"error":"bad pages"}' >"$P/refuse.warm" || return 1
	warm_without "needs first: bad pages"
}

t_warm_refused_later() { # nor does it when the VM has been stopped: it moves
	world && a_kernel && echo '{"error":"no room"}' >"$P/refuse.warm.wait" || return 1
	begins
	wait "$m" && sees peer commit && says "$W/a.log" "needs first: no room" && alive
}

t_warm_stopped() { # QEMU says where the CPUs stand while they run only
	world && a_kernel && echo nothing >"$Q/hmp.registers.stopped" || return 1
	begins
	wait "$m" && sees peer warm 2 && says "$W/a.log" "where its CPUs stand: QEMU does not say" && alive
}

t_warm_off() { # nothing is looked for when the user says so, or the peer does not know of it
	world && a_kernel || return 1
	begins --json --warm 0
	wait "$m" && never peer warm && never qmp human-monitor-command && alive
}

t_late_prepare() { # the move is given up while prepare is unanswered
	world && touch "$P/hold.prepare" || return 1
	begins
	sees peer prepare && gives_up || return 1
	! wait "$m" && wait "$b" && says "$W/move.err" "vm0 stays here: aborted" || return 1
	sees peer abort && as_before && check "no more" test "$(grep -c ': lanes$' "$W/a.log")" = 0
}

t_late_prepare_qemu_exits() { # QEMU exits while prepare is unanswered
	world && touch "$P/hold.prepare" || return 1
	begins
	sees peer prepare || return 1
	qemu_dies
	! wait "$m" && sees peer abort &&
	check "clean: $(left a)" wait_for is_left a "vm0 0 0 0" && alive
}

t_late_start() { # the move is given up while start is unanswered
	world && touch "$P/hold.start" || return 1
	begins
	sees peer start && gives_up || return 1
	! wait "$m" && wait "$b" && as_before
}

t_abort_slow() { # the peer takes its time to undo its side: who watches is told, the VM runs
	world && touch "$P/hold.start" "$P/hold.abort" || return 1
	begins
	sees peer start && gives_up && sees peer abort || return 1
	check "it is said" wait_for grep -q "has not said yet that it has undone" "$W/move.err" &&
	check "the VM runs" vm_is running || return 1
	rm "$P/hold.start" "$P/hold.abort"
	! wait "$m" && wait "$b" && as_before
}

t_after_old_peer() { # a limit for what the peer cannot do is no limit for something else
	world || return 1
	move_as_usual vm0 a "$PORT_B" --switch-after 5 & m=$!
	! wait "$m" && says "$W/move.err" "use --mode postcopy" && never qmp stop && as_before
}

t_late_stop() { # ... while stop is: the VM goes on, on memory that it can write
	world && touch "$Q/hold.stop" || return 1
	begins
	sees qmp stop && gives_up || return 1
	rm "$Q/hold.stop"
	! wait "$m" && wait "$b" && as_before && never qmp migrate
}

t_late_stop_peer_lost() { # the connection breaks while stop is unanswered
	world && touch "$Q/hold.stop" || return 1
	begins
	sees qmp stop || return 1
	peer_dies
	check "undo begins" wait_for grep -q "failed: lost the agent" "$W/a.log" || return 1
	rm "$Q/hold.stop"
	! wait "$m" && as_before && never qmp migrate
}

t_late_stop_load_refused() { # the destination refuses while stop is unanswered
	world && touch "$Q/hold.stop" || return 1
	echo '{"error":"no"}' >"$P/refuse.load"
	begins
	check "undo begins" wait_for grep -q "failed: 127.0.0.1: no" "$W/a.log" || return 1
	rm "$Q/hold.stop"
	! wait "$m" && as_before && never qmp migrate
}

t_late_migrate() { # the move is given up while migrate is unanswered
	world && touch "$Q/hold.migrate" "$Q/hold.migrated" "$P/hold.load" || return 1
	begins
	sees qmp migrate && gives_up || return 1
	rm "$Q/hold.migrate"
	! wait "$m" && wait "$b" && sees qmp migrate_cancel && as_before
}

t_commit_refused_killed() { # the agent is killed when the destination has refused and forgotten the move
	world && touch "$Q/hold.cont" || return 1
	echo '{"error":"no","aborted":true}' >"$P/refuse.commit"
	begins
	sees qmp cont && sees peer abort || return 1
	check "it may be undone: $(record phase)" test "$(record phase)" = prepare || return 1
	agent_kill a
	rm "$Q/hold.cont"
	wait "$m"
	agent a "$PORT_A" && as_before
}

switching() { # the move, as far as it goes while the destination loads
	world && touch "$P/hold.load" || return 1
	begins "$@"
	sees qmp migrate
}

t_commit_no_journal() { # when that cannot be written down, the destination remembers until we are through
	switching && touch "$Q/hold.cont" || return 1
	for j in "$W"/st-a/src-*.json; do
		mkdir "$j.new"	# for the next is written there
	done
	rm "$P/hold.load"
	sees qmp cont && sleep 1 && never peer abort || return 1
	rm "$Q/hold.cont"
	! wait "$m" && says "$W/move.err" "cannot write the journal" && sees peer abort &&
	rmdir "$W"/st-a/*.new && as_before
}

t_slow_flush() { # stop takes longer than anybody waits for it (35 s)
	world && touch "$Q/hold.stop" || return 1
	begins
	check "undo begins" wait_for grep -q "QEMU does not answer stop" "$W/a.log" || return 1
	sleep 25
	rm "$Q/hold.stop"
	! wait "$m" && says "$W/move.err" "vm0 stays here" && as_before
}

t_qemu_busy() { # somebody else talks to QEMU while the VM has to be resumed
	switching || return 1
	agent_kill a
	wait "$m"
	touch "$Q/busy"
	agent a "$PORT_A" || return 1
	check "says so" wait_for grep -q "cannot resume the VM yet: .*is another connected" "$W/a.log" &&
	check "the record stays" test "$(record phase)" = prepare && check "it stands" vm_is postmigrate || return 1
	rm "$Q/busy"
	as_before
}

t_qemu_dies() { # ... while it switches over: nothing to resume, and that is said
	switching --json || return 1
	qemu_dies stale
	wait "$m"
	check "exit status 1" test $? = 1 && says "$W/move.out" '"status":"stopped"' &&
	says "$W/move.out" "its QEMU is gone" && check "clean: $(left a)" wait_for is_left a "vm0 0 0 0"
}

t_abort_dead() { # --abort of a VM that has died does not say that all is well
	switching && touch "$Q/hold.migrate_cancel" || return 1
	gives_up && sees qmp migrate_cancel || return 1
	qemu_dies
	! wait "$b" && says "$W/abort.err" "does not run here: .*QEMU is gone" && ! wait "$m"
}

t_cont_refused() { # QEMU does not resume the VM at once: the disks may be taken yet
	switching && echo "Failed to get the lock" >"$Q/refuse.cont" || return 1
	gives_up && sees qmp "cont refused" 2 || return 1
	rm "$Q/refuse.cont"
	! wait "$m" && wait "$b" && as_before
}

t_thaw_fails() { # no VM runs on memory that is frozen
	switching && touch "$W/nothaw" || return 1
	gives_up && check "says so" wait_for grep -q "cannot resume the VM yet: thawing" "$W/a.log" || return 1
	sleep 1
	never qmp cont || return 1
	rm "$W/nothaw"
	! wait "$m" && wait "$b" && as_before
}

found_by_new_agent() { # region, what the VM there does: neither stopped by us nor ours to resume
	switching || return 1
	agent_kill a
	wait "$m"
	qemu_dies
	rm "$Q/log"
	echo "$2" >"$Q/start"
	[ "$1" = vm0 ] || tp a create "$1" 1M >/dev/null || return 1
	qemu_starts "$1" && agent a "$PORT_A" || return 1
	check "undone" wait_for grep -q "undone" "$W/a.log" &&
	check "thawed" test "$(left a | cut -d' ' -f4)" = 0 &&
	never qmp cont && never qmp migrate_cancel && check "still $2" vm_is "$2"
}

t_found_other() { # a new agent finds another VM in the place of the one that it has to resume
	found_by_new_agent vm1 paused && says "$W/a.log" "is another VM now"
}

t_found_new() { # ... the same, started anew and not run yet
	found_by_new_agent vm0 prelaunch && says "$W/a.log" "says that the VM is 'prelaunch'"
}

t_found_running() { # ... the same, resumed by hand
	found_by_new_agent vm0 running
}

t_found_paused() { # a VM that was paused by hand before we would have stopped it
	world && touch "$P/hold.start" || return 1
	begins
	sees peer start || return 1
	agent_kill a
	wait "$m"
	qmp a stop >/dev/null && agent a "$PORT_A" || return 1
	check "undone" wait_for is_left a "vm0 0 0 0" && never qmp cont && check "paused" vm_is paused
}

t_quit_again() { # QEMU does not quit at the first word
	world && echo "not now" >"$Q/refuse.quit" || return 1
	move vm0 a "$PORT_B" --no-wait || return 1
	sees qmp "quit refused" 2 || return 1
	rm "$Q/refuse.quit"
	sees qmp quit
}

t_quit_busy() { # ... nor is somebody else who talks to it its end
	switching || return 1
	agent_kill a
	wait "$m"
	touch "$Q/busy"
	python3 - "$W"/st-a/src-*.json <<-'END' || return 1
	import json, sys
	r = json.load(open(sys.argv[1]))
	r["phase"] = "fill"
	json.dump(r, open(sys.argv[1], "w"))
	END
	agent a "$PORT_A" || return 1
	sleep 6
	rm "$Q/busy"
	sees qmp quit
}

in_doubt() { # the connection breaks when the destination was told to run the VM
	world && touch "$P/hold.commit" || return 1
	begins
	sees peer commit || return 1
	peer_dies
	check "in doubt" wait_for grep -q "in doubt" "$W/move.err"
}

forget() { # [options]
	tp a move --forget vm0 --socket "$W/a.sock" "$@" </dev/null 2>"$W/forget.err" >"$W/forget.out"
}

forgotten() { # VM and region stay as they were
	check "region stays: $(left a)" wait_for is_left a "vm0 0 0 1" && alive &&
	check "VM stays" vm_is postmigrate && never qmp cont && never qmp quit
}

t_forget() { # a move in doubt can be ended
	in_doubt && says "$W/move.err" "telepage move --forget" && says "$W/a.log" "move --forget" || return 1
	forget; check "asks first" test $? = 2 && says "$W/forget.err" "needs --yes" || return 1
	forget --yes || return 1
	says "$W/forget.err" "telepage thaw vm0" && ! wait "$m" && says "$W/move.err" "was forgotten" && forgotten || return 1
	agent_kill a
	agent a "$PORT_A" && sleep 1 && forgotten
}

t_forget_unknown() { # ... also when the destination is back and knows nothing
	in_doubt && peer_starts || return 1
	check "says so" wait_for grep -q "does not know this move.*--forget" "$W/a.log" || return 1
	forget --yes --json && says "$W/forget.out" '"status":"forgotten"' && ! wait "$m" && forgotten
}

t_forget_undo() { # ... and one that cannot be undone
	switching && touch "$W/nothaw" || return 1
	gives_up && check "stuck" wait_for grep -q "cannot resume the VM yet" "$W/a.log" || return 1
	forget --yes && ! wait "$m" && ! wait "$b" && forgotten
}

t_forget_none() { # one that goes on is not
	world && touch "$P/hold.start" || return 1
	! forget --yes && says "$W/forget.err" "no move of this VM" || return 1
	begins
	sees peer start && ! forget --yes && says "$W/forget.err" "telepage move --abort" || return 1
	rm "$P/hold.start"
	sees peer commit && check "filling" wait_for grep -q "runs at" "$W/move.err" || return 1
	! forget --yes && says "$W/forget.err" "not in doubt" || return 1
	touch "$P/complete"
	wait "$m"
}

t_words_of_peer() { # whatever the destination says, the last line comes
	world || return 1
	python3 -c 'print("{\"error\":\"" + "\u00e9\u001b" * 300 + "\",\"aborted\":true}")' |
		sed 's/\x1b/\\u001b/g' >"$P/refuse.commit"
	begins
	! wait "$m" && says "$W/move.err" "vm0 stays here: 127.0.0.1: ??" && as_before
}

t_release_peer_lost() { # all is there, but the destination does not hear that it was let go (10 s)
	world && touch "$P/hold.released" "$P/complete" || return 1
	begins
	sees peer released || return 1
	peer_dies
	wait "$m" && says "$W/move.err" "complete at" &&
	check "no region to be deleted is in the record" test "$(record regions)" = "[]"
}

t_plan_mute() { # all is there, and the plan's other side says nothing: the image is kept all the same (10 s)
	world || return 1
	agent_kill a
	agent a "$PORT_A" --keep-images 1G || return 1
	touch "$P/complete"
	echo '{"token":"cccccccccccccccccccccccccccccccc","regions":["vm0"],"plan":true}' >"$P/refuse.prepare"
	move vm0 a "$PORT_B" && sees peer "plan cut" && sees peer released &&
	check "an image is there" test -s "$W/images-a/.vm0/vm0.mem" &&
	check "nothing is left: $(left a)" wait_for is_left a "- 0 0 0"
}

t_plan_mute_live() { # nor does the VM wait for it for ever before it moves (15 s)
	world || return 1
	touch "$P/complete"
	echo '{"token":"cccccccccccccccccccccccccccccccc","regions":["vm0"],"plan":true,"live":true}' >"$P/refuse.prepare"
	move vm0 a "$PORT_B" --mode hybrid & m=$!
	sees peer released && check "it has moved" wait "$m" &&
	check "nothing is left: $(left a)" wait_for is_left a "- 0 0 0"
}

t_long_vm_dir() { # a path that does not fit is refused, not cut
	world || return 1
	long=$W/$(printf '%0240d' 0)
	mkdir -p "$long/$long/vm0"
	! move vm0 a "$PORT_B" --vm-dir "$long/$long" --qmp "$W/vm-a/vm0/qmp.sock" &&
	says "$W/move.err" "directory is too long"
	ret=$?
	rm -rf "$long"
	return "$ret"
}

t_stub() { # the two make a move that succeeds
	world && touch "$P/complete" || return 1
	move vm0 a "$PORT_B" && sees peer released &&
	check "nothing is left: $(left a)" wait_for is_left a "- 0 0 0"
}

run_tests
