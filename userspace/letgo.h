/* SPDX-License-Identifier: GPL-2.0 */
/*
 * letgo.h - delete exports, regions and a link, however long somebody holds them
 */
#ifndef TELEPAGE_LETGO_H
#define TELEPAGE_LETGO_H

#include "agent.h"

struct letgo_list {
	unsigned int nr_exports, nr_regions;
	char export[MOVE_REGIONS_MAX][TELEPAGE_NAME_MAX + 1];
	char region[MOVE_REGIONS_MAX][TELEPAGE_NAME_MAX + 1];
	bool abandon;			/* regions that still fill are given up */
	bool has_link;
	uint32_t link;
};

/* @list: one of the two above with its number; it never holds more than that */
static inline void letgo_add(char list[][TELEPAGE_NAME_MAX + 1], unsigned int *nr,
			     const char *name)
{
	snprintf(list[*nr], TELEPAGE_NAME_MAX + 1, "%s", name);
	++*nr;
}

struct letgo;

/*
 * Exports, then regions, then the link; what is busy (a VMM that has not exited
 * yet) is tried again. @fn is called once when all is gone, or never.
 */
struct letgo *letgo_start(const struct letgo_list *list, const char *why,
			  void (*fn)(void *arg), void *arg);

/* @fn is not called any more, the rest goes on; NULL is fine */
void letgo_detach(struct letgo *lg);

#endif /* TELEPAGE_LETGO_H */
