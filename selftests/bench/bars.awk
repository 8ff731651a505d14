# SPDX-License-Identifier: GPL-2.0
# What filepeers.tsv says of the first case of each order, as an SVG: a row for each order,
# and in it bars of the peers for times and bytes. With svg.awk.

BEGIN {
	FS = "\t"
	left = 90
	top = 34
	width = 200
	height = 18
	gap = 46
	nwhat = split("walk recover90 complete bytes", what, " ")
	split("s until the walk is over,s until 90 % of its usual rate,s until all is there,MiB sent by both",
		title, ",")
	split("1e9 1e9 1e9 1048576", unit, " ")
}

NR == 1 {
	for (i = 1; i <= NF; i++)
		column[$i] = i
	next
}

{
	this = $1 FS $2 FS $4
	if (!($3 in first)) {
		first[$3] = this
		orders[++norders] = $3
	}
	if (first[$3] != this)
		next
	if (!($5 in known)) {
		known[$5] = 1
		peers[++npeers] = $5
	}
	for (i = 1; i <= nwhat; i++) {
		v = $column[what[i]] / unit[i]
		value[$3, $5, i] = v
		if (v > most[i])
			most[i] = v
	}
}

END {
	if (!norders)
		exit 1
	row = npeers * height + 24
	picture(left + nwhat * (width + gap), top + norders * row)
	for (i = 1; i <= nwhat; i++)
		label(left + (i - 1) * (width + gap), top - 16, "start", title[i])
	for (o = 1; o <= norders; o++) {
		split(first[orders[o]], of, FS)
		label(6, top + (o - 1) * row + 2, "start", orders[o] ", " of[3] " pages, " of[1] " ms, " of[2] " Mbit/s")
		for (p = 1; p <= npeers; p++) {
			at_y = top + (o - 1) * row + 8 + (p - 1) * height
			label(left - 6, at_y + 12, "end", peers[p])
			for (i = 1; i <= nwhat; i++) {
				v = value[orders[o], peers[p], i]
				at_x = left + (i - 1) * (width + gap)
				box(at_x, at_y, v / most[i] * width, height - 4, colour[p])
				label(at_x + v / most[i] * width + 4, at_y + 12, "start", sprintf("%.2f", v))
			}
		}
	}
	print "</svg>"
}
