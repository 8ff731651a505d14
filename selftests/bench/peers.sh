# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash source=selftests/guest/lib.sh
# What peers.bench does on either of its two hosts, with the functions of the guest
# tests. A guest whose RAM is no region, for QEMU's own migration, has the same
# directory, arguments and console as one of telepage's.

GUEST_TEST=/lab/files/bench/peers.sh
GUEST_RAM=128M
. /lab/bin/guestlib.sh

MIGRATE_PORT=4444

# plain_qemu VM [OPTION...]: RAM as QEMU makes it when it is not told how
plain_qemu() {
	plain_vm=$1
	shift
	set -- -name "$plain_vm" -m "$GUEST_RAM" "$@"
	while IFS= read -r plain_line; do
		set -- "$@" "$plain_line"
	done <"$VM_DIRS/$plain_vm/args"
	qemu-system-x86_64 "$@" -qmp "unix:$VM_DIRS/$plain_vm/qmp.sock,server=on,wait=off" \
		-daemonize -pidfile "$VM_DIRS/$plain_vm/pid" </dev/null
}

# plain_args VM [PARAMETER...]
plain_args() {
	vm_args "$@"
	sed -i 's/,memory-backend=ram0//' "$VM_DIRS/$1/args"
}

# plain_run VM [PARAMETER...]: as vm_run
plain_run() {
	plain_args "$@"
	console_open "$1"
	plain_qemu "$1" && wait_for 90 grep -q ' hb ' "$GUEST_LOG/$1.log"
}

qmp() {
	qmp_vm=$1
	shift
	guestio qmp "$VM_DIRS/$qmp_vm/qmp.sock" "$@"
}

capabilities() {
	cap_on='"state":true'
	cap_list="{\"capability\":\"postcopy-ram\",$cap_on},{\"capability\":\"postcopy-preempt\",$cap_on}"
	cap_list="$cap_list,{\"capability\":\"events\",$cap_on}"
	qmp "$1" migrate-set-capabilities "{\"capabilities\":[$cap_list]}" >/dev/null
}

# incoming VM: QEMU waits for a migration
incoming() {
	plain_qemu "$1" -incoming defer && capabilities "$1" &&
		qmp "$1" migrate-incoming "{\"uri\":\"tcp:0.0.0.0:$MIGRATE_PORT\"}" >/dev/null
}

# One connection that stays: asking again and again would take the CPU that the guest is
# to have. Commands go to descriptor 3, answers and events come from 4.

# talk VM
talk() {
	mkfifo "$GUEST_RUN/say" "$GUEST_RUN/hear"
	socat - "UNIX-CONNECT:$VM_DIRS/$1/qmp.sock" <"$GUEST_RUN/say" >"$GUEST_RUN/hear" &
	exec 3>"$GUEST_RUN/say" 4<"$GUEST_RUN/hear"
	rm "$GUEST_RUN/say" "$GUEST_RUN/hear"
	tell qmp_capabilities && hear '"return"' >/dev/null
}

# tell COMMAND [ARGUMENTS]
tell() {
	tell_with=${2:-}
	printf '{"execute":"%s","arguments":%s}\n' "$1" "${tell_with:-"{}"}" >&3
}

# hear WORD [WORD]: the next line that holds both; fails on an error, or when
# the migration has come to an end that was not waited for
hear() {
	while read -r heard <&4; do
		case $heard in
		*"$1"*"${2:-}"*)
			echo "$heard"
			return
			;;
		*'"error"'* | *'"status": "failed"'* | *'"status": "postcopy-paused"'* | \
			*'"status": "completed"'*)
			echo "$heard"
			return 1
			;;
		esac
	done
	heard=
	return 1
}

hang_up() { exec 3>&- 4<&-; }

# what both hosts have sent on the line between them is the sum of theirs
sent() { cat /sys/class/net/eth0/statistics/tx_bytes; }

# what this host's CPUs did but run guests' code, in hundredths of a second
cpu_spent() { awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 - $10 - $11 }' /proc/stat; }

gone() {
	guestio qmp "$VM_DIRS/$1/qmp.sock" quit >/dev/null 2>&1
	[ ! -s "$GUEST_RUN/$1.logger" ] || kill "$(cat "$GUEST_RUN/$1.logger")"
	rm -f "$GUEST_RUN/$1.logger"
	wait_for 20 no_qemu
	telepage_clear
} 2>/dev/null
