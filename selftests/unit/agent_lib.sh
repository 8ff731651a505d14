# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2034	# some are for who includes it
#
# What the tests agent_*_test.sh share. Two or more agents on this machine, real QEMUs
# (TCG), and fake_*.c in the kernel's place. TAP on stdout, exit 4: skipped. No root
# needed, no module either.
#
#   make agent-test          ONLY=move,doubt_back picks tests; TIER=quick a few
#   TELEPAGE=build/unit/telepage-fake selftests/unit/agent_move_test.sh
#
# A test is a function t_NAME, with what it is about behind its brace; QUICK names those
# of the quick tier: the others of a file differ in details only.

here=$(cd "$(dirname "$0")" && pwd)
TELEPAGE=${TELEPAGE:-${BUILD:-$here/../../build}/unit/telepage-fake}
HELPER=$here/agent_helper.py
STUB=$here/agent_stub.py
SHIPPED_HOOK=$here/../../userspace/hooks/qemu
# of this run alone, and below those that the kernel gives to outgoing connections
free_ports() { # the first of three on which nobody listens: others test here, too
	python3 - $$ <<-'END'
	import itertools, socket, sys
	for n in itertools.count(int(sys.argv[1])):
	    first = 10000 + n % 7000 * 3
	    try:
	        for port in range(first, first + 3):
	            socket.socket().bind(("127.0.0.1", port))
	        break
	    except OSError:
	        pass
	print(first)
	END
}
PORT_A=${PORT_A:-$(free_ports)}
PORT_B=${PORT_B:-$((PORT_A + 1))}
PORT_X=${PORT_X:-$((PORT_A + 2))}

skip_all() {
	echo "1..0 # SKIP $*"
	exit 4
}

[ -x "$TELEPAGE" ] || skip_all "no $TELEPAGE: make unit"
command -v python3 >/dev/null || skip_all "no python3"
[ -w /dev/shm ] || skip_all "no /dev/shm"

need_qemu() {
	command -v qemu-system-x86_64 >/dev/null || skip_all "no qemu-system-x86_64"
}

W=$(mktemp -d /tmp/tp-agent.XXXXXX)
RAM=$(mktemp -d /dev/shm/tp-agent.XXXXXX)
export TELEPAGE_FAKE="$W"
pids="" pid_a=""

cleanup() {
	stop_all
	rm -rf "$W" "$RAM"
}
trap cleanup EXIT
trap 'exit 1' INT TERM PIPE

# A guest of 13 bytes: counts the timer's interrupts at 64 KiB.
#   mov ax,0x1000; mov ds,ax; l: inc dword [0]; sti; hlt; jmp l
printf '\270\000\020\216\330\146\377\006\000\000\373\364\353\367' >"$W/boot.img"
truncate -s 510 "$W/boot.img"
printf '\125\252' >>"$W/boot.img"
truncate -s 1474560 "$W/boot.img"

# --- one test's world ---

agent() { # host port [options]: in the background, its log in $W/HOST.log
	h=$1 p=$2
	shift 2
	[ -e "$W/keys/psk" ] || "$TELEPAGE" agent init --keys "$W/keys" >/dev/null || return 1
	# shellcheck disable=SC2086 # an option or nothing
	TELEPAGE_FAKE_HOST=$h "$TELEPAGE" agent --keys "$W/keys" $PLAIN --listen "127.0.0.1:$p" \
		--socket "$W/$h.sock" --dir "$RAM/$h" --vm-dir "$W/vm-$h" --hook "$W/hook" \
		--state "$W/st-$h" --images "$W/images-$h" --orphan-timeout "${ORPHAN:-30}" "$@" \
		>>"$W/$h.log" 2>&1 &
	eval "pid_$h=$!"
	pids="$pids $!"
	wait_for test -S "$W/$h.sock" || return 1
	wait_for grep -q ready "$W/$h.log"
}

agent_kill() { # host: without a chance to say goodbye
	eval "kill -9 \$pid_$1 2>/dev/null; wait \$pid_$1 2>/dev/null"
	rm -f "$W/$1.sock"
}

proxy() { # word before|after
	python3 "$HELPER" proxy "$PORT_X" "$PORT_B" "$1" "$2" "$W/cut" &
	pids="$pids $!"
	wait_for sh -c "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", $PORT_X))' 2>/dev/null"
}

tp() { # host command...
	h=$1
	shift
	TELEPAGE_FAKE_HOST=$h TELEPAGE_DIR=$RAM/$h "$TELEPAGE" "$@"
}

move() { # vm from port [options]: its memory follows it, unless they say otherwise
	case " $* " in
	*" --mode "*) move_as_usual "$@" ;;
	*) move_as_usual "$@" --mode postcopy ;;
	esac
}

move_as_usual() { # vm from port [options]
	v=$1 f=$2 p=$3
	shift 3
	tp "$f" move "$v" --to "127.0.0.1:$p" --socket "$W/$f.sock" "$@" \
		2>"$W/move.err" >"$W/move.out"
}

no_ipv6() {
	! python3 -c 'import socket; socket.socket(socket.AF_INET6).bind(("::1", 0))' 2>/dev/null
}

wait_for() { # command...: as long as only a hang takes
	end=$(($(date +%s) + 100))
	while ! "$@"; do
		[ "$(date +%s)" -lt "$end" ] || return 1
		sleep 0.05
	done
}

vm_start() { # host [more of its arguments]
	mkdir -p "$W/vm-$1/vm0"
	cat >"$W/vm-$1/vm0/args" <<-END
	# a PC that boots from a floppy disk
	-machine
	pc,accel=tcg,memory-backend=ram0
	-nodefaults
	-display
	none
	-drive
	if=floppy,file=$W/boot.img,format=raw,readonly=on
	${2-}
	END
	tp "$1" create vm0 16M >/dev/null || return 1
	TELEPAGE_DIR=$RAM/$1 TELEPAGE_VM_DIR=$W/vm-$1/vm0 "$SHIPPED_HOOK" run vm0 || return 1
	wait_for counts "$1"
}

qmp() { # host command
	python3 "$HELPER" qmp "$W/vm-$1/vm0/qmp.sock" "$2"
}

local_say() { # host line: to the agent's own socket, what it answers
	python3 "$HELPER" local "$W/$1.sock" "$2"
}

not() {
	! "$@"
}

counter() { # host [region]
	od -An -tu4 -j 65536 -N 4 "$RAM/$1/${2:-vm0}" | tr -d ' '
}

counts() { # host [region]: does the guest get on? It ticks 18 times a second.
	c1=$(counter "$@") && [ -n "$c1" ] || return 1
	for pause in 0.1 0.2 0.4 1 2 4; do
		sleep "$pause"
		c2=$(counter "$@") && [ -n "$c2" ] || return 1
		[ "$c2" = "$c1" ] || return 0
	done
	return 1
}

answers() { # host: its agent, to a command
	[ -n "$(local_say "$1" '{"cmd":"status"}')" ]
}

stands() { # host: it does not get on
	c1=$(counter "$1") && sleep 0.5 && [ "$(counter "$1")" = "$c1" ]
}

runs() { # host [region]
	qmp "$1" query-status | grep -q '"running": true' && counts "$@"
}

# nothing of a move is left: "host regions exports links"
left() {
	python3 - "$W/state.json" "$1" <<-'END'
	import json, sys
	h = json.load(open(sys.argv[1])).get(sys.argv[2], {})
	print(",".join(sorted(h.get("regions", {}))) or "-", len(h.get("exports", {})),
	      len(h.get("links", {})), sum(bool(r.get("frozen")) for r in h.get("regions", {}).values()))
	END
}

is_left() { # host "regions exports links frozen"
	# what regions came with stays until others have their names
	[ "$(left "$1")" = "$2" ] && [ -z "$(ls -I plan -I kept "$W/st-$1")" ]
}

check() { # what command...
	what=$1
	shift
	"$@" && return 0
	echo "# failed: $what"
	return 1
}

# an agent may tell its log a moment after it has told its peer or the tool
says() { # file words
	case $1 in
	"$W"/[ab].log) wait_for grep -q -- "$2" "$1" ;;
	*) grep -q -- "$2" "$1" ;;
	esac || {
		echo "# '$2' is not in $1:"
		sed 's/^/# | /' "$1"
		return 1
	}
}

# --- a QEMU and a destination that are not real (agent_stub.py), for an agent a ---

Q=$W/qmp P=$W/peer

qemu_starts() { # what a VM is here; its number in $qemu
	python3 "$STUB" qmp "$Q" "$W/vm-a/vm0/qmp.sock" "$RAM/a/${1:-vm0}" 1048576 &
	qemu=$!
	pids="$pids $qemu"
	wait_for test -S "$W/vm-a/vm0/qmp.sock" && wait_for test -s "$Q/vm"
}

qemu_dies() {
	kill -9 "$qemu"
	wait "$qemu" 2>/dev/null
	rm -f "$Q/vm" "$Q"/hold.*
	[ -n "${1-}" ] || rm -f "$W/vm-a/vm0/qmp.sock"
}

peer_starts() {
	python3 "$STUB" peer "$P" "$PORT_B" &
	peer=$!
	pids="$pids $peer"
	wait_for python3 -c "import socket; socket.create_connection(('127.0.0.1', $PORT_B))" 2>/dev/null
}

peer_dies() {
	kill -9 "$peer"
	wait "$peer" 2>/dev/null
}

stubs_come() { # agent a is not there yet
	rm -rf "$Q" "$P"
	mkdir -p "$Q" "$P" "$W/vm-a/vm0"
	PLAIN=--insecure-plain
}

stubs_start() { # it is, and has vm0
	tp a create vm0 1M >/dev/null && qemu_starts && peer_starts
}

stop_all() {
	rm -f "$W"/hang.*
	for p in $pids; do
		kill "$p" 2>/dev/null
	done
	for p in $pids; do
		wait "$p" 2>/dev/null
	done
	pids=
	for f in "$W"/vm-*/*/pid; do
		[ -s "$f" ] && kill -9 "$(tr -dc 0-9 <"$f")" 2>/dev/null
	done
}

can_move() {
	command -v qemu-system-x86_64 >/dev/null && return 0
	echo "# no qemu-system-x86_64"
	return 1
}

stand_still() { # PID: but not with the pretended kernel in its hands, for which all others would wait
	while kill -STOP "$1"; do
		! flock -n "$W/lock" true || return 0
		kill -CONT "$1"
		sleep 0.05
	done
	return 1
}

fresh() {
	stop_all
	rm -rf "$W"/keys* "$W"/vm-* "$W"/st-* "$W"/*.log "$W"/*.sock "$W"/ev.* "$W"/state.json \
	       "$W"/hold "$W"/nothaw "$W"/cut "$W"/overrun.* "$W"/deaf.* "$W"/open.* "$W"/wanted \
	       "$W"/hush* "$W"/hung.* "$W"/images-* \
	       "${RAM:?}"/*
	mkdir -p "$W/vm-a" "$W/vm-b" "$W/vm-c"
	PLAIN=
	cp "$SHIPPED_HOOK" "$W/hook"
	ORPHAN=30
}

hook() { # a hook of the test's own, $HOOK is the shipped one in it
	{
		echo "#!/bin/sh"
		echo "HOOK=$SHIPPED_HOOK"
		cat
	} >"$W/hook.new"
	chmod +x "$W/hook.new"
	mv "$W/hook.new" "$W/hook"
}

two() {
	agent a "$PORT_A" && agent b "$PORT_B" && vm_start a
}

# after a failed move: all as it was, at both ends
unmoved() {
	check "VM runs at the source" wait_for runs a &&
	check "source is clean: $(left a)" wait_for is_left a "vm0 0 0 0" &&
	check "destination is clean: $(left b)" wait_for is_left b "- 0 0 0" &&
	check "no QEMU at the destination" test ! -e "$W/vm-b/vm0/pid"
}

moved() {
	check "VM runs at the destination" wait_for runs b &&
	check "source is empty: $(left a)" wait_for is_left a "- 0 0 0" &&
	check "destination has the region: $(left b)" wait_for is_left b "vm0 0 0 0" &&
	check "QEMU has quit at the source" test ! -S "$W/vm-a/vm0/qmp.sock"
}

# --- run ---

chosen() { # names with commas between them: those of them that are here
	for t in $all; do
		case ,$1, in
		*,"$t",*) echo "$t" ;;
		esac
	done
}

run_tests() {
	all=$(sed -n 's/^t_\([a-z0-9_]*\)() {.*/\1/p' "$0")
	[ "${TIER-}" != quick ] || ONLY=${ONLY-${QUICK-}}
	[ -z "${ONLY-}" ] || all=$(chosen "$ONLY")
	[ -n "$all" ] || skip_all "no test of ONLY=$ONLY is here"
	echo "TAP version 13"
	echo "1..$(echo "$all" | wc -l)"
	n=0 bad=0
	for t in $all; do
		n=$((n + 1))
		about=$(sed -n "s/^t_$t() { # //p" "$0")
		fresh
		if "t_$t"; then
			echo "ok $n $t: $about"
		else
			echo "not ok $n $t: $about"
			bad=1
			for l in "$W"/*.log "$W/move.err"; do
				[ ! -e "$l" ] || { echo "# $(basename "$l")"; sed 's/^/#   /' "$l"; }
			done
		fi
	done
	exit $bad
}
