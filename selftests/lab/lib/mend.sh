# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A fault of QEMU's emulated SVM that breaks KVM guests, mended in the lab's own copy.
#
# When VMRUN injects an interrupt, helper_vmrun() notes the vector in
# cpu->exception_index before it delivers it, and leaves it there: seen in 7.2, 10.0 and
# in what came after. Whatever then makes the CPU leave its loop before the guest's next
# exit (a kick from another thread, and always the end of a CPU's turn with
# thread=single) finds an exception pending and delivers the interrupt a second time,
# also while the guest has interrupts off: a guest deadlocks in its timer interrupt, or
# has a triple fault. Nobody needs the note, so the store becomes a no-op.

# The address and length of that store, from the disassembly of helper_vmrun() on stdin.
# It is the last one before the call of do_interrupt_x86_hardirq() into what lies in
# front of the CPU's registers, which is where QEMU keeps CPUState. AT&T syntax:
#	7c4f24:	89 b3 10 d7 ff ff	mov    %esi,-0x28f0(%rbx)
mend_find() {
	awk -F '\t' '
		/call .*<do_interrupt_x86_hardirq[@>]/ { calls++; if (NR - at < 20) found = store; next }
		$3 ~ /^movl? +%[a-z0-9]+,-0x[0-9a-f][0-9a-f][0-9a-f]+\(%r[a-z0-9]+\)/ {
			sub(/^ */, "", $1)
			sub(/:.*/, "", $1)
			store = $1 " " split($2, bytes, " ")
			at = NR
		}
		END {
			if (calls != 1 || found == "")
				exit 1
			print found
		}'
}

# mend_qemu PROGRAM: in place.
mend_qemu() {
	local program=$1 address length section size at
	local -A nop=([6]='\x66\x0f\x1f\x44\x00\x00' [7]='\x0f\x1f\x80\x00\x00\x00\x00')

	read -r address length < <(objdump -d --disassemble=helper_vmrun "$program" | mend_find)
	if [ -z "$address" ] || [ -z "${nop[$length]:-}" ]; then
		say "this QEMU cannot be mended, or need not be: guests in the hosts may hang or be reset"
		return
	fi
	# where in the file: section headers have size, address and offset
	read -r size section at < <(objdump -h -j .text "$program" | awk '$2 == ".text" { print $3, $4, $6 }')
	at=$((16#$at + 16#$address - 16#$section))
	[ $((16#$address - 16#$section)) -lt $((16#$size)) ] || die "$program: cannot be mended"
	# shellcheck disable=SC2059 # the escapes are wanted
	printf "${nop[$length]}" | dd of="$program" bs=1 seek="$at" conv=notrunc status=none ||
		die "cannot write $program"
}
