// SPDX-License-Identifier: GPL-2.0
/*
 * stats.c - counters of a region
 */
#include <linux/atomic.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include "telepage.h"

const char *const tp_stat_names[TP_STAT_NR] = {
	[TP_STAT_FAULTS]	= "faults",
	[TP_STAT_FAULTS_NOWAIT]	= "faults_nowait",
	[TP_STAT_ZERO_FILL]	= "zero_fill",
	[TP_STAT_DEMAND_SENT]	= "demand_sent",
	[TP_STAT_DEMAND]	= "demand",
	[TP_STAT_PUSH]		= "push",
	[TP_STAT_ZERO]		= "zero",
	[TP_STAT_DUPLICATE]	= "duplicate",
	[TP_STAT_STALE]		= "stale",
	[TP_STAT_WAIT_NS]	= "wait_ns",
	[TP_STAT_WAIT_MAX_NS]	= "wait_max_ns",
	[TP_STAT_MKWRITE]	= "mkwrite",
	[TP_STAT_RX_BYTES]	= "rx_bytes",
	[TP_STAT_FILE]		= "file",
	[TP_STAT_FILE_BAD]	= "file_bad",
	[TP_STAT_REWRITTEN]	= "rewritten",
	[TP_STAT_PREFETCH_SENT]	= "prefetch_sent",
	[TP_STAT_PREFETCH_CAME]	= "prefetch_came",
	[TP_STAT_PREFETCH_HIT]	= "prefetch_hit",
	[TP_STAT_PREFETCH_WASTE] = "prefetch_waste",
	[TP_STAT_SAMPLE_FAULTS]	= "sample_faults",
};

/**
 * tp_stat_read - a counter, summed over CPUs
 * @r: the region
 * @stat: which one
 *
 * Context: any. Counting goes on meanwhile.
 */
u64 tp_stat_read(const struct tp_region *r, enum tp_stat stat)
{
	u64 sum = 0;
	int cpu;

	if (stat == TP_STAT_WAIT_MAX_NS)
		return atomic64_read(&r->wait_max_ns);
	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(r->counters, cpu)->c[stat]);
	return sum;
}

/**
 * tp_hist_read - how many waits ended in a bucket of the histogram
 * @r: the region
 * @bucket: below TP_HIST_NR
 */
u64 tp_hist_read(const struct tp_region *r, unsigned int bucket)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(r->counters, cpu)->hist[bucket]);
	return sum;
}

/**
 * tp_stats_wait - a task has waited for a page
 * @r: the region
 * @ns: for how long
 */
void tp_stats_wait(struct tp_region *r, u64 ns)
{
	u64 us = div_u64(ns, NSEC_PER_USEC);
	unsigned int bucket = us ? min_t(unsigned int, ilog2(us) + 1, TP_HIST_NR - 1) : 0;
	s64 max = atomic64_read(&r->wait_max_ns);

	tp_stat_add(r, TP_STAT_WAIT_NS, ns);
	this_cpu_inc(r->counters->hist[bucket]);
	while ((s64)ns > max && !atomic64_try_cmpxchg(&r->wait_max_ns, &max, ns))
		;
}
