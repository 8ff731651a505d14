#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# How an agent starts and ends. No VM is needed.
#
# shellcheck disable=SC2317	# the tests are called by name
set -u

# shellcheck source=selftests/unit/agent_lib.sh
. "$(dirname "$0")/agent_lib.sh"

t_plain_must_be_asked_for() { # without keys nobody is let in, and the way to keys is shown
	! TELEPAGE_FAKE_HOST=a "$TELEPAGE" agent --listen "127.0.0.1:$PORT_A" --keys "$W/none" --dir "$RAM/a" \
		--socket "$W/a.sock" --state "$W/st-a" 2>"$W/err" &&
	says "$W/err" "there are no keys in $W/none: run telepage agent init" &&
	check "and none to do without" sh -c "! grep insecure '$W/err'"
}

t_sigterm() { # ends cleanly
	agent a "$PORT_A" || return 1
	kill "$pid_a"
	wait "$pid_a"
	check "exit status 0" test $? -eq 0 && check "socket is gone" test ! -e "$W/a.sock"
}

manager() { # socket: whom systemd would listen with
	rm -f "$W/told" "$W/notify"
	python3 "$HELPER" datagrams "$1" "$W/told" &
	pids="$pids $!"
	wait_for test -e "$W/told"
}

told() { # what, by now
	wait_for grep -qx "$1" "$W/told"
}

notifies() { # socket
	manager "$1" || return 1
	export NOTIFY_SOCKET="$1"
	agent a "$PORT_A" || return 1
	check "ready" told READY=1 || return 1
	python3 "$HELPER" say "$PORT_A" nonsense >/dev/null	# fails when nobody listens
	check "it listens by then" test $? -eq 0 && check "not stopping yet" test "$(cat "$W/told")" = READY=1 || return 1
	kill "$pid_a"
	check "stopping" told STOPPING=1
}

t_notify() { # systemd is told when it listens, and when it ends
	notifies "$W/notify"
	ret=$?
	unset NOTIFY_SOCKET
	return "$ret"
}

t_notify_abstract() { # over an abstract socket, as in a container
	notifies "@telepage-test-$$"
	ret=$?
	unset NOTIFY_SOCKET
	return "$ret"
}

t_notify_failure() { # one that cannot start is not ready, for the unit waits for that
	manager "$W/notify" || return 1
	! NOTIFY_SOCKET="$W/notify" TELEPAGE_FAKE_HOST=a "$TELEPAGE" agent --listen "127.0.0.1:$PORT_A" \
		--keys "$W/none" --dir "$RAM/a" --socket "$W/a.sock" --state "$W/st-a" 2>"$W/err" || return 1
	check "nothing was said" test ! -s "$W/told" &&
	says "$here/../../userspace/telepage-agent.service" "^Type=notify$"
}

t_notify_nobody() { # a manager that is gone is no reason to fail
	NOTIFY_SOCKET=$W/nobody agent a "$PORT_A" && says "$W/a.log" "cannot say READY=1" &&
	check "it is there" kill -0 "$pid_a"
}

usage_error() { # words option...: one line, at once, exit status 2
	words=$1
	shift
	TELEPAGE_FAKE_HOST=a timeout 20 "$TELEPAGE" agent --keys "$W/none" --dir "$RAM/a" --socket "$W/a.sock" \
		--state "$W/st-a" "$@" 2>"$W/err"
	check "exit status 2 of $*" test $? -eq 2 && says "$W/err" "$words" &&
	check "one line" test "$(wc -l <"$W/err")" -eq 1
}

t_bad_listen() { # --listen with what is no address
	usage_error "--listen takes a value" --listen '' && usage_error "port" --listen 127.0.0.1:70000 &&
	usage_error "port" --listen 127.0.0.1: && usage_error "']'" --listen '[::1' &&
	usage_error "no address" --listen '[]:4790' && usage_error "1.2.3.4.5" --listen 1.2.3.4.5
}

t_listen_any() { # by default IPv4 and IPv6 get in
	agent a "$PORT_A" --listen ":$PORT_A" || return 1
	for h in 127.0.0.1 ::1; do
		[ "$h" = 127.0.0.1 ] || ! no_ipv6 || continue
		python3 -c "import socket; socket.create_connection(('$h', $PORT_A))" ||
			{ echo "# not over $h"; return 1; }
	done
	no_ipv6 || says "$W/a.log" "listens on \[::\]:$PORT_A"
}

t_listen_in_use() { # a port that somebody has: who comes second says so
	agent a "$PORT_A" --listen ":$PORT_A" || return 1
	! TELEPAGE_FAKE_HOST=b "$TELEPAGE" agent --keys "$W/keys" --dir "$RAM/b" --socket "$W/b.sock" \
		--state "$W/st-b" --listen ":$PORT_A" 2>"$W/err" && says "$W/err" "Address already in use"
}

t_second_agent() { # one agent per state directory: the second would undo what the first is about
	agent a "$PORT_A" || return 1
	TELEPAGE_FAKE_HOST=a timeout 20 "$TELEPAGE" agent --keys "$W/keys" --dir "$RAM/a" --socket "$W/second.sock" \
		--state "$W/st-a" --listen "127.0.0.1:$PORT_B" 2>"$W/err"
	check "exit status 1" test $? -eq 1 && says "$W/err" "another agent has $W/st-a" &&
	check "the first is well" kill -0 "$pid_a"
}

t_port_before_records() { # one that cannot listen has touched nothing by then
	agent a "$PORT_A" || return 1
	id=0123456789abcdef0123456789abcdef
	mkdir -p "$W/st-b"
	echo '{"vm":"vm0","who":"","phase":"prepare","regions":[],"run":false,"hook":false,
		"was_ready":false,"made_dir":false,"link":0}' >"$W/st-b/dst-$id.json"
	! TELEPAGE_FAKE_HOST=b timeout 20 "$TELEPAGE" agent --keys "$W/keys" --dir "$RAM/b" --socket "$W/b.sock" \
		--state "$W/st-b" --listen "127.0.0.1:$PORT_A" 2>"$W/err" &&
	says "$W/err" "Address already in use" && says "$W/st-b/dst-$id.json" '"prepare"'
}

t_umask() { # QEMU gets to the sockets in the state directory whatever the umask is
	old=$(umask)
	umask 077
	agent a "$PORT_A"
	ret=$?
	umask "$old"
	check "it runs" test "$ret" = 0 && check "0711" test "$(stat -c %a "$W/st-a")" = 711
}

t_bad_orphan_timeout() { # more than the clock has
	usage_error "bad number of seconds" --orphan-timeout 5000000
}

t_ipv6() { # a file over ::1, with a certificate for that address
	if no_ipv6; then
		echo "# no IPv6 here"
		return 0
	fi
	"$TELEPAGE" agent init --keys "$W/keys-a" --ca --name host-a,::1 >/dev/null &&
	"$TELEPAGE" agent init --keys "$W/keys-a" --issue host-b,::1 |
		"$TELEPAGE" agent init --keys "$W/keys-b" --import - >/dev/null || return 1
	agent a "$PORT_A" --keys "$W/keys-a" --listen "[::1]:$PORT_A" &&
	agent b "$PORT_B" --keys "$W/keys-b" --listen "[::1]:$PORT_B" || return 1
	head -c 1048576 /dev/urandom >"$W/file"
	tp a export img --file "$W/file" --to host-b || return 1
	tp b import img --from "[::1]:$PORT_A" --wait --socket "$W/b.sock" 2>"$W/imp.err" ||
		{ cat "$W/imp.err"; return 1; }
	check "same content" cmp "$W/file" "$RAM/b/img" &&
	says "$W/a.log" "listens on \[::1\]:$PORT_A" && says "$W/a.log" "::1 host-b"
}

run_tests
