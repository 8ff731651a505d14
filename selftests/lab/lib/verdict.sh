# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What a run comes to. A script's own status counts only if every host got to
# its verdict and no kernel complained.

# verdict_status: says what is wrong, if anything, and sets STATUS.
verdict_status() {
	local host

	STATUS=0
	for host in "${HOST_NAMES[@]}"; do
		[ "$STATUS" != 0 ] || STATUS=${SCRIPT_STATUS[$host]:-0}
	done
	[ -z "$TIMED_OUT" ] || verdict_worse "$EXIT_TIMEOUT" "no end after $TIMEOUT s"
	for host in "${HOST_NAMES[@]}"; do
		verdict_of "$host"
	done
}

verdict_of() {
	local host=$1 dir=$OUT_DIR/$1 fault

	if fault=$(verdict_emulator "$dir"); then
		verdict_worse "$EXIT_EMULATOR" "the emulator of host $host failed: $fault"
		return
	fi
	# The console goes on after the kernel log was saved, to the power-off.
	grep -a -E -h -f <(grep -v '^#' "$LAB/splats") "$dir/console.log" "$dir/dmesg.txt" 2>/dev/null |
		awk '!seen[$0]++' >"$dir/splats"
	if [ -s "$dir/splats" ]; then
		verdict_worse "$EXIT_KERNEL" "the kernel of host $host complains: $(head -n 1 "$dir/splats")"
		return
	fi
	rm -f "$dir/splats"
	case ${VERDICT[$host]:-} in
	'verdict ok') ;;
	'verdict stuck') verdict_worse "$EXIT_KERNEL" "host $host could not end its processes or let go of its disk" ;;
	'verdict held') verdict_worse "$EXIT_KERNEL" "telepage on host $host does not let go, or lost memory, see its console" ;;
	'setup '*) verdict_worse "$EXIT_SETUP" "host $host: ${VERDICT[$host]#setup }" ;;
	*)
		if verdict_was_reset "$host"; then
			verdict_worse "$EXIT_EMULATOR" "the emulator of host $host failed: its CPUs were reset, without a word of its kernel"
		elif [ -z "$TIMED_OUT" ]; then
			verdict_worse "$EXIT_NO_VERDICT" "host $host ended without a verdict"
		fi
		;;
	esac
}

# verdict_emulator DIR: what the emulator said it did wrong, or did. Three faults of
# QEMU's multi-threaded TCG are known from busy machines: an assertion of its own
# (iotlb_to_section, MSI-X); a breakpoint that a kernel trips over after it patched it
# away, for the translation of the old instruction outlived the write (a breakpoint that
# is really there has 0xcc in front of where the CPU stopped); and a CPU in a nested
# guest that never takes the interrupt that KVM sends to get it out.
verdict_emulator() {
	grep -a -m 1 -E 'Assertion .* failed|assertion failed|should not be reached' \
		"$1/qemu.log" && return
	[ "$ACCEL" = tcg ] && awk '
		/int3: 0000 \[#1\]/ { at = $0 }
		at && /Code: / {
			if (match($0, /[0-9a-f][0-9a-f] </) && substr($0, RSTART, 2) != "cc") {
				print at
				found = 1
			}
			exit
		}
		/soft lockup/ { stuck = $0; waits = 0 }
		stuck && /RIP: .*smp_call_function_many_cond/ { waits = 1 }
		stuck && waits && /kvm_(make_all_cpus_request|flush_remote_tlbs|kick)/ {
			print stuck
			found = 1
			exit
		}
		END { exit !found }' "$1/console.log"
}

# verdict_was_reset HOST: did it end by itself, and not by its kernel's decision? A
# kernel that powers off, reboots or panics says so at the highest level.
verdict_was_reset() {
	[ "$ACCEL" = tcg ] && [ -n "${FELL[$1]:-}" ] &&
		! grep -a -q -E 'reboot: |Kernel panic' "$OUT_DIR/$1/console.log"
}

# What the emulator broke proves nothing; else a hang stays a hang.
verdict_worse() {
	say "$2"
	case $STATUS in
	"$EXIT_EMULATOR") ;;
	"$EXIT_TIMEOUT") [ "$1" != "$EXIT_EMULATOR" ] || STATUS=$1 ;;
	*) STATUS=$1 ;;
	esac
}

# Where to look. The log's end is only worth showing when the kernel or the
# lab is at fault; a script that fails has said so itself.
verdict_report() {
	local host

	if [ "$STATUS" -ge "$EXIT_KERNEL" ] && [ "$STATUS" -le "$EXIT_TIMEOUT" ]; then
		for host in "${HOST_NAMES[@]}"; do
			say "the console of host $host ends:"
			# Without the escapes by which the firmware clears a screen.
			tail -n 25 "$OUT_DIR/$host/console.log" |
				sed 's/\x1b[^A-Za-z]*[A-Za-z]//g' | tr -d '\000-\010\013-\037' |
				sed "s/^/  $host| /" >&2
			[ ! -s "$OUT_DIR/$host/qemu.log" ] || sed "s/^/  $host qemu| /" "$OUT_DIR/$host/qemu.log" |
				grep -v 'TCG doesn.t support' >&2
		done
	fi
	say "status $STATUS; files are in $OUT_DIR"
}
