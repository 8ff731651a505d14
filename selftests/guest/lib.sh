#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What the guest tests and the demo share. It is on the PATH of both emulated
# hosts; a function acts on the host it runs on, and "on a|b FUNCTION ..." runs
# one on that host. A test with such functions of its own sets GUEST_TEST=$0 before
# it reads this file and has, behind its functions,
#	[ -z "${ON_OTHER:-}" ] || return 0
#
# A VM named NAME: region NAME, directory /run/telepage-vm/NAME (args, qmp.sock,
# console.sock, pid), its console's lines with times in $OUT/guest/NAME.log.

GUEST_LIB=/lab/bin/guestlib.sh
GUEST_RUN=/run/guest
GUEST_LOG=${OUT:-/tmp}/guest
VM_DIRS=/run/telepage-vm
GUEST_HOOK=${GUEST_HOOK:-/lab/bin/telepage-hook-qemu}
GUEST_RAM=${GUEST_RAM:-256M}
SLOW=${LAB_SLOW:-1}	# so many times more time this kernel needs
# Nothing here is about security or about hardware that can be trusted less. The
# clock chip's driver polls it for a second, in 20,000 exits: half of the boot.
GUEST_APPEND='console=ttyS0 quiet panic=-1 nokaslr mitigations=off no_timer_check tsc=reliable initcall_blacklist=cmos_init'
# Each character of the console is an exit; a debug kernel needs longer for a line than there is
# between two heartbeats, and the guest would do nothing else.
[ "$SLOW" = 1 ] || GUEST_APPEND="$GUEST_APPEND gl.beat=$((100 * SLOW))"

# A test that is ended from outside must run its EXIT trap, too.
trap 'exit 143' TERM INT

# TAP

TAP_COUNT=0 TAP_FAILED=0
read -r TAP_SINCE _ </proc/uptime

# took: what the result before this line waited for, in whole seconds, if it did
took() {
	read -r tap_now _ </proc/uptime
	[ $((${tap_now%.*} - ${TAP_SINCE%.*})) -le 1 ] ||
		echo "# $((${tap_now%.*} - ${TAP_SINCE%.*})) s"
	TAP_SINCE=$tap_now
}

ok() {
	TAP_COUNT=$((TAP_COUNT + 1))
	echo "ok $TAP_COUNT - $*"
	took
}

not_ok() {
	TAP_COUNT=$((TAP_COUNT + 1)) TAP_FAILED=$((TAP_FAILED + 1))
	echo "not ok $TAP_COUNT - $*"
	took
}

note() { printf '%s\n' "$*" | sed 's/^/# /'; }

# check "WHAT" COMMAND...: its stderr and stdout are shown if it fails
check() {
	tap_what=$1
	shift
	if tap_said=$("$@" 2>&1); then
		ok "$tap_what"
	else
		not_ok "$tap_what"
		note "$* -> $tap_said"
		# at once, for the test may not come to its end
		[ "$TAP_FAILED" != 1 ] || diagnose
		guest_was_reset || return 1
		echo "Bail out! the CPU of a guest was reset, without a word of its kernel"
		exit "$EMULATOR"
	fi
}

# Under QEMU's TCG a guest in the host now and then has its CPU reset (a triple
# fault), with all of its memory right; see README.md. With this status the runner tries
# the test once more.
EMULATOR=122
guest_was_reset() {
	[ "${LAB_ACCEL:-}" = tcg ] || return 1
	for reset_host in $(hosts); do
		! on "$reset_host" guest_was_reset_here || return 0
	done
	return 1
}

guest_was_reset_here() {
	for reset_qmp in "$VM_DIRS"/*/qmp.sock; do
		reset_vm=$(basename "$(dirname "$reset_qmp")")
		if timeout 5 guestio qmp "$reset_qmp" query-status 2>/dev/null | grep -q '"shutdown"'; then
			! grep -q ' bad page\| bad=[1-9]\|panic\|Oops\|guestload:' "$GUEST_LOG/$reset_vm.log"
			return
		fi
	done
	return 1
}

skip_all() {
	echo "1..0 # SKIP $*"
	exit 4
}

bail() {
	echo "Bail out! $*"
	diagnose
	exit 1
}

finish() {
	echo "1..$TAP_COUNT"
	[ "$TAP_FAILED" = 0 ]
	exit
}

# hosts

on() {
	on_host=$1
	shift
	if [ "$on_host" = "$LAB_HOST" ]; then
		"$@"
	else
		# shellcheck disable=SC2016
		peer -n sh -c 'ON_OTHER=1; . "$0" && "$@"' "${GUEST_TEST:-$GUEST_LIB}" "$@"
	fi
}

hosts() {
	echo "$LAB_HOST"
	[ ! -e /run/lab/peer ] || if [ "$LAB_HOST" = a ]; then echo b; else echo a; fi
}

everywhere() {
	for host in $(hosts); do
		on "$host" "$@" || return 1
	done
}

# wait_for SECONDS COMMAND...: more of them on a kernel that is slow
wait_for() {
	wait_until=$(($(date +%s) + $1 * SLOW))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$wait_until" ] || return 1
		sleep 0.1
	done
}

# wait_for_on a|b SECONDS COMMAND...
wait_for_on() {
	wait_host=$1
	shift
	on "$wait_host" wait_for "$@"
}

# set-up and clean-up

# Everything a VM needs on this host before it can run or arrive.
host_open() {
	mkdir -p "$GUEST_RUN" "$VM_DIRS"
	[ -c /dev/kvm ] || {
		echo 'no /dev/kvm on this host'
		return 1
	}
	if [ ! -e "$GUEST_RUN/initrd" ]; then
		cp /lab/bin/guestload "$GUEST_RUN/init"
		(cd "$GUEST_RUN" && echo init | cpio --quiet -o -H newc >initrd.new) &&
			mv "$GUEST_RUN/initrd.new" "$GUEST_RUN/initrd"
	fi
}

# What a test left behind must not be what the next one finds.
host_close() {
	line_restore
	agent_kill
	for host_pid in "$VM_DIRS"/*/pid; do
		[ ! -s "$host_pid" ] || kill -9 "$(cat "$host_pid")" 2>/dev/null
	done
	for host_pid in "$GUEST_RUN"/*.logger; do
		[ ! -s "$host_pid" ] || kill "$(cat "$host_pid")" 2>/dev/null
	done
	sleep 0.3
	telepage_clear
	rm -rf "$VM_DIRS" "$GUEST_RUN"/*.fifo "$GUEST_RUN"/*.logger \
		/run/telepage-agent
	[ ! -d "$GUEST_LOG" ] || mv "$GUEST_LOG" "$GUEST_LOG.$(find "$OUT" -maxdepth 1 -name 'guest.*' | wc -l)"
}

telepage_clear() {
	for clear_name in $(telepage list --json | jq -r '.regions[]? | select(.state != "local") | .name'); do
		telepage abandon "$clear_name" --yes
	done
	for clear_name in $(telepage list exports --names); do
		telepage release "$clear_name" --yes
	done
	for clear_name in $(telepage list regions --names); do
		telepage delete "$clear_name"
	done
	for clear_name in $(telepage list links --names); do
		telepage plumb link del "$clear_name"
	done
	# the agent may have been quicker with some of it
	wait_for 20 nothing_left
}

# The line from this host becomes slower, or nothing leaves any more, until line_join,
# line_restore or the test's end.
line_slow() { line_change "s/rate [^ ]*/rate $1/"; }
line_cut() { line_change 's/ loss [^ ]*//; s/$/ loss 100%/'; }
line_join() { line_change 's/ loss [^ ]*//'; }

# line_change SED: of what tc says of it
line_change() {
	[ -s "$GUEST_RUN/line" ] || line_config >"$GUEST_RUN/line"
	# shellcheck disable=SC2046
	tc qdisc change dev eth0 root netem $(line_config | sed "$1")
}

# Every connection between the agents and between the kernels, at this end; the other one
# hears of it if the network lets it. ss is silent about a kernel that cannot.
line_reset() {
	reset_which='( sport = :4790 or dport = :4790 )'
	[ -n "$(ss -Ht state established "$reset_which")" ] || return 0
	[ -z "$(ss -KHt state established "$reset_which")" ] || return 0
	echo "host $LAB_HOST: this kernel resets no connections (CONFIG_INET_DIAG_DESTROY)"
	return 1
}

line_config() {
	tc qdisc show dev eth0 | sed -n 's/^qdisc netem .* root refcnt [0-9]* //p' | sed 's/ seed .*//'
}

line_restore() {
	[ -s "$GUEST_RUN/line" ] || return 0
	# shellcheck disable=SC2046
	tc qdisc change dev eth0 root netem $(cat "$GUEST_RUN/line")
	rm "$GUEST_RUN/line"
}

# nothing_left [VM]: no link, no export, and no region but the VM's
nothing_left() {
	left_regions=$(telepage list regions --names | tr '\n' ' ')
	left_more=$(telepage list exports --names | tr '\n' ' ')/$(telepage list links --names | tr '\n' ' ')
	if [ "$left_more" = / ]; then
		# an earlier stay's copy may have had the name when the VM came
		case "${1:-}:$left_regions" in
		: | ?*:"${1:-} " | ?*:"${1:-}".[0-9]" ") return 0 ;;
		esac
	fi
	echo "host $LAB_HOST has regions '$left_regions' (VM '${1:-}'), exports/links '$left_more'"
	return 1
}

# a dead one that nobody has waited for yet is gone, too
no_qemu() { ! pgrep -r D,R,S,T -a qemu-system; }

# of a move that came to nothing: all of it goes, and stays away
nothing_comes() { wait_for 20 nothing_left && wait_for 20 no_qemu && nothing_left && no_qemu; }

# agents

# agent_keys: a shared key for both hosts, the way a user makes one
agent_keys() {
	[ ! -e /etc/telepage/psk ] && [ ! -e /etc/telepage/agent.crt ] || return 0
	telepage agent init >/dev/null || return 1
	[ ! -e /run/lab/peer ] || peer telepage agent init --import - </etc/telepage/psk >/dev/null
}

# What its unit takes of root's rights, as setpriv wants it: Makefile.inc puts it in.
AGENT_RIGHTS='@AGENT_RIGHTS@'

# agent_start [OPTION...]: and waits until it answers
agent_start() {
	mkdir -p "$GUEST_RUN" "$GUEST_LOG"
	agent_keys || return 1
	setsid setpriv --bounding-set "$AGENT_RIGHTS" telepage agent --hook "$GUEST_HOOK" "$@" \
		</dev/null >>"$GUEST_LOG/agent.log" 2>&1 &
	echo $! >"$GUEST_RUN/agent.pid"
	wait_for 10 agent_answers
}

agent_answers() {
	[ -S /run/telepage-agent.sock ] && ss -Hltn 'sport = :4790' | grep -q .
}

# agent_kill [SIGNAL]
agent_kill() {
	[ -s "$GUEST_RUN/agent.pid" ] || return 0
	kill "-${1:-TERM}" "$(cat "$GUEST_RUN/agent.pid")" 2>/dev/null
	wait_for 5 agent_gone
	rm -f "$GUEST_RUN/agent.pid"
}

agent_gone() { ! kill -0 "$(cat "$GUEST_RUN/agent.pid")" 2>/dev/null; }

# VMs

# vm_args NAME [PARAMETER...]: what the guest is and does (gl.load=heavy ...). A guest
# that dies stays, to be looked at.
vm_args() {
	args_vm=$1
	shift
	mkdir -p "$VM_DIRS/$args_vm"
	cat >"$VM_DIRS/$args_vm/args" <<-EOA
		-machine
		${GUEST_MACHINE:-microvm},accel=kvm,memory-backend=ram0
		-cpu
		${GUEST_CPU:-host}
		-nodefaults
		-no-user-config
		-display
		none
		-no-reboot
		-no-shutdown
		-kernel
		/lab/guest/vmlinux
		-initrd
		$GUEST_RUN/initrd
		-append
		$GUEST_APPEND $*
		-serial
		unix:$VM_DIRS/$args_vm/console.sock,server=on,wait=off
	EOA
}

# The console's log goes on over the VM's going and coming.
console_open() {
	# two would take each other's lines
	if [ -s "$GUEST_RUN/$1.logger" ] && kill -0 "$(cat "$GUEST_RUN/$1.logger")" 2>/dev/null; then
		return 0
	fi
	mkdir -p "$VM_DIRS/$1" "$GUEST_RUN" "$GUEST_LOG"
	[ -p "$GUEST_RUN/$1.fifo" ] || mkfifo "$GUEST_RUN/$1.fifo"
	: >>"$GUEST_LOG/$1.log"
	setsid guestio log "$VM_DIRS/$1/console.sock" "$GUEST_LOG/$1.log" "$GUEST_RUN/$1.fifo" \
		</dev/null >/dev/null 2>&1 &
	echo $! >"$GUEST_RUN/$1.logger"
}

# vm_run NAME [PARAMETER...]: from nothing to the first heartbeat
vm_run() {
	run_vm=$1
	vm_args "$@"
	telepage create "$run_vm" "$GUEST_RAM" >/dev/null || return 1
	console_open "$run_vm"
	"$GUEST_HOOK" run "$run_vm" </dev/null || return 1
	wait_for 240 grep -q ' hb ' "$GUEST_LOG/$run_vm.log" || {
		tail -n 5 "$GUEST_LOG/$run_vm.log"
		return 1
	}
}

# vm_ask NAME COMMAND ANSWER SECONDS: prints the first line that begins with
# ANSWER (an extended regular expression) after the command was given
vm_ask() {
	ask_from=$(($(wc -l <"$GUEST_LOG/$1.log") + 1))
	ask_until=$(($(date +%s) + $4)) ask_tries=0
	printf '%s\n' "$2" >"$GUEST_RUN/$1.fifo"
	while :; do
		if ask_line=$(tail -n "+$ask_from" "$GUEST_LOG/$1.log" | cut -d' ' -f2- |
			grep -E -m 1 "^($3)"); then
			echo "$ask_line"
			return 0
		fi
		if [ "$(date +%s)" -ge "$ask_until" ]; then
			echo "no answer to '$2' in $4 s; last: $(tail -n 1 "$GUEST_LOG/$1.log")"
			return 1
		fi
		ask_tries=$((ask_tries + 1))
		if [ $((ask_tries % 100)) = 0 ] && guest_was_reset_here; then
			echo "no answer to '$2': the guest's CPU was reset"
			return 1
		fi
		sleep 0.1
	done
}

# vm_verify NAME [SECONDS]: every page and file of the guest
vm_verify() {
	verify_line=$(vm_ask "$1" verify 'verify |guestload: ' "${2:-400}")
	echo "$verify_line"
	case $verify_line in
	'verify ok '*' bad=0 '*) vm_same "$1" ;;
	*)
		grep ' bad page' "$GUEST_LOG/$1.log" | tail -n 5
		return 1
		;;
	esac
}

vm_write() { vm_ask "$1" write 'write ok' "${2:-240}"; }

# vm_beats NAME: at least five heartbeats in the next seconds, none bad
vm_beats() {
	beats_before=$(vm_count "$1")
	wait_for "${2:-20}" vm_count_above "$1" $((beats_before + 4)) || {
		echo "no heartbeats after $beats_before: $(tail -n 1 "$GUEST_LOG/$1.log")"
		return 1
	}
	vm_same "$1"
}

vm_count() {
	vm_count_n=$(sed -n 's/^[^ ]* hb \([0-9]*\) t=.* boot=.*/\1/p' "$GUEST_LOG/$1.log" | tail -n 1)
	echo "${vm_count_n:-0}"
}

vm_count_above() { [ "$(vm_count "$1")" -gt "$2" ]; }

# vm_same NAME: one boot only in this console's log, and nothing bad ever
vm_same() {
	same_boots=$(grep -o ' boot=[0-9a-f]\{8\}$' "$GUEST_LOG/$1.log" | sort -u | wc -l)
	if [ "$same_boots" != 1 ] || grep -q ' bad page\| bad=[1-9]' "$GUEST_LOG/$1.log"; then
		echo "$same_boots boots, bad: $(grep -m 3 ' bad page\| bad=[1-9]' "$GUEST_LOG/$1.log")"
		return 1
	fi
}

# all eight digits: the last line may be written just now
vm_boot_id() { grep -o ' boot=[0-9a-f]\{8\}$' "$GUEST_LOG/$1.log" | tail -n 1; }

# vm_end NAME: the VM and its region go
vm_end() {
	guestio qmp "$VM_DIRS/$1/qmp.sock" quit >/dev/null
	wait_for 10 telepage delete "$1"
}

# vm_move NAME a|b [OPTION...]: from here; returns when all of it has arrived
vm_move() {
	move_vm=$1 move_to=$2
	shift 2
	telepage move "$move_vm" --to "host-$move_to" --json "$@" >"$GUEST_LOG/$move_vm.move.json"
}

# no_gap NAME: from this host to the other, and back if it came back, no
# heartbeat was lost or repeated. A switch-over may have cut one in two, each half
# on a console of its own.
no_gap() {
	{
		sed '/^[^ ]* ~/q' "$GUEST_LOG/$1.log"
		on "$(other)" cat "$GUEST_LOG/$1.log"
		sed '1,/^[^ ]* ~/d' "$GUEST_LOG/$1.log"
	} | beats_in_order
}

other() { hosts | sed -n 2p; }

# beats_in_order: of consoles' logs in the order the guest was there
beats_in_order() {
	awk '
		$2 ~ /^~/ { half = substr($0, index($0, "~") + 1); next }
		{
			line = substr($0, index($0, " ") + 1)
			if (half != "") { line = half line; half = "" }
		}
		line !~ /^hb [0-9]+ t=.* boot=[0-9a-f]*[0-9a-f]$/ || length(line) - index(line, " boot=") != 13 { next }
		{
			split(line, w, " ")
			if (last && w[2] != last + 1) { print "beat " w[2] " after " last; bad = 1 }
			last = w[2]
		}
		END { exit bad || !last }'
}

# What a guest waits for when it goes on at a move's destination: serial_trace on this host
# before it comes, serial_count NAME once it runs.
SERIAL_TRACE=/sys/kernel/tracing

serial_trace() {
	echo mono >$SERIAL_TRACE/trace_clock
	echo 16384 >$SERIAL_TRACE/buffer_size_kb
	echo >$SERIAL_TRACE/trace
	for serial_event in telepage/telepage_fault telepage/telepage_done kvm/kvm_page_fault \
		kvm/kvm_async_pf_not_present; do
		echo 1 >$SERIAL_TRACE/events/$serial_event/enable || return 1
	done
}

# serial_count NAME: "FIRST ALL SECONDS": faults that waited for a page, with all else standing
# still, before the first that another task of the guest could use; all of those; and how long
# it was to that first. The trace ends here.
serial_count() {
	# it may have beaten a few times before another task had anything to do
	wait_for 60 grep -q ': kvm_async_pf_not_present:' $SERIAL_TRACE/trace
	echo 0 >$SERIAL_TRACE/events/enable
	cp $SERIAL_TRACE/trace "$GUEST_LOG/$1.serial"
	echo >$SERIAL_TRACE/trace
	awk '
		function page() { match($0, / page=[0-9]+/); return substr($0, RSTART, RLENGTH) }
		function now() { match($0, /[0-9]+\.[0-9]+:/); return substr($0, RSTART, RLENGTH) + 0 }
		# before it nothing of the guest has run
		/: kvm_page_fault: / { if (!begun) { begun = 1; since = now() } }
		/: kvm_async_pf_not_present: / && begun && !asynchronous { asynchronous = now() }
		/: telepage_fault: .* nowait=0/ && begun { waits[page()] = 1 }
		/: telepage_done: / && (page() in waits) {
			delete waits[page()]
			all++
			if (!asynchronous)
				first++
		}
		END {
			if (!asynchronous)
				exit 1
			printf "%d %d %.3f\n", first, all, asynchronous - since
		}' "$GUEST_LOG/$1.serial"
}

# clock_serve PORT: lets the other host compare clocks, see guestio.c
clock_serve() {
	setsid guestio clock-serve "$1" </dev/null >/dev/null 2>&1 &
}

# For a failure's report: what both hosts have and say.
diagnose() {
	for diagnose_host in $(hosts); do
		on "$diagnose_host" diagnose_here 2>&1 | sed "s/^/# $diagnose_host| /"
	done
}

diagnose_here() {
	telepage list
	for diagnose_pid in $(pgrep -r D,R,S,T qemu-system); do
		echo "QEMU $diagnose_pid: $(tr '\0' ' ' <"/proc/$diagnose_pid/cmdline" | cut -c1-60)"
		grep -H . "/proc/$diagnose_pid"/task/*/comm
		cat "/proc/$diagnose_pid"/task/*/stack
	done
	for diagnose_qmp in "$VM_DIRS"/*/qmp.sock; do
		[ -S "$diagnose_qmp" ] || continue
		timeout 5 guestio qmp "$diagnose_qmp" query-status
		for diagnose_what in 'info registers' 'info lapic' 'info pic' 'info irq'; do
			timeout 5 guestio qmp "$diagnose_qmp" human-monitor-command \
				"{\"command-line\":\"$diagnose_what\"}" | sed 's/\\r\\n/\n/g'
		done
	done
	grep . /sys/fs/telepage/*/state /sys/fs/telepage/*/absent
	tail -n 15 "$GUEST_LOG/agent.log"
	for diagnose_log in "$GUEST_LOG"/*.log; do
		echo "$diagnose_log:"
		grep -v ' hb ' "$diagnose_log" | tail -n 12
		tail -n 2 "$diagnose_log"
	done
} 2>/dev/null
