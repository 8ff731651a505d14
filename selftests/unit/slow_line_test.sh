#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# tier: full
#
# A move between two agents over a line of 200 kbit/s: slow is no failure. In a network
# namespace of its own, for what it does to loopback. TAP on stdout, exit 4: skipped.
set -u

here=$(cd "$(dirname "$0")" && pwd)

if [ "${1-}" != inside ]; then
	if ! command -v tc >/dev/null; then
		echo "1..0 # SKIP no tc: install iproute2"
		exit 4
	fi
	if ! unshare -rn true 2>/dev/null; then
		echo "1..0 # SKIP no network namespaces here"
		exit 4
	fi
	exec unshare -rn "$here/slow_line_test.sh" inside
fi

# packets as large as on a real line, for the shaper's bucket has to take them
if ! ip link set lo mtu 1500 up ||
	! tc qdisc add dev lo root tbf rate 200kbit burst 6kb latency 3s 2>/dev/null; then
	echo "1..0 # SKIP this kernel has no shaper (sch_tbf)"
	exit 4
fi
export ONLY=move
exec "$here/agent_move_test.sh"
