// SPDX-License-Identifier: GPL-2.0
/*
 * plan_seen.c - what plans of one job have done so far
 */
#include <sys/mman.h>

#include "plan_job.h"

struct plan_seen *plan_seen_new(const struct plan_job *job)
{
	size_t bits = 0, len;
	struct plan_seen *s;

	for (unsigned int i = 0; i < job->nr; i++)
		bits += job->region[i].pages;
	len = sizeof(*s) + bits / 8 + 1;
	/* of most of it nothing is ever written */
	s = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (s == MAP_FAILED)
		return NULL;
	s->len = len;
	bits = 0;
	for (unsigned int i = 0; i < job->nr; i++) {
		s->first[i] = bits;
		bits += job->region[i].pages;
	}
	return s;
}

void plan_seen_free(struct plan_seen *s)
{
	if (s)
		munmap(s, s->len);
}

void plan_seen_put(struct plan_seen *s, unsigned int region, uint64_t first, uint64_t count,
		   bool has)
{
	for (size_t at = s->first[region] + first; count; at++, count--) {
		if (has)
			s->has[at / 8] |= 1 << at % 8;
		else
			s->has[at / 8] &= ~(1 << at % 8);
	}
}

bool plan_seen_has(const struct plan_seen *s, unsigned int region, uint64_t page)
{
	size_t at = s->first[region] + page;

	return s->has[at / 8] >> at % 8 & 1;
}
