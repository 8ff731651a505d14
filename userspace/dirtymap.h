/* SPDX-License-Identifier: GPL-2.0 */
/*
 * dirtymap.h - a bitmap of dirty pages as runs
 */
#ifndef TELEPAGE_DIRTYMAP_H
#define TELEPAGE_DIRTYMAP_H

#include <stddef.h>
#include <stdint.h>

struct tp_run {
	uint64_t start, count;		/* pages */
};

/* an array that grows; zeroed memory is an empty one, free v yourself */
struct tp_runs {
	struct tp_run *v;
	size_t n, room;
	uint64_t pages;			/* in all runs */
};

/*
 * Appends the bits of @bitmap (bit n of byte n / 8 is page @start + n). Runs that
 * go on from one bitmap into the next become one. 0 or -ENOMEM.
 */
int tp_runs_add(struct tp_runs *r, const uint8_t *bitmap, uint64_t start, uint64_t count);

#endif /* TELEPAGE_DIRTYMAP_H */
