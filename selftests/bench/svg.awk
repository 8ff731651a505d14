# SPDX-License-Identifier: GPL-2.0
# What the plots share.

BEGIN {
	split("#d62728 #1f77b4 #2ca02c #ff7f0e #9467bd #8c564b #17becf", colour, " ")
}

function line(x1, y1, x2, y2, stroke) {
	printf "<line x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\" stroke=\"%s\"/>\n", x1, y1, x2, y2, stroke
}

function label(at_x, at_y, anchor, text) {
	printf "<text x=\"%s\" y=\"%s\" text-anchor=\"%s\">%s</text>\n", at_x, at_y, anchor, text
}

function curve(points, stroke) {
	printf "<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"%s\" points=\"%s\"/>\n", stroke, points
}

function box(at_x, at_y, wide, high, fill) {
	printf "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", at_x, at_y,
		wide, high, fill
}

function picture(wide, high) {
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" ", wide, high
	print "font-family=\"sans-serif\" font-size=\"12\">"
	print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
}
