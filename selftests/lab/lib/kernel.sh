# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The kernels: Debian's cloud flavour, image and headers of one version; and
# "debug" and "kcsan", which we build, see debug.sh.

# "KVER SUITE [COMPILER]" of each kernel the lab knows; the last is the default. One
# with a compiler is too new for this machine's own, see toolchain.sh.
KERNELS='kcsan bookworm-backports
debug bookworm-backports
7.2 sid gcc-16
6.1 bookworm
6.12 bookworm-backports'

# kernel_built KVER: is it one that we build?
kernel_built() { [ "$1" = debug ] || [ "$1" = kcsan ]; }

kernel_default() { printf '%s\n' "$KERNELS" | tail -n 1 | cut -d' ' -f1; }

kernel_suite() {
	local suite

	suite=$(printf '%s\n' "$KERNELS" | sed -n "s/^$1 \([^ ]*\).*/\1/p")
	[ -n "$suite" ] || usage_error "no kernel '$1'; there are: $(printf '%s\n' "$KERNELS" | cut -d' ' -f1 | xargs)"
	printf '%s\n' "$suite"
}

kernel_compiler() { printf '%s\n' "$KERNELS" | sed -n "s/^$1 [^ ]* //p"; }

# Those that are fetched without being asked for: they need only to be unpacked.
kernels_usual() {
	local kver compiler

	while read -r kver _ compiler; do
		[ -n "$compiler" ] || kernel_built "$kver" || echo "$kver"
	done <<<"$KERNELS"
}

# kernel_open KVER: fetches it if need be, and sets KERNEL and RELEASE; and GUEST,
# the kernel for guests in the hosts: nothing of ours runs in them, so the debug
# kernel would only be slow there.
kernel_open() {
	local suite

	suite=$(kernel_suite "$1") || exit
	root_open
	if kernel_built "$1"; then
		kernel_open "$(kernel_default)"
		debug_open "$1" "$suite"
	else
		KERNEL=$CACHE/kernel-$1
		[ -d "$KERNEL" ] || say "fetching kernel $1 (once)"
		cache_entry "kernel-$1" kernel_make "$1" "$suite"
		GUEST=$KERNEL
	fi
	RELEASE=$(cat "$KERNEL/release")
}

# kernel_release KVER: of what is in the cache, if it is.
kernel_release() {
	local entry=$CACHE/kernel-$1

	! kernel_built "$1" || entry=$(debug_entry "$1")
	cat "$entry/release" 2>/dev/null
}

# kernel_slow KVER: how many times longer things may take.
kernel_slow() { kernel_built "$1" && echo 4 || echo 1; }

kernel_make() {
	local dir=$1 kver=$2 suite=$3 release version kbuild meta compiler

	apt_open "$dir/apt" "$suite"
	meta=$(apt_meta "$dir/apt" "$suite" linux-image-cloud-amd64)
	release=${meta%% *}
	release=${release#linux-image-}
	version=${meta#* }
	[ -n "$release" ] || die "no linux-image-cloud-amd64 in $suite"
	# sid goes on, and what it has next is not this kernel.
	case $release in
	"$kver".*) ;;
	*) die "$suite has Linux $release now, no $kver: a new line in lib/kernel.sh is due" ;;
	esac
	# The compilers that the headers depend on are the machine's business, or
	# toolchain.sh's, so the packages are named one by one.
	kbuild=linux-kbuild-${release%-cloud-amd64}
	case $release in
	6.1.0-*) kbuild=linux-kbuild-6.1 ;;
	esac
	apt_unpack "$dir/apt" "$dir/headers" \
		"linux-headers-$release=$version" \
		"linux-headers-${release%-cloud-amd64}-common=$version" \
		"$kbuild=$version"
	kernel_mend_headers "$dir/headers" "$release"
	compiler=$(kernel_compiler "$kver")
	if [ -n "$compiler" ]; then
		# The libraries are those of the kernel's own tools.
		toolchain_make "$dir/tools" "$dir/apt" "$compiler" libelf1t64 libssl3t64
		kernel_build_with "$dir/headers" "$dir/tools" "$release"
	fi
	kernel_unpack "$dir" "$release" "$version"
	rm -rf "$dir/apt"
	printf '%s\n' "$release" >"$dir/release"
	kernel_lay_out "$dir" "$release"
	rm -rf "$dir/image"
}

# The image is one package, or, since 7.x, one that stands for these.
kernel_unpack() {
	local dir=$1 release=$2 version=$3 part
	local -a parts=()

	for part in base binary modules; do
		if apt_has "$dir/apt" "linux-$part-$release"; then
			parts+=("linux-$part-$release=$version")
		fi
	done
	[ ${#parts[@]} -gt 1 ] || parts=("linux-image-$release=$version")
	apt_unpack "$dir/apt" "$dir/image" "${parts[@]}"
}

# The headers are made for /usr/src of a machine that has them installed.
kernel_mend_headers() {
	local headers=$1 release=$2 build=$1/usr/src/linux-headers-$2

	# A path from the including file works wherever the cache stands.
	# shellcheck disable=SC2016
	sed -i -e 's|^include /usr/src/|include $(dir $(lastword $(MAKEFILE_LIST)))../|' \
		-e 's|^KBUILD_OUTPUT=/usr/src/.*|KBUILD_OUTPUT := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))|' \
		"$build/Makefile"
	! grep -n '[ =]/usr/' "$build/Makefile" ||
		say "unmended absolute path in the headers of $release"
	# BTF would take pahole and a vmlinux; a module loads without. The C side
	# of the option (autoconf.h) stays, it shapes struct module.
	sed -i '/CONFIG_DEBUG_INFO_BTF_MODULES/d' "$build/include/config/auto.conf"
	# It names the gcc of its own Debian release.
	if [ -f "$build/.kernelvariables" ] && ! command -v gcc-12 >/dev/null; then
		sed -i 's/gcc-12/gcc/g' "$build/.kernelvariables"
	fi
	ln -s "usr/src/linux-headers-$release" "$headers/build"
}

# kernel_build_with HEADERS TOOLS RELEASE: whoever builds against these headers does it
# with that toolchain, beside them, and has not to know; the kernel's own tools in them
# need its libraries as well. Which pahole there is here does not matter, see above.
kernel_build_with() {
	local headers=$1 tools=$2 release=$3 variables

	variables=$headers/usr/src/linux-headers-$release/.kernelvariables
	toolchain_wrap "$headers" "$tools"
	# shellcheck disable=SC2016
	sed -i 's|^override CROSS_COMPILE = |override CROSS_COMPILE := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))../../../../tools/usr/bin)/|' \
		"$variables"
	grep -q 'tools/usr/bin' "$variables" || die "the headers of $release name no compiler that could be replaced"
	# shellcheck disable=SC2016
	echo 'override PAHOLE_VERSION = $(CONFIG_PAHOLE_VERSION)' >>"$variables"
}

# vmlinux beside vmlinuz: booted through its PVH entry it spares the emulated
# host the unpacking, and its addresses are the same in every boot. Modules
# are unpacked for the same reason.
kernel_lay_out() {
	local dir=$1 release=$2 modules=$1/image/lib/modules/$2

	# Where they are now, and where they were before 7.x.
	mv "$modules/vmlinuz" "$dir/vmlinuz" 2>/dev/null || mv "$dir/image/boot/vmlinuz-$release" "$dir/vmlinuz"
	mv "$modules/config" "$dir/config" 2>/dev/null || mv "$dir/image/boot/config-$release" "$dir/config"
	rm -f "$modules/System.map"
	kernel_unpack_image "$dir/vmlinuz" "$dir/vmlinux"
	mkdir -p "$dir/disk/lib/modules"
	mv "$modules" "$dir/disk/lib/modules/"
	find "$dir/disk" -name '*.ko.xz' -exec xz -d {} +
	tree_run depmod -b "$dir/disk" "$release"
}

# The compressed kernel's place stands in the setup header, see
# Documentation/arch/x86/boot.rst. Its last four bytes are its unpacked size.
kernel_unpack_image() {
	local image=$1 to=$2 setup offset length

	setup=$(od -An -t u1 -j $((0x1f1)) -N 1 "$image")
	offset=$(od -An -t u4 -j $((0x248)) -N 4 "$image")
	length=$(od -An -t u4 -j $((0x24c)) -N 4 "$image")
	offset=$(((setup + 1) * 512 + offset))
	dd status=none if="$image" of="$to.packed" bs=1M iflag=skip_bytes,count_bytes \
		skip="$offset" count=$((length - 4))
	case $(od -An -t x4 -N 4 "$to.packed" | tr -d ' ') in
	184c2102) tree_run lz4 -q -d -f "$to.packed" "$to" ;;
	fd2fb528) tree_run zstd -q -d -f -o "$to" "$to.packed" ;;
	587a37fd) xz -d -c "$to.packed" >"$to" ;;
	*) die "unknown compression of $image" ;;
	esac
	rm "$to.packed"
}
