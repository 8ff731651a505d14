/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pager.h - memory that a process gets from another host by userfaultfd, as a VMM
 * with a pager of its own does it: what telepage is compared with
 *
 * Two TCP connections of one process, each begun with one of the words below: on one
 * it asks for a page by its number and gets it; the other is pushed in the background,
 * each page once, on from the page that was asked for last. What is asked for is sent
 * even if it is on its way there. Numbers are of the host's own byte order.
 */
#ifndef TELEPAGE_BENCH_PAGER_H
#define TELEPAGE_BENCH_PAGER_H

#include <stdint.h>

#define PAGER_DEMAND	0x6d6f6464u
#define PAGER_PUSH	0x68737570u

/* pages in one frame of the push */
#define PAGER_RUN	16u

/* before the pages themselves; a count of 0 ends the push */
struct pager_frame {
	uint32_t first;
	uint32_t count;
};

char *pager_open(const char *host, const char *port, unsigned long nr_pages);
void pager_push(void);
void pager_wait(void);

#endif /* TELEPAGE_BENCH_PAGER_H */
