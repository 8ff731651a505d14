# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What a kernel needs to boot as one of our hosts: the first initrd, and the
# disk with its modules and with what a nested guest boots from.

# bootfiles_open: needs kernel_open; sets BOOT (initrd.cpio, kernel.img).
bootfiles_open() {
	local name

	name=boot-$RELEASE-$({
		root_name
		echo "${KERNEL##*/} ${GUEST##*/}"
		cat "$LAB/guest/boot-init" "$LAB/guest/nested-init" "$LAB/lib/bootfiles.sh"
	} | hash_of)
	cache_entry "$name" bootfiles_make
	BOOT=$CACHE/$name
}

bootfiles_make() {
	local dir=$1 disk=$1/disk

	bootfiles_initrd "$dir/initrd.cpio" "$LAB/guest/boot-init" "$KERNEL" \
		virtio_pci virtio_blk virtio_console overlay
	# Links, not copies; mke2fs reads them only.
	cp -al "$KERNEL/disk" "$disk"
	mkdir "$disk/guest"
	cp -l "$GUEST/vmlinuz" "$GUEST/vmlinux" "$disk/guest/"
	bootfiles_initrd "$disk/guest/initrd-base.cpio" "$LAB/guest/nested-init" "$GUEST" \
		virtio_mmio virtio_pci virtio_blk virtio_net virtio_console virtio_balloon
	image_make "$disk" "$dir/kernel.img"
	rm -rf "$disk"
}

# bootfiles_initrd FILE INIT KERNEL MODULE...: busybox, an init, and that kernel's
# modules with those they need, numbered in the order of loading.
bootfiles_initrd() {
	local file=$1 init=$2 kernel=$3 tree=$1.tree module path n=10
	shift 3

	mkdir -p "$tree"/{bin,dev,proc,sys,tmp,modules}
	cp -L "$TREE/usr/bin/busybox" "$tree/bin/"
	ln -s busybox "$tree/bin/sh"
	install -m 755 "$init" "$tree/init"
	while read -r path; do
		cp "$path" "$tree/modules/$n-${path##*/}"
		n=$((n + 1))
	done < <(for module; do
		tree_run modprobe -d "$kernel/disk" -S "$(cat "$kernel/release")" --show-depends "$module"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++')
	(cd "$tree" && find . | "$TREE/usr/bin/busybox" cpio -o -H newc -R 0:0 2>/dev/null) >"$file"
	rm -rf "$tree"
}
