# SPDX-License-Identifier: GPL-2.0
# What a guest's heartbeats tell of its move. Two consoles' logs, of host a and host b;
# -v offset=S makes a time of b one of a, -v command=S is when the move was asked for.
# -v slower=N: all of it happens N times slower than it is to count, times are divided.
# -v of_counts=1: downtime is the longest time in which a heartbeat tells of nothing new.
# A line "NAME VALUE" for each figure.

$2 ~ /^~/ {
	half = substr($0, index($0, "~") + 1)
	next
}

{
	time = $1
	line = substr($0, index($0, " ") + 1)
	if (FILENAME != ARGV[1]) {
		time += offset
		if (half != "") {
			line = half line
			half = ""
		}
	}
}

line ~ /^bad |panic|guestload:/ {
	print "bad: " line >"/dev/stderr"
	failed = 1
}

line !~ /^hb [0-9]+ [0-9]+$/ { next }

{
	split(line, w, " ")
	beat = w[2]
	if (n && beat != last + 1) {
		print "beat " beat " after " last >"/dev/stderr"
		failed = 1
	}
	last = beat
	n++
	at[n] = time / slower
	visits[n] = w[3]
	if (FILENAME == ARGV[1])
		here = n
}

# visits until a time, between two beats in proportion
function seen(t,	lo, hi, mid) {
	if (t >= at[n])
		return visits[n]
	lo = 1
	hi = n
	while (hi - lo > 1) {
		mid = int((lo + hi) / 2)
		if (at[mid] <= t)
			lo = mid
		else
			hi = mid
	}
	return visits[lo] + (visits[hi] - visits[lo]) * (t - at[lo]) / (at[hi] - at[lo])
}

END {
	if (failed || !here || here == n)
		exit 1
	stop = at[here]
	command /= slower
	usual = (seen(command) - seen(command - 4)) / 4
	if (at[n] < stop + 11 || !usual) {
		print "beats until " at[n] - stop " s after the switch only" >"/dev/stderr"
		exit 1
	}
	since = stop
	for (i = here + 1; i <= n && since < stop + 10; i++) {
		if (of_counts && visits[i] == visits[i - 1])
			continue
		if (at[i] - since > gap)
			gap = at[i] - since
		since = at[i]
	}
	# back is where the next second has nine tenths of what was usual
	for (back = stop; back < at[n] - 1; back += 0.1)
		if (seen(back + 1) - seen(back) >= 0.9 * usual)
			break
	print "usual", usual
	print "stop", stop * slower
	print "downtime", gap
	print "first_beat", at[here + 1] - at[here]
	print "recover90", back - stop
	print "command90", back - command
	print "lost10s", (10 * usual - seen(stop + 10) + seen(stop)) / usual
	print "lost_before", ((stop - command) * usual - seen(stop) + seen(command)) / usual
	if (back >= at[n] - 1)
		print "late", 1
	if (bins != "") {
		for (t = command - 2; t < stop + 20 && t + 0.1 < at[n]; t += 0.1)
			printf "%.1f %.0f\n", t - stop, seen(t + 0.1) - seen(t) >bins
	}
}
