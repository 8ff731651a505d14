/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pin.h - a page that stays pinned
 */
#ifndef TK_PIN_H
#define TK_PIN_H

#include "tk.h"

struct pin {
	uint8_t *to, *of;	/* of: the region's memory, the first page is pinned */
	unsigned long pages;
	uint32_t nowhere;
	pthread_t t;
};

/* the first page of region @name, of @pages; makes region "x" */
void pin_begin(struct pin *p, const char *name, unsigned long pages);
void pin_end(struct pin *p);		/* it is not pinned any more */
void pin_close(struct pin *p);		/* after that: memory, region and link go */

#endif /* TK_PIN_H */
