#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Plans whose workers die and whose connections break: they are begun anew, and what need not
# cross the link is found still. Those whose workers stand still end: nothing waits for them. That a plan came to its end is what its last report says,
# and "ready" of a region that its files are used.
#
# shellcheck disable=SC2317	# the tests are called by name
set -u

# shellcheck source=selftests/unit/agent_lib.sh
. "$(dirname "$0")/agent_lib.sh"
QUICK=image_hangs,still_here,worker_here,peer_closes,move_runs
touch "$W/plans"

# b takes what a has, and is looking for it
import_begins() { # [SOURCE'S-PORT [SIZE [options of a]]]
	from=${1:-$PORT_A} size=${2:-4M}
	shift $(($# > 2 ? 2 : $#))
	agent a "$PORT_A" "$@" && agent b "$PORT_B" || return 1
	tp a create r "$size" >/dev/null && head -c "$size" /dev/urandom >"$RAM/a/r" && tp a export r || return 1
	tp b import r --from "127.0.0.1:$from" --group g --socket "$W/b.sock" 2>"$W/move.err"
}

worker_of() { # host: its pid
	eval "pgrep -P \$pid_$1 -x telepage-plan"
}

another() { # host pid: there is one, and not that
	p=$(worker_of "$1") && [ -n "$p" ] && [ "$p" != "$2" ]
}

worker_dies() { # host
	check "$1 plans" wait_for worker_of "$1" >/dev/null || return 1
	was=$(worker_of "$1")
	kill -9 "$was" && check "$1 plans anew" wait_for another "$1" "$was"
}

of_region() { # host region key
	python3 - "$W/state.json" "$@" <<-'END'
	import json, sys
	r = json.load(open(sys.argv[1])).get(sys.argv[2], {}).get("regions", {}).get(sys.argv[3], {})
	print(r.get(sys.argv[4]))
	END
}

is() { # host region key value
	[ "$(of_region "$1" "$2" "$3")" = "$4" ]
}

ended_well() { # side host
	grep -q '"side":"'"$1"'","error":""' "$W/$2.log"
}

imported() {
	check "it is complete" wait_for is b r state 0 &&
	check "it is right" cmp "$RAM/a/r" "$RAM/b/r" &&
	check "b: no link is left" wait_for is_left b "r 0 0 0"
}

worker_stops() { # host: it stands still, and does not die
	check "$1 plans" wait_for worker_of "$1" >/dev/null && stand_still "$(worker_of "$1")"
}

stands_still() { # host: this was seen
	says "$W/$1.log" "plan of .*: its worker stands still for .* s, and is killed"
}

# an image that b has of its earlier stay, on a disk that does not answer
hung_image() { # group name
	mkdir -p "$W/images-b/$1" && echo image >"$W/images-b/$1/$2.mem" && touch "$W/hang.b"
}

held_up() { # b looks for images, and is nevertheless there
	check "b waits for the image" wait_for test -e "$W/hung.b" &&
	check "its agent does not" answers b
}

t_image_hangs() { # an agent does not wait for a disk that does not answer
	agent a "$PORT_A" && agent b "$PORT_B" || return 1
	tp a create r 4M >/dev/null && head -c 4M /dev/urandom >"$RAM/a/r" && tp a export r || return 1
	hung_image .r r || return 1
	tp b import r --from "127.0.0.1:$PORT_A" --socket "$W/b.sock" 2>"$W/move.err" & i=$!
	held_up && check "it is imported without a plan" wait "$i" || return 1
	tp a freeze r && imported && says "$W/b.log" "plan of r: none: .*does not answer"
}

t_worker_here() { # an import's worker dies, long before the source is frozen
	import_begins && worker_dies b || return 1
	tp a freeze r && imported && check "its files are used" is b r ready True
}

t_still_here() { # an import's worker stands still: what it held back comes without a plan
	import_begins && worker_stops b || return 1
	tp a freeze r && imported && stands_still b &&
	check "it was let go of" is b r let_go True && check "its worker is gone" not worker_of b
}

t_still_there() { # the source's does: it is begun anew
	import_begins "$PORT_A" 4M --plan-rate 1M && worker_stops a || return 1
	tp a freeze r && imported && stands_still a && check "its files are used" is b r ready True &&
	check "the plan came to its end" ended_well source a
}

t_still_again() { # and each that comes: not for ever
	import_begins "$PORT_A" 4M --plan-rate 1M && worker_stops a || return 1
	was=$(worker_of a)
	tp a freeze r
	check "another comes" wait_for another a "$was" && stand_still "$(worker_of a)" || return 1
	imported && check "two stood still" test "$(grep -c "stands still" "$W/a.log")" = 2 &&
	says "$W/b.log" '"side":"destination","error":"Operation canceled"' &&
	check "nobody is tried a fourth time" test "$(grep -c '"side":"destination"' "$W/b.log")" = 3
}

t_still_image() { # a worker waits for a disk that does not answer
	hung_image g x && import_begins && check "b waits for the image" wait_for test -e "$W/hung.b" || return 1
	tp a freeze r && imported && stands_still b
}

t_silent_there() { # nobody at the source says anything, and nobody there sees it
	import_begins "$PORT_A" 4M --plan-rate 1M && worker_stops a || return 1
	# shellcheck disable=SC2154	# it is set by agent()
	stand_still "$pid_a"
	tp a freeze r
	check "it is complete" wait_for is b r state 0
	ret=$?
	kill -CONT "$pid_a"
	[ "$ret" = 0 ] && says "$W/b.log" "plan of r: the other side says nothing for .* s: given up" && imported
}

t_slow() { # who is told to be slow does not stand still
	import_begins "$PORT_A" 2M --plan-rate 64K && tp a freeze r && imported &&
	check "nobody was killed" not grep -hE "stands still|says nothing|begun anew" "$W/a.log" "$W/b.log" &&
	check "the plan came to its end" ended_well source a && check "its files are used" is b r ready True
}

t_worker_there() { # the source's does
	import_begins && worker_dies a || return 1
	tp a freeze r && imported && check "its files are used" is b r ready True
}

t_source_agent() { # the source's agent goes, and another one comes
	import_begins && check "b plans" wait_for worker_of b >/dev/null || return 1
	was=$(worker_of b)
	agent_kill a
	agent a "$PORT_A" && check "b plans anew" wait_for another b "$was" || return 1
	tp a freeze r && imported && check "its files are used" is b r ready True
}

t_peer_closes() { # a peer that closes each plan at once: not for ever, and without a flood
	PLAIN=--insecure-plain
	python3 "$HELPER" alter "$PORT_X" "$PORT_A" noplan &
	pids="$pids $!"
	wait_for python3 -c "import socket; socket.create_connection(('127.0.0.1', $PORT_X))" 2>/dev/null || return 1
	import_begins "$PORT_X" || return 1
	tp a freeze r
	check "it is given up" wait_for grep -q "plan of r: given up" "$W/b.log" &&
	imported && check "b has begun a few" test "$(grep -c '"side":"destination"' "$W/b.log")" = 8 &&
	check "a too" test "$(grep -c '"side":"source"' "$W/a.log")" -le 8 &&
	check "one line for each, and one for its report" test "$(grep -c 'plan of r' "$W/b.log")" -le 17
}

t_deleted() { # the region goes between two plans
	PLAIN=--insecure-plain
	python3 "$HELPER" alter "$PORT_X" "$PORT_A" noplan &
	pids="$pids $!"
	wait_for python3 -c "import socket; socket.create_connection(('127.0.0.1', $PORT_X))" 2>/dev/null || return 1
	import_begins "$PORT_X" || return 1
	check "it was begun anew" wait_for grep -q "begun anew" "$W/b.log" &&
	tp b abandon r --yes && check "it is abandoned" wait_for grep -q "import r: the region was abandoned" "$W/b.log" || return 1
	lines=$(grep -c 'plan of r' "$W/b.log")
	sleep 6		# longer than the longest pause
	check "nobody plans it any more" test "$(grep -c 'plan of r' "$W/b.log")" = "$lines"
}

group() { # the VM's, at its source
	echo some >"$W/vm-a/vm0/group"
}

# a plan that takes longer than the switch-over: pages that are not zero, at a rate
slow() { # [options of a]
	agent a "$PORT_A" --plan-rate 1M "$@" && agent b "$PORT_B" && vm_start a && group &&
		dd if=/dev/urandom of="$RAM/a/vm0" bs=1M count=8 seek=8 conv=notrunc status=none
}

t_move_waits() { # before the VM stops: either side's worker
	can_move || return 0
	# who keeps no image cuts the plan off when all pages are there
	agent a "$PORT_A" --keep-images 1G && agent b "$PORT_B" && vm_start a && group || return 1
	hook <<-'END'
	while [ "$1" != stop ] && [ ! -e "$TELEPAGE_VM_DIR/../fine" ]; do sleep 0.1; done
	exec $HOOK "$@"
	END
	move vm0 a "$PORT_B" & m=$!
	check "hook runs" wait_for grep -q "hook start" "$W/b.log" &&
	worker_dies a && worker_dies b || return 1
	touch "$W/vm-b/fine"
	wait "$m" && check "its files are used" is b vm0 ready True &&
	check "the plan came to its end" wait_for ended_well source a && moved
}

t_move_image_hangs() { # nor does one that a VM comes to
	can_move || return 0
	two && hung_image .vm0 vm0 || return 1
	move vm0 a "$PORT_B" & m=$!
	held_up && check "it moves without a plan" wait "$m" &&
	says "$W/b.log" "plan of vm0: none: .*does not answer" && moved
}

t_move_runs() { # when it runs at the destination already
	can_move || return 0
	slow --keep-images 1G || return 1
	move vm0 a "$PORT_B" --no-wait || return 1
	worker_dies b && check "not all is there" is b vm0 state 1 || return 1
	moved && check "its files are used" is b vm0 ready True &&
	check "the plan came to its end" wait_for ended_well source a
}

t_move_still() { # a worker stands still: the VM runs there, and its pages come without a plan
	can_move || return 0
	slow || return 1
	move vm0 a "$PORT_B" --no-wait || return 1
	worker_stops b && check "not all is there" is b vm0 state 1 || return 1
	moved && stands_still b && check "it was let go of" is b vm0 let_go True
}

t_move_still_there() { # the source's does
	can_move || return 0
	slow || return 1
	move vm0 a "$PORT_B" --no-wait || return 1
	worker_stops a && moved && stands_still a && check "its files are used" is b vm0 ready True
}

t_move_first() { # what the VM uses last is read first, if a file there has it
	can_move || return 0
	two && group || return 1
	touch "$W/used"
	move vm0 a "$PORT_B" --sample 100
	rm "$W/used"
	moved && check "b was told of all that is in use" is b vm0 first "40+10 7+3"
}

t_move_first_none() { # where nobody plans nobody is told
	can_move || return 0
	two || return 1
	rm "$W/plans"
	touch "$W/used"
	move vm0 a "$PORT_B" --sample 100
	rm "$W/used"
	touch "$W/plans"
	moved && check "b was told nothing" is b vm0 first None &&
	check "but the push has its order" grep -qx "40+10 7+3" "$W/order"
}

t_move_alone() { # the source's agent goes: what was held back is not held for ever
	can_move || return 0
	slow || return 1
	move vm0 a "$PORT_B" --no-wait && check "b plans" wait_for worker_of b >/dev/null || return 1
	agent_kill a
	agent a "$PORT_A" && check "given up" wait_for grep -q "nobody has begun one" "$W/b.log" && moved
}

t_move_kept() { # an image is kept all the same, by the worker that came after
	can_move || return 0
	slow --keep-images 1G || return 1
	move vm0 a "$PORT_B" --no-wait || return 1
	worker_dies a || return 1
	moved && check "an image is there" test -s "$W/images-a/some/vm0.mem" &&
	check "with its index" test -s "$W/images-a/some/vm0.mem.tpi"
}

t_move_group() { # the first line is the group, whatever follows it
	can_move || return 0
	two && {
		echo some
		printf '%0300d\n' 0
	} >"$W/vm-a/vm0/group" || return 1
	move vm0 a "$PORT_B"
	moved && check "b was told of the group" grep -qx some "$W/vm-b/vm0/group"
}

t_move_group_bad() { # one that cannot be read is told of
	can_move || return 0
	two && mkdir "$W/vm-a/vm0/group" || return 1
	move vm0 a "$PORT_B"
	moved && says "$W/a.log" "vm0/group is not used: Is a directory"
}

t_move_not_kept() { # for want of room in the budget, which is told
	can_move || return 0
	rm -rf "$W/images-a"
	agent a "$PORT_A" --keep-images 64K && agent b "$PORT_B" && vm_start a && move vm0 a "$PORT_B" &&
	moved && says "$W/a.log" "not all of the memory of vm0 is kept: vm0: it does not fit into --keep-images" &&
	check "nothing of it is" test -z "$(ls -A "$W/images-a" 2>/dev/null)"
}

t_move_undone() { # no plan of a move that is undone
	can_move || return 0
	two && group || return 1
	hook <<-'END'
	[ "$1" = stop ] || sleep 30
	exec $HOOK "$@"
	END
	move vm0 a "$PORT_B" & m=$!
	check "hook runs" wait_for grep -q "hook start" "$W/b.log" && worker_dies b || return 1
	kill -9 "$(worker_of a)"
	tp a move --abort vm0 --socket "$W/a.sock" 2>"$W/abort.err"
	! wait "$m" && unmoved && check "a plans no more" not worker_of a && check "nor b" not worker_of b
}

run_tests
