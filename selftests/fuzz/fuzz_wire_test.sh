#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The wire's decoders get what nobody meant them to get: fuzz_wire for a while, see
# target.c for what must hold. TAP on stdout, exit 4: skipped.
#
#   fuzz_wire_test.sh [guest]   "guest": fuzz_guest, of what a guest's memory says, guest.c
#
#   FUZZ_SECONDS=N   how long: 60, in the quick tier 5; selftests/run ends it after 600
set -u

here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
root=$(dirname "$(dirname "$here")")
build=${TELEPAGE_BUILD:-${BUILD:-$root/build}}
target=${1:-wire}
fuzz=$build/fuzz/fuzz_$target
seeds=$build/fuzz/seeds
[ "$target" = wire ] || seeds=${seeds}_$target
max=8192
[ "$target" = wire ] || max=70000
out=$build/check/fuzz_$target
if [ "${TIER:-full}" = quick ]; then
	seconds=${FUZZ_SECONDS:-5}
else
	seconds=${FUZZ_SECONDS:-60}
fi
case $seconds in
'' | *[!0-9]* | 0)
	echo "Bail out! FUZZ_SECONDS is a number of seconds, not '$seconds'"
	exit 1
	;;
esac

if [ ! -x "$fuzz" ]; then
	echo "1..0 # SKIP no $fuzz: make fuzz"
	exit 4
fi

# Some kernels put programs where older sanitizers want their shadow.
fixed=()
! setarch -R true 2>/dev/null || fixed=(setarch -R)

rm -rf "$out"
mkdir -p "$out/corpus"
n=0 bad=0

# run WHAT ARGUMENT...: one result
run() {
	local what=$1 log=$out/log.$((n + 1)) status units input
	shift

	# decoders allocate nothing, and looking for leaks needs ptrace
	ASAN_OPTIONS=quarantine_size_mb=16 "${fixed[@]}" "$fuzz" -detect_leaks=0 -max_len="$max" -timeout=60 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$out/" "$@" >"$log" 2>&1
	status=$?
	n=$((n + 1))
	units=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	if [ "$status" = 0 ] && [ "${units:-0}" -gt 0 ]; then
		echo "ok $n $what"
		echo "# $units inputs, $(grep -o 'cov: [0-9]*' "$log" | tail -n 1)"
		return
	fi
	bad=1
	echo "not ok $n $what"
	grep -E '^wrong:|ERROR: |runtime error:' "$log" | sed 's/^/# /'
	input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
	if [ -n "$input" ]; then
		echo "# the input is kept, repeat it with: $fuzz $input"
	fi
	echo "# exit status $status, see $log"
}

echo "TAP version 13"
echo "1..2"
run "what is right is taken" -runs=0 "$seeds"
run "nothing is found in $seconds s" -max_total_time="$seconds" -use_value_profile=1 \
	"$out/corpus" "$seeds"
exit $bad
