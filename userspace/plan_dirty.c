// SPDX-License-Identifier: GPL-2.0
/*
 * plan_dirty.c - which pages of a region were written to, and runs of pages
 */
#include <stdlib.h>

#include "plan_dirty.h"
#include "pulse.h"

int plan_dirty(struct tp_nl *nl, const char *region, uint64_t pages, uint8_t *bits, bool clear,
	       uint64_t *clears)
{
	uint64_t p, n;
	int err = 0;

	*clears = 0;
	for (p = 0; p < pages && !err; p += n) {
		n = pages - p;
		if (n > TELEPAGE_DIRTY_MAX)
			n = TELEPAGE_DIRTY_MAX;
		err = tp_region_dirty(nl, region, p, n, clear, bits + p / 8);
		*clears += clear;
		pulse_beat();
	}
	return err;
}

int plan_still(struct tp_nl *nl, const char *region, struct tp_region *now, bool *still)
{
	uint8_t bit = 0;
	int err = tp_region_get(nl, region, now);

	/* @now->frozen is true while it is being frozen, too, which may fail */
	if (!err && now->frozen) {
		/* this waits for the freeze to be over */
		err = tp_region_dirty(nl, region, 0, 1, false, &bit);
		if (!err)
			err = tp_region_get(nl, region, now);
	}
	*still = !err && now->frozen;
	return err;
}

void plan_runs_add(struct plan_runs *r, uint64_t first, uint64_t count)
{
	if (!(r->nr & (r->nr - 1))) {
		size_t room = r->nr ? r->nr * 2 : 1;

		r->v = realloc(r->v, room * sizeof(*r->v));
		if (!r->v)
			abort();
	}
	r->v[r->nr++] = (struct plan_run){ first, count };
}

void plan_runs_of(struct plan_runs *r, const uint8_t *bits, uint64_t end, bool wanted)
{
	uint64_t p, first;

	for (p = 0; p < end; p++) {
		for (first = p; p < end && plan_bit(bits, p) == wanted; p++)
			;
		if (p > first)
			plan_runs_add(r, first, p - first);
	}
}
