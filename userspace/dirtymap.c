// SPDX-License-Identifier: GPL-2.0
/*
 * dirtymap.c - a bitmap of dirty pages as runs
 */
#include <errno.h>
#include <stdlib.h>

#include "dirtymap.h"

static int add_page(struct tp_runs *r, uint64_t page)
{
	r->pages++;
	if (r->n && r->v[r->n - 1].start + r->v[r->n - 1].count == page) {
		r->v[r->n - 1].count++;
		return 0;
	}
	if (r->n == r->room) {
		size_t room = r->room ? r->room * 2 : 64;
		struct tp_run *v = realloc(r->v, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		r->v = v;
		r->room = room;
	}
	r->v[r->n++] = (struct tp_run){ page, 1 };
	return 0;
}

int tp_runs_add(struct tp_runs *r, const uint8_t *bitmap, uint64_t start, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		/* most of the memory is clean most of the time */
		if (!(i % 8) && !bitmap[i / 8]) {
			i += 7;
			continue;
		}
		if (bitmap[i / 8] >> (i % 8) & 1 && add_page(r, start + i))
			return -ENOMEM;
	}
	return 0;
}
