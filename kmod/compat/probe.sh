#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# probe.sh PROBES OUT FLAGS...: compile each PROBES/name.c with the kernel's own
# flags and write "#define HAVE_NAME 1" to OUT for those that compile.
set -eu
probes=$1 out=$2
shift 2
tmp=$out.tmp
{
	echo '/* written by probe.sh: what this kernel has */'
	for src in "$probes"/*.c; do
		name=$(basename "$src" .c | tr '[:lower:]-' '[:upper:]_')
		# An unknown function must fail, a warning must not.
		if $CC "$@" -DMODULE -DKBUILD_MODNAME='"probe"' -DKBUILD_BASENAME='"probe"' \
			-D__KBUILD_MODNAME=kmod_probe \
			-Werror=implicit-function-declaration \
			-Werror=incompatible-pointer-types \
			-fsyntax-only "$src" >/dev/null 2>&1; then
			echo "#define HAVE_$name 1"
		fi
	done
} >"$tmp"
mv "$tmp" "$out"
