# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Helpers of the tests of the module, for /bin/sh in the lab: . tk-lib.sh

# far_net DELAY [WORD...]: network namespace "far" at 10.99.0.2 behind a round trip
# of DELAY (netem's words: 25ms); more words apply to each direction (rate 100mbit).
far_net() {
	_delay=$1
	shift
	ip netns delete far 2>/dev/null
	ip link delete far0 2>/dev/null
	ip netns add far || return 1
	# no segmentation offload: netem's limit counts buffers
	ip link add far0 type veth peer name far1 netns far || return 1
	ethtool -K far0 tso off gso off >/dev/null 2>&1
	ip netns exec far ethtool -K far1 tso off gso off >/dev/null 2>&1
	ip address add 10.99.0.1/24 dev far0
	ip -n far address add 10.99.0.2/24 dev far1
	ip -n far link set lo up
	ip -n far link set far1 up
	ip link set far0 up
	_us=$((${_delay%ms} * 500))
	# shellcheck disable=SC2086
	tc qdisc add dev far0 root netem delay ${_us}us limit 100000 "$@" &&
		tc -n far qdisc add dev far1 root netem delay ${_us}us limit 100000 "$@" || return 1
	# the neighbours answer before anything is measured
	ping -q -c 1 -w 20 10.99.0.2 >/dev/null
}

# until_ COMMAND...: waits for it to succeed, for a minute
until_() {
	_n=0
	while ! "$@" >/dev/null 2>&1; do
		_n=$((_n + 1))
		[ $_n -lt 600 ] || return 1
		sleep 0.1
	done
}

# import_by_hand FROM TO SIZE ADDRESS [COMMAND...]: region FROM is frozen and comes to a
# new region TO over lanes that are listened for at ADDRESS by COMMAND; import_gone FROM TO
# when all of it has come
import_by_hand() {
	_from=$1 _to=$2 _size=$3 _address=$4
	shift 4
	_l1=$(telepage plumb link new)
	_l2=$(telepage plumb link new)
	for _lane in 0 1; do
		"$@" telepage plumb lane attach "$_l1" $_lane --listen "$_address:7000" &
		telepage plumb lane attach "$_l2" $_lane --connect "$_address:7000" && wait $!
	done
	telepage freeze "$_from"
	telepage export "$_from" >/dev/null
	telepage create "$_to" "$_size" >/dev/null
	telepage plumb region-import "$_to" --link "$_l2" \
		--export-id "$(telepage plumb serve "$_from" "$_l1")"
}

import_gone() {
	until_ grep -qx local "/sys/fs/telepage/$2/state"
	telepage release "$1" --yes && telepage delete "$2" &&
		telepage plumb link del "$_l1" && telepage plumb link del "$_l2"
}

# TAP from a script: tap_ok STATUS DESCRIPTION; at the end: tap_done
TAP_NR=0 TAP_FAILED=0
tap_ok() {
	TAP_NR=$((TAP_NR + 1))
	if [ "$1" = 0 ]; then
		echo "ok $TAP_NR $2"
	else
		TAP_FAILED=$((TAP_FAILED + 1))
		echo "not ok $TAP_NR $2"
		return 1
	fi
}

# tap_skip WHAT WHY
tap_skip() {
	TAP_NR=$((TAP_NR + 1))
	echo "ok $TAP_NR $1 # SKIP $2"
}

# tap_is GOT WANT DESCRIPTION
tap_is() {
	[ "$1" = "$2" ]
	tap_ok $? "$3" || {
		echo "# got:  $1"
		echo "# want: $2"
		return 1
	}
}

tap_done() {
	echo "1..$TAP_NR"
	[ "$TAP_FAILED" = 0 ]
}
