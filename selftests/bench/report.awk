# SPDX-License-Identifier: GPL-2.0
# The figures as a table: for a terminal with plain=1, else as Markdown with the
# conditions of each figure below.

# the value of a key, of a line of JSON as lib.sh writes them
function field(key,	s) {
	if (!match($0, "\"" key "\":(\"([^\"\\\\]|\\\\.)*\"|[^,}]*)"))
		return ""
	s = substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3)
	if (s == "null")
		return ""
	gsub(/^"|"$/, "", s)
	gsub(/\\"/, "\"", s)
	return s
}

{
	n++
	name[n] = field("name")
	value[n] = field("value")
	unit[n] = field("unit")
	target[n] = field("target")
	met[n] = field("met") == "true" ? "met" : field("met") == "false" ? "MISSED" : ""
	kernel[n] = field("kernel")
	conditions[n] = field("conditions")
	if (met[n] == "MISSED")
		missed++
	if (target[n] != "")
		targets++
}

END {
	if (plain)
		form = "%-36s %-6s %12s %-7s %-8s %s\n"
	else
		form = "| %s | %s | %s | %s | %s | %s |\n"
	printf form, "figure", "kernel", "value", "unit", "target", ""
	if (!plain)
		print "|---|---|---:|---|---|---|"
	for (i = 1; i <= n; i++)
		printf form, name[i], kernel[i], value[i], unit[i], target[i], met[i]
	printf "\n%d figures, %d of them with a target, %d missed.\n", n, targets, missed
	if (plain)
		exit
	print "\n## Conditions\n"
	for (i = 1; i <= n; i++)
		printf "- **%s** (%s): %s.\n", name[i], kernel[i], conditions[i]
}
