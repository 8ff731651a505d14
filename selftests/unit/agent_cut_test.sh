#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# tier: full
#
# Moves whose agents die and whose network breaks.
#
# shellcheck disable=SC2317	# the tests are called by name
set -u

# shellcheck source=selftests/unit/agent_lib.sh
. "$(dirname "$0")/agent_lib.sh"
need_qemu
QUICK=doubt_back,fill_network

t_restart_keeps_returned_vm() { # a new agent must not take the VM that came back for the one that left
	two || return 1
	touch "$W/hold"
	move vm0 a "$PORT_B" --no-wait && move vm0 b "$PORT_A" --no-wait || return 1
	agent_kill a
	agent a "$PORT_A" || return 1
	sleep 1
	check "runs at a" runs a vm0.2 || return 1
	rm "$W/hold"
	check "all let go at a: $(left a)" wait_for is_left a "vm0.2 0 0 0" || return 1
	check "still runs at a" runs a vm0.2
}

t_peer_dies() { # the destination's agent is killed while the hook works
	two || return 1
	hook <<-'END'
	[ "$1" = stop ] || sleep 30
	exec $HOOK "$@"
	END
	move vm0 a "$PORT_B" & m=$!
	check "hook runs" wait_for grep -q "hook start" "$W/b.log" || return 1
	agent_kill b
	! wait "$m" && says "$W/move.err" "lost the agent" || return 1
	check "VM runs" runs a || return 1
	agent b "$PORT_B" || return 1
	unmoved
}

t_source_agent_dies() { # the source's agent is killed before commit
	two || return 1
	hook <<-'END'
	[ "$1" = stop ] || sleep 30
	exec $HOOK "$@"
	END
	move vm0 a "$PORT_B" & m=$!
	check "hook runs" wait_for grep -q "hook start" "$W/b.log" || return 1
	agent_kill a
	! wait "$m" && says "$W/move.err" "the agent went away" || return 1
	agent a "$PORT_A" || return 1
	unmoved
}

t_source_agent_dies_stopped() { # ... when the VM stands still already
	ORPHAN=1
	agent a "$PORT_A" && agent b "$PORT_B" && vm_start a && proxy '"op":"commit"' before || return 1
	move vm0 a "$PORT_X" & m=$!
	check "cut at commit" wait_for test -e "$W/cut" || return 1
	agent_kill a
	wait "$m"
	# the journal says commit, so it must ask first
	agent a "$PORT_A" || return 1
	sleep 0.5
	check "frozen, stopped" test "$(left a)" = "vm0 1 1 1" || return 1
	check "destination gives up" wait_for grep -q "did not come back" "$W/b.log" || return 1
	rm "$W/cut"
	unmoved
}

t_doubt_back() { # connection cut before commit arrives, back at once
	agent a "$PORT_A" && agent b "$PORT_B" && vm_start a && proxy '"op":"commit"' before || return 1
	move vm0 a "$PORT_X" & m=$!
	check "cut at commit" wait_for test -e "$W/cut" || return 1
	sleep 0.5
	check "runs nowhere meanwhile" stands a && check "nor there" stands b || return 1
	rm "$W/cut"
	wait "$m" || { sed 's/^/# /' "$W/move.err"; return 1; }
	says "$W/move.err" "in doubt" && moved
}

t_doubt_answer_lost() { # commit arrives, its answer does not
	agent a "$PORT_A" && agent b "$PORT_B" && vm_start a && proxy '"op":"commit"' after || return 1
	move vm0 a "$PORT_X" & m=$!
	check "cut at commit" wait_for test -e "$W/cut" || return 1
	check "it runs at the destination" wait_for runs b || return 1
	rm "$W/cut"
	wait "$m" && moved
}

t_doubt_orphaned() { # the destination gives up before the source is back
	ORPHAN=1
	agent a "$PORT_A" && agent b "$PORT_B" && vm_start a && proxy '"op":"commit"' before || return 1
	move vm0 a "$PORT_X" & m=$!
	check "cut at commit" wait_for test -e "$W/cut" || return 1
	check "destination gives up" wait_for grep -q "did not come back" "$W/b.log" || return 1
	rm "$W/cut"
	! wait "$m" && says "$W/move.err" "gave the move up before commit" && unmoved
}

t_doubt_unknown() { # the destination lost its memory: never resumed here
	agent a "$PORT_A" && agent b "$PORT_B" && vm_start a && proxy '"op":"commit"' before || return 1
	move vm0 a "$PORT_X" & m=$!
	check "cut at commit" wait_for test -e "$W/cut" || return 1
	agent_kill b
	rm -f "$W"/st-b/*
	agent b "$PORT_B" || return 1
	rm "$W/cut"
	check "says so" wait_for grep -q "does not know this move" "$W/move.err" || return 1
	sleep 1
	kill "$m"
	check "stays frozen" test "$(left a)" = "vm0 1 1 1" &&
	check "stays stopped" stands a
}

t_fill_source_agent() { # the source's agent is killed while pages flow
	two || return 1
	touch "$W/hold"
	move vm0 a "$PORT_B" --no-wait || return 1
	agent_kill a
	sleep 0.3
	check "it runs on" runs b || return 1
	agent a "$PORT_A" || return 1
	rm "$W/hold"
	moved
}

t_fill_destination_agent() { # the destination's
	two || return 1
	touch "$W/hold"
	move vm0 a "$PORT_B" --no-wait || return 1
	agent_kill b
	check "lanes are lost" wait_for grep -q "lost" "$W/a.log" || return 1
	check "it runs on" runs b || return 1
	agent b "$PORT_B" || return 1
	rm "$W/hold"
	moved
}

t_fill_network() { # the network goes while pages flow, and comes back
	agent a "$PORT_A" && agent b "$PORT_B" && vm_start a && proxy '"op":"none"' before || return 1
	touch "$W/hold"
	move vm0 a "$PORT_X" --no-wait || return 1
	eval "set -- $pids"
	for p; do last=$p; done
	kill "$last"
	check "lanes are lost" wait_for grep -q "lost" "$W/a.log" || return 1
	sleep 0.5
	proxy '"op":"none"' before || return 1
	rm "$W/hold"
	moved
}

lanes_are_up() { # host
	python3 - "$W/state.json" "$1" <<-'END'
	import json, sys
	links = json.load(open(sys.argv[1])).get(sys.argv[2], {}).get("links", {})
	sys.exit(not links or not all(len(l["lanes"]) == 3 and all(l["lanes"].values()) for l in links.values()))
	END
}

t_fill_lost_events() { # the same, with more events than the agent could take
	agent a "$PORT_A" && agent b "$PORT_B" && vm_start a && proxy '"op":"none"' before || return 1
	touch "$W/hold"
	move vm0 a "$PORT_X" --no-wait || return 1
	touch "$W/overrun.a"
	eval "set -- $pids"
	for p; do last=$p; done
	kill "$last"
	check "lanes are lost" wait_for grep -q "lost" "$W/b.log" || return 1
	proxy '"op":"none"' before || return 1
	check "lanes are back" wait_for lanes_are_up a || return 1
	rm "$W/hold" "$W/overrun.a"
	moved
}

run_tests
