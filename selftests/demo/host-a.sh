#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash source=selftests/guest/lib.sh
#
# The demonstration's part on host a, run by ./demo in the lab.
#   host-a.sh RAM_MIB RTT_MS RATE_MBIT LOAD

. /lab/bin/guestlib.sh

ram=$1 rtt=$2 rate=$3 load=$4
GUEST_RAM=${ram}M
begin=$(date +%s)
clock_port=7777

step() { printf '%4d s  %s\n' $(($(date +%s) - begin)) "$*"; }

give_up() {
	step "FAILED: $*"
	diagnose
	exit 1
}

# "OFFSET ERROR" of b's clock, see guestio.c; on the line that nothing else uses
compare_clocks() { guestio clock 10.78.0.2 $clock_port; }

moving() { kill -0 "$mover" 2>/dev/null; }

# A line now and then: where the guest is, what its heart says, how far the memory is.
watch_move() {
	while moving; do
		sleep 2
		# shellcheck disable=SC2016 # for the other host
		peer -n sh -c 'telepage list regions --json; tail -n 1 "$0"' "$GUEST_LOG/vm0.log" \
			>/tmp/seen 2>/dev/null || continue
		seen=$(grep -v ' hb ' /tmp/seen | jq -r '.regions[]? | select(.name == "vm0") |
			"\(100 * .here_pages / .pages | floor) % of its memory there, " +
			"\(.stats.demand) pages asked for, \(.stats.push) pushed"' 2>/dev/null)
		beat=$(sed -n 's/.* hb \([0-9]*\) t=.*/\1/p' /tmp/seen)
		if [ -n "$beat" ]; then
			step "guest at host-b, heartbeat $beat; ${seen:-all of its memory there}"
		else
			step "guest at host-a, heartbeat $(vm_count vm0); ${seen:-preparing}"
		fi
	done
	wait "$mover"
}

# heartbeats CLOCKS_BEFORE CLOCKS_AFTER UNTIL: what they tell, as JSON. Times of b
# are made times of a by the offset. Gaps count up to UNTIL, when all of the memory
# was there and before the guest was given something to do.
heartbeats() {
	peer -n cat "$GUEST_LOG/vm0.log" >/tmp/b.log
	awk -v first="$1" -v second="$2" -v until="$3" '
		BEGIN {
			split(first, f, " "); split(second, s, " ")
			offset = (f[1] + s[1]) / 2
			drift = f[1] > s[1] ? f[1] - s[1] : s[1] - f[1]
			error = (f[2] > s[2] ? f[2] : s[2]) + drift / 2
		}
		FNR == 1 { where++ }
		{
			time = $1 + (where == 2 ? offset : 0)
			line = substr($0, index($0, " ") + 1)
		}
		# the switch-over cut this one in two
		substr(line, 1, 1) == "~" { half = substr(line, 2); next }
		half != "" && where == 2 { line = half line; half = "" }
		line !~ /^hb [0-9]+ t=[0-9.]+ .* boot=[0-9a-f]*[0-9a-f]$/ || length(line) - index(line, " boot=") != 13 { next }
		{
			split(line, w, " ")
			clock = substr(w[3], 3)
			gap = n ? time - at : 0
			if (n && w[2] != last + 1)
				lost++
			if (where == 1) {
				usual += gap
				here++
			} else {
				if (!there++) {
					first_beat = gap
					first_clock = clock - last_clock
				}
				if (at < until) {
					if (gap > longest)
						longest = gap
					if (gap > 0.25) {
						stalls++
						stalled += gap
					}
				}
			}
			n++
			last = w[2]; at = time; last_clock = clock
		}
		function ms(x) { return sprintf("%.1f", x * 1e3) }
		END {
			print "{\"downtime_ms\":" ms(longest) ",\"downtime_error_ms\":" ms(error) \
				",\"first_beat_ms\":" ms(first_beat) \
				",\"first_beat_guest_clock_ms\":" ms(first_clock) \
				",\"stalls\":" stalls + 0 ",\"stalled_ms\":" ms(stalled) \
				",\"beat_ms\":" ms(here > 1 ? usual / (here - 1) : 0) \
				",\"beats_before\":" here + 0 ",\"beats_after\":" there + 0 \
				",\"beats_out_of_order\":" lost + 0 "}"
		}' "$GUEST_LOG/vm0.log" /tmp/b.log
}

write_report() {
	jq -n --slurpfile move "$GUEST_LOG/vm0.move.json" --argjson beats "$beats" \
		--argjson rtt "$rtt" --argjson rate "$rate" --arg check "$1" --arg said "$said" \
		--arg kernel "$(uname -r)" --arg accel "${LAB_ACCEL:-}" --arg load "$load" \
		--argjson rtt_seen "${rtt_seen:-null}" --argjson async "${async:-null}" '
		$move[0] as $m | {
			ram_bytes: $m.ram_bytes, rtt_ms: $rtt, rate_mbit: $rate,
			rtt_measured_ms: $rtt_seen, kernel: $kernel, accel: $accel, load: $load,
			downtime_ms: $beats.downtime_ms, switch_ms: $m.switch_ms,
			fill_ms: $m.fill_ms, prepare_ms: $m.prepare_ms, total_ms: $m.total_ms,
			pages_total: $m.pages_total, pages_zero: $m.pages_zero,
			pages_demand: $m.pages_demand, pages_push: $m.pages_push,
			wire_bytes: $m.wire_bytes, state_bytes: $m.state_bytes,
			state_wire_bytes: $m.state_wire_bytes,
			# bytes that crossed the line for a byte of the pages that did
			wire_ratio: ($m.wire_bytes / ([1, $m.pages_demand + $m.pages_push] | max) /
				4096 * 1000 | round / 1000),
			faults_async: $async, guest_check: $check, guest_said: $said
		} + $beats' >"$OUT/report.json"
}

table() {
	jq -r '
		def mib: . / 1048576 * 10 | round / 10 | tostring + " MiB";
		def s: . / 100 | round / 10 | tostring + " s";
		def share(n): "\(n)   \(n * 1000 / .pages_total | round / 10) %";
		"",
		"  a running guest of \(.ram_bytes | mib) was moved; \(.rtt_ms) ms and \(.rate_mbit) Mbit/s between the hosts",
		"  ---------------------------------------------------------------------------------------",
		"  stood still       \(.downtime_ms | round) ms   the longest time without a heartbeat (± \(.downtime_error_ms) ms; usual: \(.beat_ms | round) ms)",
		"    first beat      \(.first_beat_ms | round) ms   from the last at host-a to the first at host-b",
		"    all stalls      \(.stalled_ms | round) ms   in \(.stalls) gaps over 250 ms until its memory was complete",
		"  switch-over       \(.switch_ms) ms   from `stop` at host-a to running at host-b",
		"  memory complete   \(.fill_ms | s)    later (its \(.wire_bytes | mib) take \(.wire_bytes * 8 / .rate_mbit / 1000 | s) on this line)",
		"",
		"  pages             \(.pages_total)",
		"    zero            \(share(.pages_zero))   never sent",
		"    pushed          \(share(.pages_push))   before anybody asked",
		"    on demand       \(share(.pages_demand))   while the guest waited for them",
		"  on the wire       \(.wire_bytes | mib)   \(.wire_ratio * 100 | round) % of what these pages hold; encrypted",
		"",
		"  guest             \(.guest_check): \(.guest_said)",
		"                    \(.beats_before) heartbeats at host-a, \(.beats_after) at host-b, \(.beats_out_of_order) lost or repeated",
		""' "$OUT/report.json"
}

everywhere host_open || give_up "no guest can run here"
everywhere agent_start || give_up "the agents do not start"
on b clock_serve $clock_port
rtt_seen=$(ping -q -c 4 -i 0.2 "$LAB_PEER" | sed -n 's|^rtt [^=]*= \([^/]*\)/.*|\1|p')
step "two hosts, $rtt ms apart (measured: $rtt_seen ms), $rate Mbit/s; agents on both"

vm_run vm0 "gl.load=$load" || give_up "the guest does not run"
on b console_open vm0
step "guest at host-a: $(sed -n 's/^[^ ]* ready boot=.* pages=\([0-9]*\).*/\1 pages of its own to check/p' "$GUEST_LOG/vm0.log")"
sleep 3
step "guest at host-a, heartbeat $(vm_count vm0)"

boot=$(vm_boot_id vm0)
clocks=$(compare_clocks) || give_up "the clocks cannot be compared"
step "# telepage move vm0 --to host-b --mode postcopy"
telepage move vm0 --to host-b --mode postcopy --json >"$GUEST_LOG/vm0.move.json" 2>"$GUEST_LOG/vm0.move.err" &
mover=$!
watch_move || give_up "telepage move: $(cat "$GUEST_LOG/vm0.move.err" "$GUEST_LOG/vm0.move.json")"
complete=$(guestio now)
step "all of its memory is at host-b"
later_clocks=$(compare_clocks) || give_up "the clocks cannot be compared"
async=$(peer -n telepage stats vm0 --json | jq '[.. | .faults_nowait? // empty] | first')

step "the guest checks all of its memory"
said=$(on b vm_verify vm0 180) && verified=1
on b vm_beats vm0 || verified=
beats=$(heartbeats "$clocks" "$later_clocks" "$complete")
result="failed"
if [ -n "${verified:-}" ] && [ "$boot" = "$(on b vm_boot_id vm0)" ] &&
	[ "$(echo "$beats" | jq '.beats_out_of_order == 0 and .beats_after > 0')" = true ]; then
	result="ok"
fi
step "$said"
write_report $result
table
everywhere host_close >/dev/null
[ "$result" = ok ]
