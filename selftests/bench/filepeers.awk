# SPDX-License-Identifier: GPL-2.0
# filepeers.tsv as a table of the report.

BEGIN { FS = "\t" }

NR == 1 {
	for (i = 1; i <= NF; i++)
		column[$i] = i
	print "| line | visits | pages | peer | walk s | 90 % s | all s | waits | mean ms | p50 ms | p99 ms | p99.9 ms | sent MiB | CPU s | source's |"
	print "|---|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
	next
}

function s(name) { return sprintf("%.3f", $column[name] / 1e9) }

function ms(name) { return sprintf("%.2f", $column[name] / 1e6) }

{
	print "| " $1 " ms, " $2 " Mbit/s | " $3 " | " $4 " | " $5 " | " s("walk") " | " s("recover90") " | " s("complete"),
		"| " $column["faults"] " | " ms("mean") " | " ms("p50") " | " ms("p99") " | " ms("p999"),
		"| " sprintf("%.2f", $column["bytes"] / 1048576) " | " s("busy") " | " s("source") " |"
}
