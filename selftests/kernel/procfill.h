/* SPDX-License-Identifier: GPL-2.0 */
/*
 * procfill.h - a region that fills from the memory of a process: export "p" of it,
 * imported by region "d" of the same kernel, which is mapped
 */
#ifndef TELEPAGE_PROCFILL_H
#define TELEPAGE_PROCFILL_H

#include "proc.h"

#define NR	512UL
#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)
#define PAGES(n) ((n) * TK_PAGE)

extern struct tk_pair fill_pair;
extern uint8_t *fill_map;		/* region "d" */

void fill_begin(struct proc *p, const struct tp_range *ranges, size_t n, bool push);
void fill_end(void);
/* gives up what is still absent, if there is anything: the last page may come meanwhile */
void fill_abandon(void);
bool fill_complete(void);
/* is "d" broken with this errno, and words? */
bool fill_broken(int err);
/* a task that needs a page of "d" which cannot be had; it waits */
pid_t fill_wants(unsigned long page);
void fill_give_up(pid_t pid);
/* anonymous memory of a process in small pages, so that what is not touched is not there */
uint64_t fill_anon(struct proc *p, unsigned long pages);
/* how many pages of "d" from @first on are not zero */
unsigned long fill_not_zero(unsigned long first, unsigned long pages);
/* how many are not the pages of @seed from @from on */
unsigned long fill_differ(unsigned long first, unsigned long pages, uint32_t seed,
			  unsigned long from);

/*
 * how many of the first pages of "d", which was given up, have come; @wrong becomes more by those
 * that are not the pages of @seed
 */
unsigned long fill_came(unsigned long pages, uint32_t seed, unsigned long *wrong);

#endif /* TELEPAGE_PROCFILL_H */
