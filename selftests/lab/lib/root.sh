# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The emulated hosts' root: a tree of unpacked packages in the cache, and the
# read-only ext4 image made of it. No maintainer script runs; what they would
# have done and we need is done here.

root_name() {
	{
		machine_suite
		grep -v '^#' "$LAB/root-packages"
		# Raise this when the making below changes.
		echo 2
	} | hash_of
}

# root_open: makes both if need be, and sets TREE and ROOT_IMAGE.
root_open() {
	local name

	name=root-$(root_name)
	[ -d "$CACHE/$name" ] || say "making the root file system (once, about a minute)"
	cache_entry "$name" root_make
	TREE=$CACHE/$name/tree
	ROOT_IMAGE=$CACHE/$name/root.img
}

root_make() {
	local dir=$1 suite packages tree=$1/tree

	suite=$(machine_suite)
	mapfile -t packages < <(grep -v '^#' "$LAB/root-packages")
	# shellcheck disable=SC2046 # one word or two
	apt_open "$dir/apt" "$suite" $([ "$suite" != bookworm ] || echo bookworm-backports)
	apt_unpack_closure "$dir/apt" "$tree" "${packages[@]}"
	rm -rf "$dir/apt"
	mend_qemu "$tree/usr/bin/qemu-system-x86_64"
	root_dress "$tree"
	TREE=$tree image_make "$tree" "$dir/root.img"
}

# packages_open NAME...: what a run has besides, for which the root of all would only
# get larger. Sets PACKAGES_IMAGE, a second layer above the root.
packages_open() {
	local name

	PACKAGES_IMAGE=
	[ $# != 0 ] || return 0
	name=packages-$({
		root_name
		printf '%s\n' "$@"
	} | hash_of)
	[ -d "$CACHE/$name" ] || say "fetching $* (once)"
	cache_entry "$name" packages_make "$@"
	PACKAGES_IMAGE=$CACHE/$name/packages.img
}

packages_make() {
	local dir=$1 suite tree=$1/tree
	shift

	suite=$(machine_suite)
	# shellcheck disable=SC2046 # one word or two
	apt_open "$dir/apt" "$suite" $([ "$suite" != bookworm ] || echo bookworm-backports)
	apt_unpack_closure "$dir/apt" "$tree" "$@"
	rm -rf "$dir/apt"
	packages_thin "$tree"
	image_make "$tree" "$dir/packages.img"
	rm -rf "$tree"
}

# Their closure is much of what is in the root already.
packages_thin() {
	local tree=$1 file

	(cd "$tree" && find . ! -type d) | while read -r file; do
		if [ -e "$TREE/$file" ] || [ -L "$TREE/$file" ]; then
			rm "$tree/$file"
		fi
	done
}

# What packages leave to their scripts.
root_dress() {
	local tree=$1 applet

	mkdir -p "$tree"/{dev,proc,sys,run,tmp,root,lab,mnt,etc} "$tree/usr/lib/busybox"
	# Firmware and tables nobody here reads.
	rm -rf "$tree/usr/share"/{i18n,zoneinfo,icons,mime,sounds,alsa}
	cat >"$tree/etc/passwd" <<-EOF
		root:x:0:0:root:/root:/bin/bash
		nobody:x:65534:65534:nobody:/:/usr/sbin/nologin
	EOF
	cat >"$tree/etc/group" <<-EOF
		root:x:0:
		kvm:x:104:
		nogroup:x:65534:
	EOF
	cat >"$tree/etc/hosts" <<-EOF
		127.0.0.1 localhost
		10.77.0.1 host-a
		10.77.0.2 host-b
		10.78.0.1 mgmt-a
		10.78.0.2 mgmt-b
	EOF
	echo 'hosts: files' >"$tree/etc/nsswitch.conf"
	ln -sfn /proc/self/mounts "$tree/etc/mtab"
	[ -e "$tree/usr/bin/awk" ] || ln -s gawk "$tree/usr/bin/awk"
	[ -e "$tree/usr/bin/sh" ] || ln -s dash "$tree/usr/bin/sh"
	# busybox fills what is missing: its applets come last on the PATH.
	for applet in $("$tree/usr/bin/busybox" --list); do
		ln -sfn ../../bin/busybox "$tree/usr/lib/busybox/$applet"
	done
	# -X: only the cache. The absolute links of alternatives stay dangling.
	"$tree/usr/sbin/ldconfig" -X -r "$tree" 2>/dev/null ||
		say "no ld.so.cache in the root; libraries in odd places will be missed"
}

# tree_run PROGRAM ARG...: a program of the tree, on this machine. Its own
# loader and libraries, so that neither has to be installed.
tree_run() {
	local program=$1 where path
	shift

	for where in bin sbin; do
		path=$TREE/usr/$where/$program
		# Links of packages are absolute or not, and may not resolve here.
		case $(readlink "$path") in
		/*) path=$TREE$(readlink "$path") ;;
		esac
		[ -x "$path" ] || continue
		"$TREE/$LIBDIR/ld-linux-x86-64.so.2" --library-path "$TREE/$LIBDIR" \
			--argv0 "$program" "$path" "$@"
		return
	done
	die "$program is not in the root tree"
}
LIBDIR=usr/lib/x86_64-linux-gnu

# qemu_command: sets QEMU, the beginning of a command line. An array and not a
# function, because its process id matters.
qemu_command() {
	QEMU=("$TREE/$LIBDIR/ld-linux-x86-64.so.2" --library-path "$TREE/$LIBDIR"
		--argv0 qemu-system-x86_64 "$TREE/usr/bin/qemu-system-x86_64"
		-L "$TREE/usr/share/qemu" -L "$TREE/usr/share/seabios")
}

# image_make TREE FILE [SLACK_MB]: an ext4 image without root or loop mounts.
# It is mounted read-only or thrown away, so it needs no journal.
image_make() {
	local tree=$1 file=$2 slack=${3:-8} size

	size=$(du -sm --apparent-size "$tree" | cut -f1)
	size=$((size + size / 8 + slack + $(find "$tree" | wc -l) / 1000))
	truncate -s "${size}M" "$file"
	tree_run mke2fs -q -F -t ext4 -O ^has_journal,^resize_inode -m 0 \
		-E lazy_itable_init=1,nodiscard,root_owner=0:0 -d "$tree" "$file" >&2 ||
		die "mke2fs failed on $file"
}
