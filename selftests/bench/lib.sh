# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# What the benchmarks share. A .bench file begins with
#
#	#!/bin/sh
#	# quick: yes			if it takes less than half a minute
#	# lab: --icount --kernel 6.12	for each boot it wants
#	. /lab/files/bench/lib.sh
#
# runs in the emulated host, and prints its figures with `figure`. It leaves the
# host as it was: what is made with the functions here is taken away at its end.
# One with "# host:" instead runs on this machine, with . "$BENCH/lib.sh", and takes
# nothing of it but a CPU and memory.

set -eu
command -v telepage >/dev/null || { echo "the tool was not built: make tool" >&2; exit 1; }

DIR=/run/telepage

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# say WORDS...: for whoever reads the log; standard output is for figures
say() { echo "${0##*/}: $*" >&2; }

# calc EXPRESSION: awk's arithmetic
calc() { awk "BEGIN { printf \"%.9g\\n\", $* }"; }

# median: of the numbers on standard input, one a line
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# of NAME: the second word of the line of standard input that begins with NAME
of() { awk -v name="$1" '$1 == name { print $2; found = 1 } END { exit !found }'; }

# figure NAME VALUE UNIT TARGET CONDITIONS...: TARGET is "<= 1.1", ">= 0.9" or "".
# What is true of the whole boot is added to the conditions here.
figure() {
	name=$1 value=$2 unit=$3 target=$4
	shift 4
	awk -v name="$name" -v value="$value" -v unit="$unit" -v target="$target" \
		-v conditions="$*" -v kernel="$LAB_KERNEL" -v time="$(time_kind)" '
	function quoted(s) {
		gsub(/[\\"]/, "\\\\&", s)
		return "\"" s "\""
	}
	BEGIN {
		if (value !~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/) {
			print name ": no number: " value >"/dev/stderr"
			exit 1
		}
		met = "null"
		if (target != "") {
			split(target, t, " ")
			good = t[1] == "<=" ? value + 0 <= t[2] + 0 : value + 0 >= t[2] + 0
			met = good ? "true" : "false"
		}
		printf "{\"name\":%s,\"value\":%.6g,\"unit\":%s,\"target\":%s,\"met\":%s,", quoted(name),
			value, quoted(unit), target == "" ? "null" : quoted(target), met
		printf "\"kernel\":%s,\"conditions\":%s}\n", quoted(kernel), quoted(time "; " conditions)
	}'
}

time_kind() {
	if [ -n "$LAB_ICOUNT" ]; then
		echo "deterministic time (1 ns per instruction, one CPU)"
	elif [ "$LAB_KERNEL" = host ]; then
		echo "this machine ($LAB_ACCEL)"
	else
		echo "$LAB_ACCEL, wall-clock time"
	fi
}

# --- regions, links ---------------------------------------------------------

regions='' exports='' links='' sites=''

# region NAME SIZE
region() {
	telepage create "$1" "$2" >/dev/null
	regions="$regions $1"
}

# export_region NAME
export_region() {
	telepage plumb export "$1" --region "$1" >/dev/null
	exports="$exports $1"
}

# export_file NAME PATH
export_file() {
	telepage plumb export "$1" --file "$2"
	exports="$exports $1"
}

# new_link VARIABLE: its number
new_link() {
	eval "$1=\$(telepage plumb link new)"
	eval "links=\"\$links \$$1\""
}

# Best effort, and quiet: a bench that failed leaves things in any state.
forget_all() {
	for one in $regions; do
		telepage abandon "$one" --yes >/dev/null 2>&1 || :
	done
	for one in $exports; do telepage release "$one" --yes 2>/dev/null || :; done
	for one in $links; do telepage plumb link del "$one" 2>/dev/null || :; done
	for one in $regions; do telepage delete "$one" 2>/dev/null || :; done
	regions='' exports='' links=''
}

# forget [STATUS]: the end; of what it is called in, without
forget() {
	status=${1:-$?}
	forget_all
	[ -z "$sites" ] || for site in $sites; do ip netns del "$site" 2>/dev/null || :; done
	exit $status
}
trap forget EXIT

SL='' DL=''

# --- two network namespaces as two hosts -------------------------------------

SRC=10.9.0.1
DST=10.9.0.2
export DST

# two_sites: src and dst, joined by a link that has no delay yet
two_sites() {
	sites='src dst'
	ip netns add src
	ip netns add dst
	ip link add name v netns src type veth peer name v netns dst
	for site in src dst; do
		# netem's queue limit counts buffers, so a buffer has to be a packet.
		# Switching the offloads off is not enough: TCP makes large buffers
		# anyway, which are cut behind the queue.
		ip netns exec $site ethtool -K v tso off gso off >/dev/null
		ip -n $site link set dev v gso_max_segs 1
		ip -n $site link set lo up
		ip -n $site link set v addrgenmode none up
	done
	ip -n src address add $SRC/24 dev v
	ip -n dst address add $DST/24 dev v
}

# shape RTT_US RATE_KBIT: each way half of the round trip and, unless it is 0, the
# whole of the rate. The queue is what the lab gives its hosts: twice the
# bandwidth-delay product, at least 100 packets.
shape() {
	limit=$((2 * $2 * $1 / 1000 / 8 / 1500))
	[ $limit -ge 100 ] || limit=100
	[ "$2" != 0 ] || limit=100000
	for site in src dst; do
		# replacing would keep a rate that is not given anew
		tc -n $site qdisc del dev v root 2>/dev/null || :
		# shellcheck disable=SC2046 # two words or none
		tc -n $site qdisc add dev v root netem delay $(($1 / 2))us \
			$([ "$2" = 0 ] || echo rate "$2kbit") limit $limit
	done
}

# rtt_us: the mean round trip of 20 pings, the first (with ARP) not counted
rtt_us() {
	ip netns exec dst ping -q -n -c 1 $SRC >/dev/null
	ip netns exec dst ping -q -n -c 20 -i 0.2 $SRC |
		awk -F/ '/^rtt|^round-trip/ { printf "%.3f\n", $5 * 1000 }'
}

# lanes_of TLS LANE: connects a lane, both ends
lanes_of() {
	if [ -n "$1" ]; then
		ip netns exec src bench-ktls listen "$SRC" $((5000 + $2)) \
			telepage plumb lane attach "$SL" "$2" --fd 3 &
		ip netns exec dst bench-ktls connect "$SRC" $((5000 + $2)) \
			telepage plumb lane attach "$DL" "$2" --fd 3
	else
		ip netns exec src telepage plumb lane attach "$SL" "$2" \
			--listen "$SRC:$((5000 + $2))" &
		ip netns exec dst telepage plumb lane attach "$DL" "$2" \
			--connect "$SRC:$((5000 + $2))"
	fi
	wait $!
}

# join BULK_LANES [tls]: link $SL at the source, $DL at the destination, lanes
# connected, and with a second word encrypted by the kernel
join() {
	new_link SL
	new_link DL
	for lane in $(seq 0 "$1"); do
		lanes_of "${2:-}" "$lane"
	done
	for link in "$SL" "$DL"; do
		tries=0
		until [ "$(lanes_up "$link")" = $(($1 + 1)) ]; do
			tries=$((tries + 1))
			[ $tries -lt 100 ] || die "the lanes of link $link do not come up"
			sleep 0.1
		done
	done
}

lanes_up() {
	telepage list links --json |
		jq "[.links[] | select(.id == $1).lanes[] | select(.up)] | length"
}

# teleport FROM TO [OPTION]: region TO, new and as large, begins to fill from the
# frozen region FROM over the link of join
teleport() {
	export_region "$1"
	id=$(telepage plumb serve "$1" "$SL")
	size=$(stat -c %s "$DIR/$1")
	region "$2" "$size"
	telepage freeze "$1" >/dev/null
	shift 1
	to=$1
	shift
	telepage plumb region-import "$to" --link "$DL" --export-id "$id" "$@"
}
