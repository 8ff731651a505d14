#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Who was let in and speaks the protocol, but not as an agent would. No VM is needed.
#
# shellcheck disable=SC2317	# the tests are called by name
set -u

# shellcheck source=selftests/unit/agent_lib.sh
. "$(dirname "$0")/agent_lib.sh"

A=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
B=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb

converse() { # port, the conversation on stdin
	python3 "$HELPER" converse "$1" >"$W/said" 2>&1 || {
		sed 's/^/# /' "$W/said"
		return 1
	}
}

prepare() { # move vm
	echo '{"id":1,"op":"prepare","move":"'"$1"'","vm":"'"$2"'","regions":[{"name":"'"$2"'","size":1048576}],"bulk":1}'
}

request() { # op move
	echo '{"id":2,"op":"'"$1"'","move":"'"$2"'"}'
}

alive() {
	check "the agent lives" kill -0 "$pid_a" &&
	check "no complaint of a sanitizer" sh -c "! grep -q 'ERROR: \|runtime error' '$W/a.log'"
}

t_two_moves() { # one connection for two moves: whose end is it?
	PLAIN=--insecure-plain
	agent a "$PORT_A" || return 1
	converse "$PORT_A" <<-END || return 1
	one $(prepare "$A" vma)
	one $(prepare "$B" vmb)
	one -
	- 0.5
	two $(request status "$A")
	two $(request status "$B")
	END
	alive && says "$W/said" "one move per connection" &&
	check "the first was undone with its connection" wait_for is_left a "- 0 0 0"
}

t_export_then_move() { # a connection that has an export cannot take a move as well
	PLAIN=--insecure-plain
	agent a "$PORT_A" || return 1
	head -c 8192 /dev/urandom >"$W/file"
	tp a export img --file "$W/file" || return 1
	converse "$PORT_A" <<-END || return 1
	one $(prepare "$A" vma)
	two {"id":1,"op":"open-export","export":"img","bulk":1}
	two $(request status "$A")
	two $(request abort "$A")
	two $(prepare "$B" vmb)
	two -
	one $(request abort "$A")
	END
	alive && check "all three were refused" test "$(grep -c 'one move per' "$W/said")" = 3 &&
	check "the export's link went with its connection" wait_for is_left a "- 1 0 0"
}

t_silent_strangers() { # those who connect and say nothing shut nobody out
	agent a "$PORT_A" && agent b "$PORT_B" || return 1
	python3 -c "
import socket, time
silent = [socket.create_connection(('127.0.0.1', $PORT_A)) for i in range(200)]
open('$W/silent', 'w').close()
time.sleep(60)" &
	s=$!
	pids="$pids $s"
	check "they are there" wait_for test -e "$W/silent" || return 1
	head -c 8192 /dev/urandom >"$W/file"
	tp a export img --file "$W/file" || return 1
	TELEPAGE_FAKE_HOST=b TELEPAGE_DIR=$RAM/b timeout 8 "$TELEPAGE" import img --wait \
		--from "127.0.0.1:$PORT_A" --socket "$W/b.sock" 2>"$W/imp.err" || { cat "$W/imp.err"; return 1; }
	rm -f "$W/silent"
	alive
}

t_many_refusals() { # who is not let in does not fill the log either
	agent a "$PORT_A" || return 1
	python3 -c "
import socket
for i in range(300):
    s = socket.create_connection(('127.0.0.1', $PORT_A))
    s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
    s.shutdown(socket.SHUT_WR)
    while s.recv(4096):
        pass
" || return 1
	check "told of some" grep -q "refused: it speaks no TLS" "$W/a.log" &&
	check "not of each" test "$(grep -c refus "$W/a.log")" -lt 150 &&
	check "and said so" grep -q "more refusals than" "$W/a.log" && alive
}

ticks() { # of the processor, that agent a has had
	awk '{ print $14 + $15 }' "/proc/$pid_a/stat"
}

t_no_descriptors() { # an agent that has none left says so once, and does not spin
	agent a "$PORT_A" && prlimit --pid "$pid_a" --nofile=40: || return 1
	python3 -c "
import socket, time
s = [socket.create_connection(('127.0.0.1', $PORT_A)) for i in range(44)]
time.sleep(3.5)" &
	s=$!
	check "says so" wait_for grep -q "cannot accept a connection: Too many" "$W/a.log" || return 1
	before=$(ticks)
	sleep 2
	after=$(ticks)
	wait "$s"
	check "took $((after - before)) ticks of 200" test $((after - before)) -lt 50 &&
	check "said once" test "$(grep -c 'cannot accept' "$W/a.log")" = 1 || return 1
	wait_for local_say a '{"cmd":"status"}' >"$W/said" && says "$W/said" '"done"'
}

t_empty_token() { # the token of a link that ends lets nobody in
	PLAIN=--insecure-plain
	agent a "$PORT_A" || return 1
	head -c 8192 /dev/urandom >"$W/file"
	tp a export img --file "$W/file" || return 1
	converse "$PORT_A" <<-END || return 1
	one {"id":1,"op":"open-export","export":"img","bulk":1}
	one -
	END
	python3 "$HELPER" say "$PORT_A" '{"telepage":1,"version":1,"role":"lane","link":"","lane":0}' >"$W/out"
	says "$W/out" "unknown link" && alive
}

t_two_commands() { # a command that asks for more than one thing, or twice, before it goes
	agent a "$PORT_A" || return 1
	mkdir -p "$W/vm-a/vm0"
	: >"$W/hush"
	python3 "$HELPER" vmm "$W/vm-a/vm0/qmp.sock" "$W/vmm" "$W/hush" &	# the move waits for it
	pids="$pids $!"
	wait_for test -S "$W/vm-a/vm0/qmp.sock" || return 1
	move vm0 a "$PORT_B" & m=$!
	check "a move is there" wait_for grep -q "vm0: qmp" "$W/a.log" || return 1
	local_say a '{"cmd":"watch","vm":"vm0"}
{"cmd":"watch","vm":"vm0"}
{"cmd":"nonsense"}' >"$W/said"
	says "$W/said" "unknown command" || return 1
	tp a move --abort vm0 --socket "$W/a.sock" 2>/dev/null
	! wait "$m" && alive
}

t_number_again() { # who has moved a VM to here cannot use its move's number to end it
	can_move || return 0
	PLAIN=--insecure-plain
	two && move vm0 a "$PORT_B" || return 1
	move=$(tr '\0' '\n' <"/proc/$(tr -dc 0-9 <"$W/vm-b/vm0/pid")/environ" |
	       sed -n 's/^TELEPAGE_MOVE=//p')
	check "the move is forgotten" wait_for grep -q "$(echo "$move" | cut -c1-8) of vm0: done" "$W/b.log" || return 1
	# as far as the hook, and no farther
	converse "$PORT_B" <<-END || return 1
	one $(prepare "$move" vm1)
	one +0
	one +1
	one {"id":2,"op":"start","move":"$move","exports":[1]}
	END
	says "$W/b.log" "of vm1: .*hook start" && says "$W/b.log" "of vm1: undone here" &&
	check "the VM that is here runs on" wait_for runs b
}

run_tests
