#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A destination's agent that is new and finds a move near its commit. No VM is needed:
# the records are written by hand, and a script seems to be the VMM.
#
# shellcheck disable=SC2317	# the tests are called by name
set -u

# shellcheck source=selftests/unit/agent_lib.sh
. "$(dirname "$0")/agent_lib.sh"

A=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

record() { # phase [run]: what the agent before had written of a move of vm0 to host b
	mkdir -p "$W/st-b" "$W/vm-b/vm0" "$RAM/b"
	tp b create vm0 1M >/dev/null || return 1
	echo '{"vm":"vm0","who":"","phase":"'"$1"'","regions":[{"name":"vm0","size":1048576}],"run":'"${2:-false}"',
		"hook":true,"was_ready":true,"made_dir":true,"link":0}' >"$W/st-b/dst-$A.json"
}

vmm() { # hush?
	[ -z "${1-}" ] || touch "$W/hush"
	: >"$W/vmm"
	python3 "$HELPER" vmm "$W/vm-b/vm0/qmp.sock" "$W/vmm" "$W/hush" &
	pids="$pids $!"
	wait_for test -S "$W/vm-b/vm0/qmp.sock"
}

start() {
	PLAIN=--insecure-plain
	agent b "$PORT_B"
}

ask() { # op: the answer in $W/said
	echo "x {\"id\":7,\"op\":\"$1\",\"move\":\"$A\",\"run\":true}" | python3 "$HELPER" converse "$PORT_B" >"$W/said" 2>&1
}

state_is() { # state
	ask status && grep -q "\"state\":\"$1\"" "$W/said"
}

t_ready_gone() { # its VMM died meanwhile: commit is refused for good
	record ready && start && ask commit && says "$W/said" '"aborted":true' &&
	check "never said to run" sh -c "! grep running '$W/said'" || return 1
	check "its region went" wait_for test "$(left b)" = "- 0 0 0"
}

t_ready() { # its VMM lives: commit makes it run
	record ready && vmm && start && ask commit && says "$W/said" '"state":"running"' && says "$W/vmm" cont
}

t_ready_mute() { # somebody else talks to its VMM: commit waits for that
	record ready && vmm hush && start || return 1
	ask commit & p=$!
	sleep 6		# longer than an agent waits for a greeting
	check "no answer yet" test ! -s "$W/said" && check "waits" kill -0 "$p" || return 1
	rm "$W/hush"
	wait "$p"
	says "$W/said" '"state":"running"' && says "$W/vmm" cont
}

t_ready_mute_long() { # ... but not for ever, for the VM stands still
	ORPHAN=4
	record ready && vmm hush && start && ask commit && says "$W/said" '"aborted":true'
}

t_committed_mute() { # it may have to be told to run, so it does not run before that is sure
	record commit true && vmm hush && start || return 1
	for i in 1 2 3; do
		sleep 2
		check "not running in try $i" state_is ready || return 1
	done
	rm "$W/hush"
	check "runs" wait_for state_is complete && says "$W/vmm" cont
}

t_committed_gone() { # it may have run, so it has crashed here
	record commit true && start && check "is here" wait_for state_is complete &&
	says "$W/b.log" "its VMM is gone"
}

t_committed_paused() { # a VM that came paused stays so
	record commit && vmm && start && check "is here" wait_for state_is complete &&
	check "not told to run" sh -c "! grep -x cont '$W/vmm'"
}

t_cont_refused() { # the source has it back, but not before that is on disk
	record commit true && touch "$W/hush.cont" && mkdir "$W/st-b/dst-$A.json.new" || return 1
	vmm && start && check "refused" wait_for grep -q "journal .*dst-" "$W/b.log" || return 1
	check "not given back yet" state_is ready && check "VMM kept" kill -0 "$!" || return 1
	rmdir "$W/st-b/dst-$A.json.new"
	check "given back" wait_for state_is aborted && says "$W/st-b/dst-$A.json" '"aborted"'
}

t_args() { # a VM without arguments of its own takes no other's away
	record commit && vmm || return 1
	echo "-nodefaults" >"$W/vm-b/vm0/args"
	: >"$W/vm-b/vm0/args.aaaaaaaa"
	start && check "is here" wait_for state_is complete &&
	check "args are kept" grep -q nodefaults "$W/vm-b/vm0/args" &&
	check "and none beside" test ! -e "$W/vm-b/vm0/args.aaaaaaaa"
}

t_group() { # whose VM it is was said to the agent before
	for said in g ''; do
		fresh
		record commit && vmm || return 1
		echo old >"$W/vm-b/vm0/group"
		printf %s "$said" >"$W/vm-b/vm0/group.aaaaaaaa"
		start && check "is here" wait_for state_is complete &&
		check "and its group" test "$(cat "$W/vm-b/vm0/group" 2>/dev/null)" = "$said" &&
		check "none beside" test ! -e "$W/vm-b/vm0/group.aaaaaaaa" || return 1
		# one that was prepared by an older agent has its file already
		[ -n "$said" ] || check "none at all" test ! -e "$W/vm-b/vm0/group" || return 1
	done
	fresh
	record commit && vmm && echo g >"$W/vm-b/vm0/group" && start &&
	check "is here" wait_for state_is complete && check "an older agent's" grep -qx g "$W/vm-b/vm0/group"
}

t_deaf() { # an error is no word of the kernel that all pages are here
	record running && touch "$W/deaf.b" && start || return 1
	sleep 1
	check "not complete" state_is running || return 1
	rm "$W/deaf.b"
	check "complete" wait_for state_is complete
}

run_tests
