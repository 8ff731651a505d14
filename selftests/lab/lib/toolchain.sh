# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Compilers for kernels that this machine's own is too old for: unpacked packages
# whose programs run here, with the loader and the libraries they came with.
# Nothing is installed, and neither a chroot nor a namespace is needed, which
# containers do not let everybody have.

# toolchain_make TREE APT PACKAGE...: these and all they depend on, with the state APT.
toolchain_make() {
	local tree=$1 apt=$2 unused
	shift 2

	apt_unpack_closure "$apt" "$tree" "$@"
	# The kernel needs none of it, and it is more than the rest.
	for unused in lto1 lto-wrapper '*lto-dump-*' '*gprof*' 'gp-*' '*gcov*' 'lib*san*' '*.a' gconv; do
		find "$tree/usr" -name "$unused" -prune -exec rm -rf {} +
	done
	toolchain_wrap "$tree" "$tree"
	# Where gcc looks for as and ld before it takes the machine's.
	mkdir -p "$tree/usr/x86_64-linux-gnu"
	ln -s ../bin "$tree/usr/x86_64-linux-gnu/bin"
}

# toolchain_wrap TREE TOOLCHAIN: each program in TREE becomes NAME.elf with a script
# NAME that runs it by the loader of TOOLCHAIN. Links to programs in their own
# directory become scripts, too. All paths are relative: the cache may move.
toolchain_wrap() {
	local tree=$1 lib=$2/$LIBDIR file program dir

	while read -r file; do
		toolchain_is_program "$file" || continue
		mv "$file" "$file.elf"
		toolchain_script "$file" "${file##*/}.elf" "$lib"
	done < <(find "$tree" -type f -perm /111 ! -name '*.so' ! -name '*.so.*' ! -name '*.elf')
	while read -r file; do
		program=$(readlink -f "$file")
		dir=$(readlink -f "${file%/*}")
		if [ "${program%/*}" = "$dir" ] && [ -e "$program.elf" ]; then
			rm "$file"
			toolchain_script "$file" "${program##*/}.elf" "$lib"
		fi
	done < <(find "$tree" -type l)
}

# ELF, and not linked statically: it names a loader.
toolchain_is_program() {
	[ "$(head -c 4 "$1" | od -An -c | tr -d ' ')" = '177ELF' ] && grep -q -a -m 1 -F /lib64/ld-linux "$1"
}

toolchain_script() {
	local file=$1 program=$2 lib=$3

	lib=$(realpath --relative-to="${file%/*}" "$lib")
	cat >"$file" <<-EOF
		#!/bin/sh
		here=\${0%/*}
		exec "\$here/$lib/ld-linux-x86-64.so.2" --library-path "\$here/$lib" \\
			--argv0 "\$0" "\$here/$program" "\$@"
	EOF
	chmod 755 "$file"
}
