#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# tier: full
#
# The module by way of dkms, against the headers of each kernel of the lab, in
# directories of its own: what an administrator would lose is a module for the kernel
# that was installed last night. And kernels that it is not for are told so.
#   DKMS_KERNELS="7.2"    against those of other kernels
set -u
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
root=$(dirname "$(dirname "$here")")
lab=$root/selftests/lab/lab
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
# shellcheck source=selftests/kernel/lib.sh
. "$root/selftests/kernel/lib.sh"

skip() {
	echo "1..0 # SKIP $*"
	exit 4
}

# fetch PACKAGE...: unpacked into the temporary directory, nothing is installed
fetch() {
	(cd "$tmp" && apt-get download -qq "$@" && for deb in *.deb; do
		dpkg-deb -x "$deb" unpacked || exit 1
	done && rm -f ./*.deb) >"$tmp/fetch.log" 2>&1
}

[ "$(id -u)" = 0 ] || skip "dkms installs for root only"
export PATH=$PATH:/sbin:/usr/sbin
command -v dkms >/dev/null || fetch dkms || skip "there is no dkms to be had"
if ! command -v modinfo >/dev/null; then
	fetch kmod libkmod2 || skip "there is no modinfo to be had"
	# the package's own link is to where it would be installed
	mkdir -p "$tmp/unpacked/usr/sbin"
	ln -s "$(find "$tmp/unpacked" -path '*bin/kmod')" "$tmp/unpacked/usr/sbin/modinfo"
fi
PATH=$PATH:$tmp/unpacked/usr/sbin
for lib in "$tmp"/unpacked/lib/*-linux-gnu "$tmp"/unpacked/usr/lib/*-linux-gnu; do
	[ ! -d "$lib" ] || export LD_LIBRARY_PATH=$lib
done
# no key is made for this machine
export sign_file=/nonexistent

make -s -C "$root" install-dkms DESTDIR="$tmp" || exit 1
source=$(echo "$tmp"/usr/src/telepage-*)
version=${source##*/telepage-}
mkdir "$tmp/dkms" "$tmp/src" "$tmp/modules"

dkms_() {
	dkms "$@" --dkmstree "$tmp/dkms" --sourcetree "$tmp/src" --installtree "$tmp/modules" \
		>"$tmp/log" 2>&1 </dev/null
}

said() { sed 's/^/# /' "$tmp/log"; }

dkms_ add "$source"
tap_ok $? "dkms takes the source" || said

for kernel in ${DKMS_KERNELS:-6.1 6.12}; do
	kdir=$("$lab" kdir "$kernel" 2>"$tmp/log") || skip "no headers of Linux $kernel: $(tail -n 1 "$tmp/log")"
	release=$(sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' "$kdir/include/generated/utsrelease.h")
	mkdir -p "$tmp/modules/$release"
	dkms_ build "telepage/$version" -k "$release" --kernelsourcedir "$kdir"
	tap_ok $? "$kernel: it is built" || said
	dkms_ install "telepage/$version" -k "$release" --kernelsourcedir "$kdir" --no-depmod
	tap_ok $? "$kernel: it is installed" || said
	ko=$(find "$tmp/modules/$release" -name 'telepage.ko*')
	tap_is "$(modinfo -F vermagic "${ko:-none}" 2>&1 | cut -d' ' -f1)" "$release" \
		"$kernel: for this kernel"
	dkms_ uninstall "telepage/$version" -k "$release" --no-depmod
	[ -z "$(find "$tmp/modules/$release" -name 'telepage.ko*')" ]
	tap_ok $? "$kernel: and is gone when it is uninstalled" || said
done

# dkms.conf and range.sh have to mean the same kernels
# shellcheck disable=SC2034 # dkms.conf has them in commands
PACKAGE_NAME='' kernel_source_dir='' dkms_tree=''
# shellcheck source=dkms.conf
. "$root/dkms.conf"
differ=
for kernel in 5.10 5.19 6.0 6.1 6.2 6.9 6.10 6.11 6.12 6.13 6.20 6.100 7.0 7.1 7.2 7.3 7.12 7.20 16.1; do
	words=$(sh "$root/kmod/compat/range.sh" "${kernel%.*}" "${kernel#*.}" 2>&1)
	[[ $kernel.3-1-amd64 =~ $BUILD_EXCLUSIVE_KERNEL ]] && [ -n "$words" ] && differ+=" $kernel"
	[[ $kernel.3-1-amd64 =~ $BUILD_EXCLUSIVE_KERNEL ]] || [ -n "$words" ] || differ+=" $kernel"
done
tap_is "$differ" "" "dkms and the build itself are for the same kernels"

# headers of a kernel that says it is another one; what comes first is enough
build() {
	rm -rf "$tmp/build"
	cp -r "$source" "$tmp/build"
	echo '#error this was compiled' >>"$tmp/build/kmod/main.c"
	make -C "$kdir" M="$tmp/build" VERSION="$1" PATCHLEVEL="$2" modules >"$tmp/log" 2>&1
}

build 5 10
grep -q 'Linux 5.10 is too old' "$tmp/log" && ! grep -q 'this was compiled' "$tmp/log"
tap_ok $? "a kernel that is too old is told so, and nothing is built" || said
build 7 3
grep -q 'Linux 7.3 is newer than' "$tmp/log" && grep -q 'this was compiled' "$tmp/log"
tap_ok $? "one that is newer than what was tested is told so, and tried" || said
! dkms_ build "telepage/$version" -k 5.10.0-1-amd64 --kernelsourcedir "$kdir" &&
	grep -q BUILD_EXCLUSIVE "$tmp/log"
tap_ok $? "dkms does not try one that is too old" || said
tap_done
