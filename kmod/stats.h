/* SPDX-License-Identifier: GPL-2.0 */
/*
 * stats.h - counters of a region
 *
 * In the order of TELEPAGE_A_STATS_*, so that netlink and sysfs are loops.
 */
#ifndef TP_STATS_H
#define TP_STATS_H

#include <linux/percpu.h>
#include <linux/types.h>

enum tp_stat {
	TP_STAT_FAULTS,
	TP_STAT_FAULTS_NOWAIT,
	TP_STAT_ZERO_FILL,
	TP_STAT_DEMAND_SENT,
	TP_STAT_DEMAND,
	TP_STAT_PUSH,
	TP_STAT_ZERO,
	TP_STAT_DUPLICATE,
	TP_STAT_STALE,
	TP_STAT_WAIT_NS,
	TP_STAT_WAIT_MAX_NS,	/* kept in region->wait_max_ns */
	TP_STAT_MKWRITE,
	TP_STAT_RX_BYTES,
	TP_STAT_FILE,
	TP_STAT_FILE_BAD,
	TP_STAT_REWRITTEN,
	TP_STAT_PREFETCH_SENT,
	TP_STAT_PREFETCH_CAME,
	TP_STAT_PREFETCH_HIT,
	TP_STAT_PREFETCH_WASTE,
	TP_STAT_SAMPLE_FAULTS,
	TP_STAT_NR
};

#define TP_HIST_NR 24		/* bucket n: below 2^n microseconds; the last: the rest */

struct tp_counters {
	u64 c[TP_STAT_NR];
	u64 hist[TP_HIST_NR];
};

extern const char *const tp_stat_names[TP_STAT_NR];

struct tp_region;
u64 tp_stat_read(const struct tp_region *r, enum tp_stat stat);
u64 tp_hist_read(const struct tp_region *r, unsigned int bucket);

#define tp_stat_add(r, stat, n)	this_cpu_add((r)->counters->c[stat], n)
#define tp_stat_inc(r, stat)	tp_stat_add(r, stat, 1)

#endif /* TP_STATS_H */
