/* SPDX-License-Identifier: GPL-2.0 */
/*
 * guestpages.h - the pages of a test guest
 *
 * What each page has to hold follows from its number, its generation and this boot's
 * seed, so a page that is zero, stale, torn or another's is told apart from a right
 * one, at any time and without a second copy. File data in the page cache is made of
 * such pages, too.
 */
#ifndef TELEPAGE_GUESTPAGES_H
#define TELEPAGE_GUESTPAGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE		4096
#define FILE_PATH	"/data"

extern uint64_t seed;			/* of this boot, set before the first page */
extern unsigned int page_noise;		/* percent that does not compress, set likewise */
extern _Atomic uint64_t all_verified, all_bad;

uint64_t mix(uint64_t x);		/* one number from another, as if by chance */
void make_page(void *page, uint64_t index, uint32_t gen);
bool check_page(const void *page, uint64_t index, uint32_t gen);

int make_files(unsigned int mib);	/* FILE_PATH, so large; -1 with errno */
size_t check_files(void);		/* and the one we run from; how much is wrong */

/* what is wrong, counted in all_bad; the words of the first few are kept */
void report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *next_report(void);		/* that was not shown yet; NULL: none */

#endif /* TELEPAGE_GUESTPAGES_H */
