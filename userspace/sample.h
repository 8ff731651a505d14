/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sample.h - which pages a VM uses: samples, and the order that follows from them
 */
#ifndef TELEPAGE_SAMPLE_H
#define TELEPAGE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/telepage.h>

#include "genl.h"

#define SAMPLE_ORDER_MAX	65536	/* runs that a kernel takes as an order */

/* pages: runs from the first to the last, not touching each other */
struct sample_set {
	struct telepage_run *runs;
	size_t n;
};

void sample_clear(struct sample_set *s);

/* the used pages of a region's sample: 0 or a negative errno, then @s is empty */
int sample_read(struct tp_nl *nl, const char *region, struct sample_set *s, struct tp_sample *st);

/* at most @max runs: small gaps between two of them become pages of the set */
void sample_coarsen(struct sample_set *s, size_t max);

/*
 * Pages of @last, and behind them those that only @before has. At most @max runs, for
 * which both may be coarsened. -ENOMEM, or 0 and @order, to be cleared.
 */
int sample_order(struct sample_set *last, struct sample_set *before, size_t max,
		 struct sample_set *order);

/* telepage workingset sample, cmd_sample.c */
struct sample_args {
	const char *name;
	uint32_t ms, every;
	bool json;
};

int workingset_sample(const struct sample_args *a);

/* is @region that of VM @vm: VM, or VM.N? */
bool sample_is_of(const char *region, const char *vm);

#endif /* TELEPAGE_SAMPLE_H */
