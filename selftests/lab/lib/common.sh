# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Messages, the cache and its lock: what every other file here needs.

# The lab's own exit codes. They stay clear of the small numbers that scripts
# use (kselftest's skip is 4) and of 126 and up, which belong to the shell.
EXIT_USAGE=2 EXIT_KERNEL=120 EXIT_NO_VERDICT=121 EXIT_EMULATOR=122 EXIT_SETUP=123 EXIT_TIMEOUT=124

CACHE=${TELEPAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/telepage}

say() { printf 'lab: %s\n' "$*" >&2; }

die() {
	say "$*"
	exit "$EXIT_SETUP"
}

usage_error() {
	say "$*"
	say "try 'lab --help'"
	exit "$EXIT_USAGE"
}

# A cache entry is whole or absent: it is made in a directory beside its final
# place and renamed when it is complete, so an interrupted download leaves
# nothing that looks ready.
#
# cache_entry NAME MAKER [ARG...]: runs "MAKER TMPDIR ARG..." if NAME is not
# there, under the lock that keeps two labs from making one entry twice; each
# kind has its own, as making some takes long. A subshell, so that the lock goes with it whatever happens inside.
cache_entry() {
	local name=$1 maker=$2
	shift 2

	[ ! -d "$CACHE/$name" ] || return 0
	mkdir -p "$CACHE" || die "cannot make the cache $CACHE"
	(
		flock 9
		[ ! -d "$CACHE/$name" ] || exit 0
		tmp=$(mktemp -d "$CACHE/making.XXXXXX") || exit 1
		chmod 755 "$tmp"
		trap 'rm -rf "$tmp"' EXIT
		trap 'exit 130' INT TERM HUP
		set -e -o pipefail
		"$maker" "$tmp" "$@"
		mv -T "$tmp" "$CACHE/$name"
		# What changes with the lab's own sources would pile up.
		find "$CACHE" -mindepth 1 -maxdepth 1 -mtime +7 \
			\( -name 'boot-*' -o -name 'agent-*' -o -name 'making.*' \) -exec rm -rf {} +
	) 9>"$CACHE/lock.${name%%-*}"
	# Not "|| die" at the subshell: that would switch its set -e off.
	# shellcheck disable=SC2181
	[ $? = 0 ] || die "could not make the cache entry $name"
}

# Entries are named after what they were made from.
hash_of() { sha256sum | cut -c1-16; }
