/* SPDX-License-Identifier: GPL-2.0 */
/*
 * workingset.h - which pages of a VM were needed first: records, and files of them
 *
 * A file is text: a line "telepage-workingset 1", "pages N" of the region, "runs N", and a
 * line "FIRST COUNT" for each run, in the order in which the pages were needed.
 */
#ifndef TELEPAGE_WORKINGSET_H
#define TELEPAGE_WORKINGSET_H

#include <stddef.h>
#include <stdint.h>
#include <linux/telepage.h>

#include "genl.h"

#define WORKINGSET_RUNS_MAX	65536	/* what a kernel replays */
#define WORKINGSET_DIR		"workingset"	/* in the agent's state directory */

struct workingset {
	uint64_t pages;			/* of the region */
	struct telepage_run *runs;
	size_t n;
};

void workingset_free(struct workingset *w);
/* pages that it names; one that several runs have is one */
uint64_t workingset_count(const struct workingset *w);

/* @text is anybody's: NULL, or what is wrong with it; then @w is empty */
const char *workingset_parse(const char *text, struct workingset *w);
char *workingset_format(const struct workingset *w);	/* to be freed; NULL: no memory */

/* NULL, or what is wrong; it never waits */
const char *workingset_load(const char *path, struct workingset *w);
/* the same of what a user names: "-" is standard input, and a pipe is waited for */
const char *workingset_load_named(const char *path, struct workingset *w);

/* what the kernel has written down of a region: 0 or a negative errno */
int workingset_read(struct tp_nl *nl, const char *region, struct workingset *w);
/* asks for it ahead, as far as the region has such pages */
int workingset_replay(struct tp_nl *nl, const char *region, const struct workingset *w);

/* where an agent with this state directory keeps that of a VM */
void workingset_path(char *buf, size_t len, const char *state, const char *region);
/* puts it there: 0 or a negative errno */
int workingset_store(const char *state, const char *region, const struct workingset *w);

/* of the agent, workingset_keep.c: a region has been filled; one begins to */
void workingset_event(const struct tp_event *ev);
void workingset_begin(const char *region);

#endif /* TELEPAGE_WORKINGSET_H */
