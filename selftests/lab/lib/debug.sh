# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The kernel that looks for bugs: Debian's source of the newest kernel we test
# on, with debug.config. It is built here, as no Debian package has KASAN.

# debug_entry: the cache entry for this configuration, if there is one. The
# version of the source is in the name, too, but what is there is good: looking
# whether there is a newer one would take the network.
debug_entry() {
	find "$CACHE" -maxdepth 1 -name "debug-*-$(debug_hash)" 2>/dev/null | sort -V | tail -n 1
}

debug_hash() {
	{
		cat "$LAB/debug.config"
		# Raise this when the making below changes.
		echo 1
	} | hash_of
}

# debug_open SUITE: builds it if need be, and sets KERNEL.
debug_open() {
	local suite=$1 tool apt version

	KERNEL=$(debug_entry)
	[ -z "$KERNEL" ] || return 0
	say "building the debug kernel: once, 35 minutes of processor time ('lab fetch debug' does only this)"
	for tool in flex bison bc lz4 gcc make perl; do
		command -v "$tool" >/dev/null ||
			die "$tool is missing; '$LAB/deps flex bison bc lz4 perl' installs what building a kernel takes"
	done
	apt=$(mktemp -d "$CACHE/making.XXXXXX") || die "cannot write to $CACHE"
	apt_open "$apt" "$suite"
	version=$(debug_version "$apt" "$suite")
	[ -n "$version" ] || die "no $DEBUG_SOURCE in $suite"
	cache_entry "debug-${version%%~*}-$(debug_hash)" debug_make "$apt" "$version"
	rm -rf "$apt"
	KERNEL=$(debug_entry)
}
DEBUG_SOURCE=linux-source-6.12

debug_version() {
	apt-cache -c "$1/apt.conf" -t "$2" show --no-all-versions "$DEBUG_SOURCE" | sed -n 's/^Version: //p'
}

debug_make() {
	local dir=$1 apt=$2 version=$3 source=$1/source

	apt_unpack "$apt" "$dir/package" "$DEBUG_SOURCE=$version"
	mkdir "$source"
	tar -xf "$dir/package/usr/src/$DEBUG_SOURCE.tar.xz" -C "$source" --strip-components=1
	rm -rf "$dir/package"
	debug_configure "$source"
	# Others are at work on this machine meanwhile.
	nice make -C "$source" -s -j"$(nproc)" bzImage modules >"$dir/build.log" 2>&1 || {
		tail -n 20 "$dir/build.log" >&2
		die "the debug kernel does not build"
	}
	rm "$dir/build.log"
	debug_lay_out "$dir" "$source"
	rm -rf "$source"
}

# What was asked for and did not come to be would be missed by nobody: KASAN
# went away like that once.
debug_configure() {
	local source=$1 line

	(
		cd "$source" &&
			make -s tinyconfig &&
			scripts/kconfig/merge_config.sh -m .config "$LAB/debug.config" &&
			make -s olddefconfig
	) >"$source/configure.log" 2>&1 || {
		cat "$source/configure.log" >&2
		die "cannot configure the debug kernel"
	}
	while read -r line; do
		case $line in
		'' | '#'*) continue ;;
		*=n) ! grep -q "^${line%n}" "$source/.config" || die "the debug kernel cannot have $line" ;;
		*) grep -qxF "$line" "$source/.config" || die "the debug kernel cannot have $line" ;;
		esac
	done <"$LAB/debug.config"
}

# The same places as the kernels that come as packages have, see kernel_lay_out.
# For modules what the kernel's own packaging holds to be needed; the script
# takes its directory as the kernel's make calls it.
debug_lay_out() {
	local dir=$1 source=$2 release

	release=$(make -C "$source" -s kernelrelease)
	printf '%s\n' "$release" >"$dir/release"
	cp "$source/.config" "$dir/config"
	cp "$source/arch/x86/boot/bzImage" "$dir/vmlinuz"
	strip --strip-all -o "$dir/vmlinux" "$source/vmlinux"
	make -C "$source" -s modules_install INSTALL_MOD_PATH="$dir/disk" DEPMOD=true
	rm -f "$dir/disk/lib/modules/$release/build"
	tree_run depmod -b "$dir/disk" "$release"
	# shellcheck disable=SC2016 # make's
	make -C "$source" -s run-command \
		KBUILD_RUN_COMMAND='$(srctree)/scripts/package/install-extmod-build '"$dir/headers/build"
	cp "$source/.config" "$dir/headers/build/"
}
