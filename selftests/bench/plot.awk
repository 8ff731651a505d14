# SPDX-License-Identifier: GPL-2.0
# Guests' throughput around their moves as an SVG: of files WAY<number>.bins with
# lines "SECONDS VISITS", each a tenth of a second counted from the switch-over. One
# curve for each way, of the first file of it, smoothed over half a second. With svg.awk;
# -v counts=WORD: what is counted.

BEGIN {
	from = -10
	to = 20
	left = 60
	top = 20
	width = 800
	height = 300
}

FNR == 1 {
	way = FILENAME
	sub(/.*\//, "", way)
	sub(/[0-9]*\.bins$/, "", way)
	skip = way in known
	known[way] = 1
	if (!skip)
		ways[++nways] = way
	before = 0
}

skip { next }

{
	# a line that begins at a time counts as of the middle of its five
	window[FNR] = $2
	if (FNR >= 5) {
		mean = 0
		for (i = FNR - 4; i <= FNR; i++)
			mean += window[i] * 2
		if (mean > most)
			most = mean
		t[way, ++n[way]] = $1 - 0.15
		rate[way, n[way]] = mean
	}
}

function x(time) { return sprintf("%.1f", left + (time - from) / (to - from) * width) }

function y(visits) { return sprintf("%.1f", top + height - visits / most * height) }

END {
	if (!most)
		exit 1
	picture(left + width + 20, top + height + 60)
	for (s = from; s <= to; s += 5) {
		line(x(s), top, x(s), top + height, s ? "#dddddd" : "#555555")
		label(x(s), top + height + 16, "middle", s " s")
	}
	line(left, y(0), left + width, y(0), "#555555")
	label(left - 6, y(0), "end", "0")
	label(left - 6, y(most) + 8, "end", sprintf("%.0f/s", most))
	for (i = 1; i <= nways; i++) {
		way = ways[i]
		points = ""
		for (k = 1; k <= n[way]; k++)
			if (t[way, k] >= from && t[way, k] <= to)
				points = points " " x(t[way, k]) "," y(rate[way, k])
		curve(points, colour[i])
		line(left + (i - 1) * 150, top + height + 36, left + (i - 1) * 150 + 24, top + height + 36, colour[i])
		label(left + (i - 1) * 150 + 30, top + height + 40, "start", way)
	}
	label(left + width, top - 6, "end", counts " of the guest, seconds from the switch-over")
	print "</svg>"
}
