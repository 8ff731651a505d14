# SPDX-License-Identifier: GPL-2.0
# How long visits waited that had to, as an SVG: of files ORDER.PEER.waits, each a line for
# a wait, in nanoseconds and in ascending order. A picture for each order, in it the share
# of the waits that were over, by time, for each peer. With svg.awk.

BEGIN {
	left = 50
	top = 30
	width = 280
	height = 240
	gap = 40
	from = 5	# powers of ten, nanoseconds
	to = 10
	# in the colours of the bars
	npeers = split("telepage uffd nbd nfs", peers, " ")
	for (p = 1; p <= npeers; p++)
		peer_of[peers[p]] = p
	split("0.1 ms,1 ms,10 ms,100 ms,1 s,10 s", mark, ",")
}

FNR == 1 {
	name = FILENAME
	sub(/.*\//, "", name)
	split(name, part, ".")
	if (!(part[1] in order_of)) {
		order_of[part[1]] = ++norders
		orders[norders] = part[1]
	}
	o = order_of[part[1]]
	p = peer_of[part[2]]
}

{ wait[o, p, ++n[o, p]] = $1 }

function x(o, ns) {
	ns = log(ns < 1 ? 1 : ns) / log(10)
	ns = ns < from ? from : ns > to ? to : ns
	return sprintf("%.1f", left + (o - 1) * (width + gap) + (ns - from) / (to - from) * width)
}

function y(share) { return sprintf("%.1f", top + height - share * height) }

END {
	if (!norders)
		exit 1
	picture(left + norders * (width + gap), top + height + 40 + 18 * npeers)
	for (o = 1; o <= norders; o++) {
		for (i = from; i <= to; i++) {
			line(x(o, 10 ^ i), top, x(o, 10 ^ i), top + height, "#dddddd")
			label(x(o, 10 ^ i), top + height + 16, "middle", mark[i - from + 1])
		}
		for (i = 0; i <= 4; i++)
			line(x(o, 1), y(i / 4), x(o, 10 ^ to), y(i / 4), "#dddddd")
		label(x(o, 1), top - 10, "start", "waits of visits, " orders[o])
		for (p = 1; p <= npeers; p++) {
			points = x(o, wait[o, p, 1]) "," y(0)
			for (k = 1; k <= n[o, p]; k++) {
				points = points " " x(o, wait[o, p, k]) "," y((k - 1) / n[o, p])
				points = points " " x(o, wait[o, p, k]) "," y(k / n[o, p])
			}
			if (n[o, p])
				curve(points " " x(o, 10 ^ to) "," y(1), colour[p])
			at_y = top + height + 22 + 18 * p
			line(x(o, 1), at_y - 4, x(o, 1) + 24, at_y - 4, colour[p])
			label(x(o, 1) + 30, at_y, "start", peers[p] ", " n[o, p] + 0 " waits")
		}
	}
	for (i = 0; i <= 4; i++)
		label(left - 6, y(i / 4) + 4, "end", i * 25 " %")
	print "</svg>"
}
