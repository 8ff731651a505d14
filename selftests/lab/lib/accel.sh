# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# KVM or TCG, and how fast time runs. /dev/kvm is no promise: on some machines it opens and then cannot
# run an ordinary kernel, so one is booted to see, once per boot of the machine.
# The time stamp counter of an emulated CPU is the machine's own, less an offset;
# when time is counted in instructions, it is that count: one per nanosecond.

# accel_choose: sets ACCEL.
accel_choose() {
	ACCEL=tcg
	if [ -n "$ICOUNT" ]; then
		return
	elif [ -n "${LAB_ACCEL:-}" ]; then
		case $LAB_ACCEL in
		tcg | kvm) ACCEL=$LAB_ACCEL ;;
		*) usage_error "LAB_ACCEL is tcg or kvm, not '$LAB_ACCEL'" ;;
		esac
	elif [ -w /dev/kvm ] && accel_kvm_works; then
		ACCEL=kvm
	fi
}

accel_kvm_works() {
	local memo=$CACHE/kvm-works boot answer

	boot=$(cat /proc/sys/kernel/random/boot_id)
	if [ "$(sed -n 1p "$memo" 2>/dev/null)" = "$boot" ]; then
		answer=$(sed -n 2p "$memo")
	else
		answer=no
		qemu_command
		if timeout 15 "${QEMU[@]}" -nodefaults -no-user-config -nographic -no-reboot \
			-M q35 -accel kvm -cpu host -m 256M -kernel "$GUEST/vmlinux" \
			-initrd "$BOOT/initrd.cpio" -append 'console=ttyS0 quiet panic=-1 lab.probe' \
			-serial stdio </dev/null 2>/dev/null | grep -q lab-probe-alive; then
			answer=yes
		fi
		printf '%s\n%s\n' "$boot" "$answer" >"$memo.$$"
		mv "$memo.$$" "$memo"
	fi
	[ "$answer" = yes ]
}

# tsc_choose: sets TSC_KHZ; empty where the kernel has to find out. It does so by
# comparing with emulated timers, and when QEMU lost its CPU meanwhile it may end
# with a clock that runs five times too fast. Under KVM it is told.
tsc_choose() {
	TSC_KHZ=
	if [ -n "$ICOUNT" ]; then
		TSC_KHZ=1000000
	elif [ "$ACCEL" = tcg ]; then
		agent_open
		TSC_KHZ=$("$AGENT" tsc) || say "this machine's time stamp counter is uneven; clocks of hosts may be off"
	fi
}
