/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sample.h - which pages of a region are used, seen at the source
 */
#ifndef TP_SAMPLE_H
#define TP_SAMPLE_H

#include <linux/rcupdate.h>
#include "telepage.h"

/**
 * struct tp_sample_stat - a sample in numbers
 * @every: one chunk of so many is in it
 * @sampled: pages in it
 * @touched: of them, pages that were used since it began
 * @faults: that there were on its pages
 */
struct tp_sample_stat {
	u32 every;
	u64 sampled;
	u64 touched;
	u64 faults;
};

int tp_sample_begin(struct tp_region *r, u32 every, u32 seed, struct netlink_ext_ack *extack);
void tp_sample_end(struct tp_region *r);
int tp_sample_read(struct tp_region *r, pgoff_t start, struct telepage_run *runs,
		   unsigned int *nr, struct tp_sample_stat *st);
void tp_sample_evict(struct tp_region *r);
void tp_sample_touch_slow(struct tp_region *r, pgoff_t index, bool fault);
bool tp_sample_clip_slow(struct tp_region *r, pgoff_t index, pgoff_t *first, pgoff_t *last);

/* as the slow one, which there is nothing to do for without a sample */
static inline void tp_sample_touch(struct tp_region *r, pgoff_t index, bool fault)
{
	if (unlikely(rcu_access_pointer(r->sample)))
		tp_sample_touch_slow(r, index, fault);
}

static inline bool tp_sample_clip(struct tp_region *r, pgoff_t index, pgoff_t *first,
				  pgoff_t *last)
{
	return likely(!rcu_access_pointer(r->sample)) ||
	       tp_sample_clip_slow(r, index, first, last);
}

#endif /* TP_SAMPLE_H */
