# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash source=selftests/guest/lib.sh
# What reuse.bench does at one of its two sites: namespaces of one host where time is
# counted (NETNS is set), else hosts, with what the guest tests have for those.

GUEST_TEST=/lab/files/bench/reuse.sh
. /lab/bin/guestlib.sh

TMP=/tmp/bench-reuse
IMAGES=$TMP/images-dst
NETNS=${LAB_ICOUNT:+1}

# at_dst COMMAND...
at_dst() {
	if [ -n "$NETNS" ]; then
		"$@"
	else
		on b "$@"
	fi
}

site_open() { mkdir -p $TMP "$GUEST_RUN" && mount -t tmpfs -o size=80% bench $TMP; }

site_close() {
	for pid in "$TMP"/*.pid; do
		kill "$(cat "$pid")"
		wait_for 10 eval "! kill -0 $(cat "$pid")"
	done
	umount $TMP
} 2>/dev/null

# agent SITE
agent() {
	# shellcheck disable=SC2086 # its options are words
	setsid ${NETNS:+ip netns exec $1} telepage agent --insecure-plain --socket "$TMP/$1.sock" \
		--state "$TMP/$1" --images "$TMP/images-$1" >"$OUT/reuse-$1.log" 2>&1 </dev/null &
	echo $! >"$TMP/$1.pid"
	wait_for 10 grep -qs ready "$OUT/reuse-$1.log"
}

# image FILE MIB SEED: page I of it is page I of SEED
image() {
	mkdir -p "${1%/*}"
	truncate -s "$2M" "$1"
	bench-content random "$1" "$3"
}

no_images() { rm -rf $IMAGES "$TMP"/disk.img*; }

# wire: bytes of all frames that this end of the line has seen or sent
wire() {
	# shellcheck disable=SC2016
	${NETNS:+ip netns exec dst} sh -c 'cd "/sys/class/net/$0/statistics" &&
		echo $(($(cat rx_bytes) + $(cat tx_bytes)))' "$([ -n "$NETNS" ] && echo v || echo eth0)"
}

# plans: bytes of the conversations of plans that have ended, as this end has counted them
plans() {
	sed -n 's/.*plan of [^{]*{/{/p' "$OUT/reuse-dst.log" |
		jq -s 'map(.sent_bytes + .received_bytes) | add // 0'
}

# import FROM GROUP REGION...: at once; the nanoseconds until all of them are complete
import() {
	from=$1 group=$2 importers='' begin=$(bench-clock now)
	shift 2
	for name; do
		# shellcheck disable=SC2086 # two words or none
		telepage import "to-$name" --from "$from" --export "$name" --bulk-lanes 2 --wait \
			--socket "$TMP/dst.sock" ${group:+--group $group} >/dev/null 2>&1 &
		importers="$importers $!"
	done
	for importer in $importers; do
		wait "$importer" || return 1
	done
	echo $(($(bench-clock now) - begin))
}

digest() { sha256sum <"$1"; }
