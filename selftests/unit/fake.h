/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fake.h - genl.h without a kernel, for tests of the agent
 *
 * Any number of "hosts" ($TELEPAGE_FAKE_HOST) share one state file in
 * $TELEPAGE_FAKE; regions are ordinary files. An import copies the whole file as
 * soon as the export is open, so a VMM never has to wait for a page; while
 * $TELEPAGE_FAKE/hold exists it still looks as if half of the pages were absent.
 * While $TELEPAGE_FAKE/nothaw exists no region is thawed.
 * While $TELEPAGE_FAKE/overrun.HOST exists that host's agent misses all events.
 * While $TELEPAGE_FAKE/deaf.HOST exists that host's kernel tells nothing of regions,
 * while $TELEPAGE_FAKE/hang.HOST exists no image of it can be opened: who tries makes
 * "hung.HOST" and waits until that is gone, while open.REGION exists that region is open,
 * and while "wanted" exists each export has a page that is left to push.
 * Lanes exchange one line, as the kernels would, and belong to the process that
 * attached them: when it dies the lanes break, which the real ones do not.
 *
 *   fake_state.c   the state file, and events into it
 *   fake_region.c  regions and exports
 *   fake_link.c    links, lanes, and who listens to events
 *   fake_file.c    images that cannot be opened
 *   fake_ktls.c    ktls.h
 */
#ifndef TELEPAGE_FAKE_H
#define TELEPAGE_FAKE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cmd.h"

/* the state file, locked from load(), which returns this host's part, to save() */
extern json_t *all;			/* of it, while it is locked */
json_t *load(void);
int save(int ret);			/* returns @ret */

const char *root(void);			/* $TELEPAGE_FAKE */
const char *self(void);			/* this host's name */
json_t *host(const char *name);
/* the object @key in @obj, made if it is not there */
json_t *sub(json_t *obj, const char *key);
json_t *find(json_t *h, const char *kind, const char *name);
json_t *find_link(json_t *h, uint32_t id);
json_int_t num(json_t *obj, const char *key);
void set(json_t *obj, const char *key, json_int_t v);
const char *str(json_t *obj, const char *key);	/* "": there is none */

/* what the kernel would have said; returns @err */
int fail(int err, const char *name, const char *why);
/* is there a file $TELEPAGE_FAKE/@name, or @name.HOST? */
bool flag(const char *name);
bool flag_here(const char *name);
/* to every listener of host @to */
void emit(const char *to, enum telepage_event kind, const char *region, int link, int lane);

#endif /* TELEPAGE_FAKE_H */
