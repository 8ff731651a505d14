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
	qmp "$1" migrate-set-capabilities '{"capabilities":[{"capability":"postcopy-ram","state":true}, {"capability":"postcopy-preempt","state":true}]}' >/dev/null
}

# incoming VM: QEMU waits for a migration
incoming() {
	plain_qemu "$1" -incoming defer && capabilities "$1" &&
		qmp "$1" migrate-incoming "{\"uri\":\"tcp:0.0.0.0:$MIGRATE_PORT\"}" >/dev/null
}

# what both hosts have sent on the line between them is the sum of theirs
sent() { cat /sys/class/net/eth0/statistics/tx_bytes; }

gone() {
	guestio qmp "$VM_DIRS/$1/qmp.sock" quit >/dev/null 2>&1
	[ ! -s "$GUEST_RUN/$1.logger" ] || kill "$(cat "$GUEST_RUN/$1.logger")"
	rm -f "$GUEST_RUN/$1.logger"
	wait_for 20 no_qemu
	telepage_clear
} 2>/dev/null
