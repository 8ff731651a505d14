// SPDX-License-Identifier: GPL-2.0
/*
 * plan_local.c - what regions have that were here before there was a plan
 *
 * A VM that was started here, or came without a plan, has pages of its group as any other. Nobody
 * has said which, so its region is read, by the plan that looks for them: that is waited for, so
 * there is a limit, and what was read is written down for the plans that come after it. What the VM
 * writes to afterwards is found out when a page is taken from it.
 */
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "plan_job.h"

#define REGIONS_MAX	8U		/* of each plan, */
#define BYTES_MAX	(64ULL << 30)	/* their size together, */
#define LOOK_MS		10000		/* and how long they are read; the next plan goes on */
#define BLOCK_MAX	4096U		/* pages that are hashed at a time, */
#define BLOCKS_PER_S	4		/* of less if there is a rate */

struct locals {
	struct tp_nl *nl;
	const char *group;
	uint32_t id;			/* they have to be older */
	struct tp_region *v;
	size_t n;
};

bool plan_local_usable(const struct tp_region *r)
{
	return r->state == TELEPAGE_REGION_LOCAL && !r->absent && !r->frozen &&
	       (r->openers || r->resident);
}

/* VM @name here: is it of the group? Then the region of its name is */
static void look_at(struct locals *l, const char *name)
{
	char group[TELEPAGE_NAME_MAX + 1], *path;
	struct tp_region r;
	int err;

	path = xasprintf("%s/%s/group", agent.vm_dir, name);
	err = group_read(path, group);
	free(path);
	if (err || strcmp(group, l->group) != 0 || tp_region_get(l->nl, name, &r) ||
	    r.id >= l->id || !plan_local_usable(&r))
		return;
	l->v = realloc(l->v, (l->n + 1) * sizeof(*l->v));
	if (!l->v)
		abort();
	l->v[l->n++] = r;
}

static int newest_first(const void *a, const void *b)
{
	const struct tp_region *x = a, *y = b;

	return x->id > y->id ? -1 : x->id < y->id;
}

static uint64_t block(void)
{
	uint64_t pages = agent.plan_rate / BLOCKS_PER_S / TELEPAGE_PAGE_SIZE;

	if (!agent.plan_rate || pages > BLOCK_MAX)
		return BLOCK_MAX;
	/* whole chunks, by which it is known how far it came */
	return pages < PLAN_TABLE_CHUNK ? PLAN_TABLE_CHUNK : pages & -(uint64_t)PLAN_TABLE_CHUNK;
}

/* holes are neither read nor given memory */
static void fill(struct plan_table *t, const char *region, uint64_t until)
{
	const struct digest_opts o = { .rate = agent.plan_rate };
	uint64_t end = plan_table_pages(t), at = plan_table_filled(t), n;
	int fd = at < end ? region_open(region) : -1;
	digest_t *d;

	if (fd < 0)
		return;
	d = xcalloc(BLOCK_MAX, sizeof(*d));
	for (; at < end && now_ms() < until; at += n) {
		n = end - at < block() ? end - at : block();
		if (digest_pages(fd, at, n, d, &o))
			break;
		for (uint64_t i = 0; i < n; i++)
			memcpy(plan_table_prefixes(t)[at + i], d[i], PLAN_PREFIX);
		plan_table_fill(t, at + n);
	}
	free(d);
	close(fd);
}

static struct plan_table *table_of(const struct tp_region *r, const char *group, uint64_t until)
{
	uint64_t now = now_ms();
	bool mine;
	struct plan_table *t = plan_table_local(r, group, &mine);

	if (!t)
		return NULL;
	if (mine) {
		fill(t, r->name, until);
		plan_table_looked(t);
	} else {
		plan_table_wait(t, now < until ? until - now : 0);
	}
	return t;
}

void plan_local_each(struct tp_nl *nl, const char *group, uint32_t id,
		     void (*fn)(const char *region, struct plan_table *t, void *arg), void *arg)
{
	struct locals l = { .nl = nl, .group = group, .id = id };
	uint64_t bytes = BYTES_MAX, until = now_ms() + LOOK_MS;
	unsigned int left = REGIONS_MAX;
	struct dirent *d;
	DIR *dir = opendir(agent.vm_dir);

	if (!dir)
		return;
	while ((d = readdir(dir)))
		if (name_ok(d->d_name))
			look_at(&l, d->d_name);
	closedir(dir);
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), newest_first);
	for (size_t i = 0; i < l.n && left; i++) {
		struct plan_table *t;

		if (l.v[i].size > bytes)
			continue;
		t = table_of(&l.v[i], group, until);
		if (!t)
			continue;
		left--;
		bytes -= l.v[i].size;
		fn(l.v[i].name, t, arg);
	}
	free(l.v);
}
