# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The kernels that look for bugs: Debian's source of the newest kernel we test
# on, with debug.config, and for data races with kcsan.config on top of it, as one
# kernel cannot have KASAN and KCSAN. They are built here, as no Debian package has
# either.

# debug_configs KVER: what is merged, in this order; a later line counts.
debug_configs() {
	echo "$LAB/debug.config"
	[ "$1" = debug ] || echo "$LAB/$1.config"
}

# debug_entry KVER: the cache entry for this configuration, if there is one. The
# version of the source is in the name, too, but what is there is good: looking
# whether there is a newer one would take the network.
debug_entry() {
	find "$CACHE" -maxdepth 1 -name "$1-*-$(debug_hash "$1")" 2>/dev/null | sort -V | tail -n 1
}

debug_hash() {
	{
		debug_configs "$1" | xargs -d '\n' cat
		# Raise this when the making below changes.
		echo 1
	} | hash_of
}

# debug_open KVER SUITE: builds it if need be, and sets KERNEL.
debug_open() {
	local kver=$1 suite=$2 tool apt version

	KERNEL=$(debug_entry "$kver")
	[ -z "$KERNEL" ] || return 0
	say "building the $kver kernel: once, 35 minutes of processor time ('lab fetch $kver' does only this)"
	for tool in flex bison bc lz4 gcc make perl; do
		command -v "$tool" >/dev/null ||
			die "$tool is missing; '$LAB/deps flex bison bc lz4 perl' installs what building a kernel takes"
	done
	apt=$(mktemp -d "$CACHE/making.XXXXXX") || die "cannot write to $CACHE"
	apt_open "$apt" "$suite"
	version=$(debug_version "$apt" "$suite")
	[ -n "$version" ] || die "no $DEBUG_SOURCE in $suite"
	cache_entry "$kver-${version%%~*}-$(debug_hash "$kver")" debug_make "$kver" "$apt" "$version"
	rm -rf "$apt"
	KERNEL=$(debug_entry "$kver")
}
DEBUG_SOURCE=linux-source-6.12

debug_version() {
	apt-cache -c "$1/apt.conf" -t "$2" show --no-all-versions "$DEBUG_SOURCE" | sed -n 's/^Version: //p'
}

debug_make() {
	local dir=$1 kver=$2 apt=$3 version=$4 source=$1/source

	apt_unpack "$apt" "$dir/package" "$DEBUG_SOURCE=$version"
	mkdir "$source"
	tar -xf "$dir/package/usr/src/$DEBUG_SOURCE.tar.xz" -C "$source" --strip-components=1
	rm -rf "$dir/package"
	debug_configure "$kver" "$source"
	# Others are at work on this machine meanwhile.
	nice make -C "$source" -s -j"$(nproc)" bzImage modules >"$dir/build.log" 2>&1 || {
		tail -n 20 "$dir/build.log" >&2
		die "the $kver kernel does not build"
	}
	rm "$dir/build.log"
	debug_lay_out "$dir" "$source"
	rm -rf "$source"
}

# What was asked for and did not come to be would be missed by nobody: KASAN
# went away like that once.
debug_configure() {
	local kver=$1 source=$2 line
	local -a configs

	mapfile -t configs < <(debug_configs "$kver")
	(
		cd "$source" &&
			make -s tinyconfig &&
			scripts/kconfig/merge_config.sh -m .config "${configs[@]}" &&
			make -s olddefconfig
	) >"$source/configure.log" 2>&1 || {
		cat "$source/configure.log" >&2
		die "cannot configure the $kver kernel"
	}
	while read -r line; do
		case $line in
		*=n) ! grep -q "^${line%n}" "$source/.config" || die "the $kver kernel cannot have $line" ;;
		*) grep -qxF "$line" "$source/.config" || die "the $kver kernel cannot have $line" ;;
		esac
	done < <(awk -F= '/^CONFIG_/ { last[$1] = $0 } END { for (i in last) print last[i] }' "${configs[@]}")
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
