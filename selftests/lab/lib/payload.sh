# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What changes from run to run: the module, the tool, scripts and files. It
# goes on a small disk of its own, /lab in the hosts.

# The helper inside the hosts is static, so that it runs in any root.
agent_open() {
	local name

	name=agent-$(hash_of <"$LAB/guest/agent.c")
	cache_entry "$name" agent_make
	AGENT=$CACHE/$name/agent
}

agent_make() {
	gcc -O2 -static -o "$1/agent" "$LAB/guest/agent.c"
}

# payload_make FILE: from the options of the command line.
payload_make() {
	local image=$1 tree=$1.tree build=${TELEPAGE_BUILD:-$LAB/../../build} file

	mkdir -p "$tree"/{bin,lib,files,out,kernel}
	ln -s kernel/guest "$tree/guest"
	agent_open
	cp "$AGENT" "$tree/agent"
	cp "$LAB/guest/init" "$tree/init"
	cp "$LAB/guest/peer" "$LAB/guest/lab-debug-check" "$LAB/guest/lab-pause" "$tree/bin/"
	grep -v '^#' "$LAB/splats" >"$tree/splats"

	[ ! -e "$build/kmod-$KVER/telepage.ko" ] || cp "$build/kmod-$KVER/telepage.ko" "$tree/"
	for file in "$build/telepage" "$build"/selftests/*; do
		if [ ! -f "$file" ] || [ ! -x "$file" ]; then
			continue
		fi
		cp "$file" "$tree/bin/"
		payload_libs "$file" "$tree/lib"
	done
	for file in "${FILES[@]}"; do
		[ -e "$file" ] || usage_error "no such file: $file"
		cp -aL "$file" "$tree/files/"
	done
	[ -z "${SCRIPT_A:-}" ] || cp "$SCRIPT_A" "$tree/script.a"
	[ -z "${SCRIPT_B:-}" ] || cp "$SCRIPT_B" "$tree/script.b"
	payload_env >"$tree/env"
	payload_arguments >"$tree/arguments"
	image_make "$tree" "$image"
	rm -rf "$tree"
}

# The libraries a program of this machine needs and the root does not have.
payload_libs() {
	local program=$1 to=$2 soname path

	while read -r soname _ path _; do
		[ -e "$path" ] || continue
		[ -e "$TREE/$LIBDIR/$soname" ] || cp -L "$path" "$to/$soname"
	done < <(ldd "$program" 2>/dev/null | grep '=> /')
}

payload_env() {
	cat <<-EOF
		LAB_TWO=$([ "$HOSTS" = 1 ] || echo 1)
		LAB_SHELL=$SHELL_WANTED
		LAB_NO_MODULE=$NO_MODULE
		LAB_NETEM='$(netem_options)'
		export LAB_SLOW=$SLOW LAB_KERNEL=$KVER LAB_ACCEL=$ACCEL LAB_ICOUNT=$ICOUNT LAB_NET='$NET'
	EOF
}

# A function that runs a command with the script's arguments behind it.
payload_arguments() {
	local argument

	printf 'with_arguments() { "$@"'
	for argument in "${ARGUMENTS[@]}"; do
		printf " '%s'" "${argument//\'/\'\\\'\'}"
	done
	echo '; }'
}
