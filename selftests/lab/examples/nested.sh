#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A KVM guest inside an emulated host, from start to power-off:
#   lab run examples/nested.sh
# The guest's part is a cpio archive with /guest-init, behind the base archive.
set -eu

dir=$(mktemp -d)
cat >"$dir/guest-init" <<'EOF'
#!/bin/sh
echo "guest: $(uname -r), up $(cut -d' ' -f1 /proc/uptime) s, $(grep -c hypervisor /proc/cpuinfo) CPU, $(grep MemTotal /proc/meminfo)"
EOF
chmod +x "$dir/guest-init"
(cd "$dir" && echo guest-init | cpio --quiet -o -H newc) >"$dir/own.cpio"
cat /lab/guest/initrd-base.cpio "$dir/own.cpio" >"$dir/initrd"

# Without rtc=on the guest looks for a clock for four seconds; vmlinux
# instead of vmlinuz spares it unpacking itself.
timeout 120 qemu-system-x86_64 -nodefaults -no-user-config -nographic -no-reboot \
	-M microvm,rtc=on -accel kvm -cpu host -m 256M \
	-kernel "/lab/guest/${1:-vmlinux}" -initrd "$dir/initrd" \
	-append 'console=ttyS0 quiet panic=-1 nokaslr mitigations=off no_timer_check tsc=reliable' \
	-serial "file:$dir/console" </dev/null
cp "$dir/console" "$OUT/nested-console.log"
cat "$dir/console"
grep -q "^guest: [1-9]" "$dir/console"
