/* SPDX-License-Identifier: GPL-2.0 */
/*
 * files.h - regions whose pages are in local files, for the tests of that
 */
#ifndef TK_FILES_H
#define TK_FILES_H

#include <stdio.h>
#include <string.h>

#include "tk.h"

#define PAGES	512UL
#define DIR	"/tmp/origin"
#define IMAGE	DIR "/image"

extern uint8_t digests[PAGES][TELEPAGE_DIGEST_SIZE];

/* the digests of what the source has: tk_page(@seed, ...) */
void digest_all(uint32_t seed);
/* a file with pages of @seed; those at multiples of @hole are left out, 0: none */
int image(const char *path, uint32_t seed, unsigned long pages, unsigned long hole);
void spoil(int fd, unsigned long page);
/* pages of @region are those of @fd from page @at on */
int origin(const char *region, int fd, unsigned long start, unsigned long count,
	   unsigned long at, bool verify, bool fill);
unsigned long wrong(const char *name, uint32_t seed, unsigned long hole);
/* mounted anew, so that unmounting shows whether files are let go of */
void files_open(void);
bool files_close(void);
/* "s" has pages of @seed and is served; "d" imports it, held for a planner of its own */
struct tp_nl *planned(struct tk_pair *p, uint32_t seed, bool push);
void planned_end(struct tk_pair *p);

/* results are counted in the file that says them */

static inline void tap_is(long got, long want, const char *what)
{
	tap_ok(got == want, "%s", what);
	if (got != want)
		printf("# %ld, not %ld\n", got, want);
}

/* the last command: @got is its answer */
static inline void refused(const char *what, int got, int want, const char *words)
{
	const char *said = tp_nl_error(tk_nl);

	tap_ok(got == want && strstr(said, words), "refused: %s", what);
	if (got != want || !strstr(said, words))
		printf("# %d %s\n", got, said);
}

#endif /* TK_FILES_H */
