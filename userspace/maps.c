// SPDX-License-Identifier: GPL-2.0
/*
 * maps.c - what a process has mapped, and finding guest memory in it
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "maps.h"

#define ANON_LARGEST	"anon:LARGEST"

void maps_free(struct maps *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->v[i].name);
	free(m->v);
	m->v = NULL;
	m->n = 0;
}

/*
 * Of files only: what the kernel keeps apart without a file it does for a reason, as
 * guest RAM that was told to be huge pages beside a thread's heap.
 */
static bool goes_on(const struct map *a, const struct map *b)
{
	return a->inode && a->end == b->start && !strcmp(a->perms, b->perms) && !strcmp(a->name, b->name) &&
	       a->dev == b->dev && a->inode == b->inode &&
	       a->offset + (a->end - a->start) == b->offset;
}

static int add(struct maps *m, struct map *map)
{
	struct map *v;

	if (m->n && goes_on(&m->v[m->n - 1], map)) {
		m->v[m->n - 1].end = map->end;
		free(map->name);
		return 0;
	}
	v = realloc(m->v, (m->n + 1) * sizeof(*v));
	if (!v) {
		free(map->name);
		return -ENOMEM;
	}
	m->v = v;
	v[m->n++] = *map;
	return 0;
}

int maps_parse(FILE *f, struct maps *out)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int err = 0;

	*out = (struct maps){ 0 };
	errno = 0;
	while (!err && (len = getline(&line, &room, f)) > 0) {
		unsigned int major, minor;
		struct map map = { 0 };
		int at = 0;

		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n",
			   &map.start, &map.end, map.perms, &map.offset, &major, &minor,
			   &map.inode, &at) < 7 || !at || map.start >= map.end) {
			err = -EBADMSG;
			break;
		}
		map.dev = (uint64_t)major << 32 | minor;
		map.name = strdup(line + at);
		err = map.name ? add(out, &map) : -ENOMEM;
	}
	if (!err && ferror(f))
		err = errno ? -errno : -EIO;
	free(line);
	if (err)
		maps_free(out);
	return err;
}

int maps_read(uint32_t pid, struct maps *out)
{
	char path[32];
	FILE *f;
	int err;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/maps", pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	err = maps_parse(f, out);
	fclose(f);
	return err;
}

static bool readable(const struct map *m)
{
	return m->perms[0] == 'r';
}

/* no file, and no name of the kernel's but what the process gave it: "[anon:…]" */
static bool anonymous(const struct map *m)
{
	return !m->inode && !strncmp(m->perms, "rw", 2) && m->perms[3] == 'p' &&
	       (!*m->name || !strncmp(m->name, "[anon:", 6));
}

static bool called(const struct map *m, const char *pattern)
{
	static const char deleted[] = " (deleted)", memfd[] = "/memfd:";
	size_t len = strlen(m->name), n = strlen(pattern);
	const char *last;

	if (!strcmp(m->name, pattern))
		return true;
	if (*m->name != '/')
		return false;
	if (len > sizeof(deleted) && !strcmp(m->name + len - sizeof(deleted) + 1, deleted))
		len -= sizeof(deleted) - 1;
	if (len == n && !strncmp(m->name, pattern, n))
		return true;
	last = m->name;
	if (!strncmp(last, memfd, sizeof(memfd) - 1))
		last += sizeof(memfd) - 1;
	else
		last = (const char *)memrchr(m->name, '/', len) + 1;
	return m->name + len == last + n && !strncmp(last, pattern, n);
}

/* is any of it meant twice: another file, or a part of the file mapped again? */
static bool ambiguous(const struct map **v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++) {
			const struct map *a = v[i], *b = v[j];

			if (a->dev != b->dev || a->inode != b->inode || !a->inode)
				return true;
			if (a->offset < b->offset + (b->end - b->start) &&
			    b->offset < a->offset + (a->end - a->start))
				return true;
		}
	}
	return false;
}

static void keep_largest(const struct map **v, size_t *n)
{
	uint64_t most = 0;
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++)
		if (v[i]->end - v[i]->start > most)
			most = v[i]->end - v[i]->start;
	for (size_t i = 0; i < *n; i++)
		if (v[i]->end - v[i]->start == most)
			v[kept++] = v[i];
	*n = kept;
}

int maps_find(const struct maps *m, const char *pattern, const struct map ***out, size_t *n)
{
	bool largest = !strcmp(pattern, ANON_LARGEST);
	const struct map **v = calloc(m->n + 1, sizeof(struct map *));

	*out = v;
	*n = 0;
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < m->n; i++)
		if (largest ? anonymous(&m->v[i]) :
		    readable(&m->v[i]) && *pattern && called(&m->v[i], pattern))
			v[(*n)++] = &m->v[i];
	if (largest)
		keep_largest(v, n);
	if (!*n)
		return -ENOENT;
	return ambiguous(v, *n) ? -ENOTUNIQ : 0;
}
