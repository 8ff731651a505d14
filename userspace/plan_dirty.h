/* SPDX-License-Identifier: GPL-2.0 */
/*
 * plan_dirty.h - which pages of a region were written to, and runs of pages; workers only
 */
#ifndef TELEPAGE_PLAN_DIRTY_H
#define TELEPAGE_PLAN_DIRTY_H

#include "genl.h"
#include "plan_wire.h"

struct plan_runs {
	struct plan_run *v;		/* to be freed */
	size_t nr;
};

static inline bool plan_bit(const uint8_t *bits, uint64_t page)
{
	return bits[page / 8] >> page % 8 & 1;
}

/*
 * The dirty bits of @region. @bits: (@pages + 7) / 8 bytes; @clear: they are cleared; @clears:
 * so often that was done. 0 or a negative errno. Waits for a freeze that is under way.
 */
int plan_dirty(struct tp_nl *nl, const char *region, uint64_t pages, uint8_t *bits, bool clear,
	       uint64_t *clears);
/* @still: it is frozen, and that will not fail any more */
int plan_still(struct tp_nl *nl, const char *region, struct tp_region *now, bool *still);

void plan_runs_add(struct plan_runs *r, uint64_t first, uint64_t count);
/* adds runs of pages before @end whose bit is @wanted */
void plan_runs_of(struct plan_runs *r, const uint8_t *bits, uint64_t end, bool wanted);

#endif /* TELEPAGE_PLAN_DIRTY_H */
