/* SPDX-License-Identifier: GPL-2.0 */
/*
 * maps.h - what a process has mapped, and finding guest memory in it
 */
#ifndef TELEPAGE_MAPS_H
#define TELEPAGE_MAPS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "genl.h"

/* Neighbours of the same file with offsets that go on are one. */
struct map {
	uint64_t start, end;
	char perms[5];			/* as in maps: "rw-p" */
	uint64_t offset;		/* bytes into the file */
	uint64_t dev, inode;
	char *name;			/* "" nameless, "[heap]", "/memfd:ram (deleted)", a path */
};

struct maps {
	struct map *v;
	size_t n;
};

/* the text of /proc/PID/maps; 0, -EBADMSG, -ENOMEM or what reading says */
int maps_parse(FILE *f, struct maps *out);
int maps_read(uint32_t pid, struct maps *out);
void maps_free(struct maps *m);

/*
 * The mappings that @pattern names, in order of their addresses:
 *
 *	anon:LARGEST	the largest private mapping without a file that can be written
 *	[heap]		one with this name
 *	ram0		the file: its path, the last part of that, or a memfd's name
 *
 * Of a file all mappings that can be read, which must belong to one file and not show
 * any part of it twice. Returns 0, -ENOENT nothing is called so, -ENOTUNIQ several
 * could be meant, which are in @out, too, or -ENOMEM. free() @out in any case.
 */
int maps_find(const struct maps *m, const char *pattern, const struct map ***out, size_t *n);

#endif /* TELEPAGE_MAPS_H */
