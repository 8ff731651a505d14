// SPDX-License-Identifier: GPL-2.0
/*
 * plan_find.c - which file here has a page
 *
 * Images have an index, which is looked up as it is on disk. Tables of regions go into
 * one hash table, by the same first bytes of the digest.
 */
#include <errno.h>
#include <unistd.h>

#include "images.h"
#include "plan_job.h"

#define WAIT_MS		30000		/* for another plan's first pass */

struct file {
	enum plan_kind kind;
	int fd;
	char name[TELEPAGE_NAME_MAX + 1];
	struct index *index;		/* of an image */
	struct plan_table *table;	/* of a region: one here, or one of the job */
	bool local;			/* a region that was here before there was a plan */
};

/* a page of a region; @file + 1, so that 0 is an empty place */
struct slot {
	uint64_t prefix;
	uint32_t file;
	uint32_t block;
};

struct plan_finder {
	const struct plan_job *job;
	struct tp_nl *nl;
	struct file *file;
	unsigned int nr;
	unsigned int own[MOVE_REGIONS_MAX];	/* files of the job's regions */
	unsigned int kept[MOVE_REGIONS_MAX];	/* their kept images; 0, a region's file: none */
	uint32_t oldest;		/* id of the job's oldest region: what it may use is older */
	struct slot *slots;
	uint64_t room, used;		/* @room is a power of 2 */
};

static struct file *add_file(struct plan_finder *f, enum plan_kind kind, int fd, const char *name)
{
	struct file *file;

	f->file = realloc(f->file, (f->nr + 1) * sizeof(*f->file));
	if (!f->file)
		abort();
	file = &f->file[f->nr++];
	*file = (struct file){ .kind = kind, .fd = fd };
	copy_str(file->name, name);
	return file;
}

/* --- regions ---------------------------------------------------------------------- */

static uint64_t key_of(const uint8_t *prefix)
{
	uint64_t key;

	memcpy(&key, prefix, sizeof(key));
	return key;
}

/* the place of @key, or the empty one where it would be; digests are uniform as they are */
static struct slot *slot_of(struct plan_finder *f, uint64_t key)
{
	uint64_t i = key & (f->room - 1);

	while (f->slots[i].file && f->slots[i].prefix != key)
		i = (i + 1) & (f->room - 1);
	return &f->slots[i];
}

static void make_room(struct plan_finder *f, uint64_t more)
{
	struct slot *old = f->slots;
	uint64_t room = f->room, i;

	if ((f->used + more) * 4 <= room * 3)
		return;
	while ((f->used + more) * 4 > f->room * 3)
		f->room = f->room ? f->room * 2 : 1024;
	f->slots = xcalloc(f->room, sizeof(*f->slots));
	for (i = 0; i < room; i++) {
		pulse_beat();
		if (old[i].file)
			*slot_of(f, old[i].prefix) = old[i];
	}
	free(old);
}

static void add_page(struct plan_finder *f, unsigned int file, uint64_t page,
		     const uint8_t *prefix)
{
	struct slot *slot;

	pulse_beat();
	if (!key_of(prefix) || page > UINT32_MAX)
		return;
	make_room(f, 1);
	slot = slot_of(f, key_of(prefix));
	/* the first one is as good as any */
	if (slot->file)
		return;
	*slot = (struct slot){ key_of(prefix), file + 1, page };
	f->used++;
}

static bool is_own(const struct plan_finder *f, const char *region)
{
	for (unsigned int i = 0; i < f->job->nr; i++)
		if (!strcmp(f->job->region[i].name, region))
			return true;
	return false;
}

static struct file *add_pages(struct plan_finder *f, const char *region, struct plan_table *t)
{
	struct file *file = add_file(f, PLAN_SHARED, -1, region);

	file->table = t;
	for (uint64_t p = 0; p < plan_table_pages(t); p++)
		add_page(f, f->nr - 1, p, plan_table_prefixes(t)[p]);
	return file;
}

static void add_local(const char *region, struct plan_table *t, void *arg)
{
	add_pages(arg, region, t)->local = true;
}

static void add_table(const char *region, void *arg)
{
	struct plan_finder *f = arg;
	struct plan_table *t;

	if (is_own(f, region))
		return;
	t = plan_table_open(f->nl, region, f->job->group, f->oldest);
	if (!t)
		return;
	plan_table_wait(t, WAIT_MS);
	add_pages(f, region, t);
}

static void add_own(struct plan_finder *f)
{
	f->oldest = UINT32_MAX;
	for (unsigned int i = 0; i < f->job->nr; i++) {
		const char *name = f->job->region[i].name;
		struct file *file = add_file(f, PLAN_SHARED, -1, name);
		struct tp_region r;

		f->own[i] = f->nr - 1;
		if (!f->job->alone)
			file->table = plan_table_make(f->nl, name, f->job->group);
		if (!tp_region_get(f->nl, name, &r) && r.id < f->oldest)
			f->oldest = r.id;
	}
}

/* --- images ------------------------------------------------------------------------- */

static void add_image(struct plan_finder *f, const struct images_entry *e, int fd,
		      struct index *index)
{
	add_file(f, e->kept ? PLAN_KEPT : PLAN_DISK, fd, e->name)->index = index;
	for (unsigned int i = 0; e->kept && i < f->job->nr; i++)
		if (!strcmp(e->name, f->job->region[i].name))
			f->kept[i] = f->nr - 1;
}

struct pick {
	const struct images_entry *e;
	bool own;			/* kept of a region of the job */
	size_t rank;			/* among those of its kind */
};

static int newest_first(const void *a, const void *b)
{
	const struct pick *x = a, *y = b;

	if (x->e->indexed != y->e->indexed)
		return x->e->indexed ? -1 : 1;
	if (x->e->when != y->e->when)
		return x->e->when > y->e->when ? -1 : 1;
	return strcmp(x->e->name, y->e->name);
}

static int best_first(const void *a, const void *b)
{
	const struct pick *x = a, *y = b;

	if (x->own != y->own)
		return x->own ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return (int)x->e->kept - (int)y->e->kept;
}

/*
 * Those that have an index, the best first: the VM's own, then one registered, one kept and so
 * on, the newest, or last of use, first. A base image may be old, and is what all VMs began as.
 * One that was written to since it was indexed comes last.
 */
static size_t pick(const struct plan_finder *f, const struct images_entry *v, size_t n,
		   struct pick *p)
{
	size_t nr = 0, ranks[2] = { 0 };

	for (size_t i = 0; i < n; i++) {
		if (!images_useful(&v[i]))
			continue;
		p[nr++] = (struct pick){ &v[i], v[i].kept && is_own(f, v[i].name), 0 };
	}
	if (!nr)
		return 0;
	qsort(p, nr, sizeof(*p), newest_first);
	for (size_t i = 0; i < nr; i++)
		p[i].rank = ranks[p[i].e->kept]++;
	qsort(p, nr, sizeof(*p), best_first);
	return nr;
}

static void add_images(struct plan_finder *f)
{
	unsigned int left = INDEX_OPEN_MAX;
	char group[GROUP_TEXT_LEN];
	struct images_entry *v;
	struct pick *p;
	size_t n, nr, i;

	if (images_list(agent.images, f->job->group, &v, &n))
		return;
	p = xcalloc(n + 1, sizeof(*p));
	nr = pick(f, v, n, p);
	for (i = 0; i < nr && left; i++) {
		struct index *index;
		int fd;

		pulse_beat();
		fd = images_open(p[i].e, &index);
		if (fd < 0)
			continue;
		if (!index && p[i].e->stale)
			index = index_open_stale(p[i].e->index, fd);
		if (index) {
			add_image(f, p[i].e, fd, index);
			left--;
		} else {
			close(fd);
		}
	}
	if (i < nr)
		note("plan of %s: %zu images of group %s are not looked at: %u are the most",
		     f->job->region[0].name, nr - i, group_text(group, f->job->group),
		     INDEX_OPEN_MAX);
	free(p);
	images_free(v, n);
}

struct plan_finder *plan_finder_new(const struct plan_job *job, struct tp_nl *nl)
{
	struct plan_finder *f = xcalloc(1, sizeof(*f));

	f->job = job;
	f->nl = nl;
	/* before others are waited for, which may wait for ours: only for older ones */
	add_own(f);
	add_images(f);
	plan_table_each(nl, add_table, f);
	if (job->common)
		plan_local_each(nl, job->group, f->oldest, add_local, f);
	return f;
}

void plan_finder_free(struct plan_finder *f)
{
	for (unsigned int i = 0; i < f->nr; i++) {
		index_close(f->file[i].index);
		plan_table_close(f->file[i].table);
		if (f->file[i].fd >= 0)
			close(f->file[i].fd);
	}
	free(f->file);
	free(f->slots);
	free(f);
}

void plan_finder_add(struct plan_finder *f, unsigned int region, uint64_t page,
		     const uint8_t *prefix)
{
	struct plan_table *t = f->file[f->own[region]].table;

	/* the region may be another one by now, and smaller */
	if (t && page < plan_table_pages(t))
		memcpy(plan_table_prefixes(t)[page], prefix, PLAN_PREFIX);
	/* for the job's later regions */
	if (region + 1 < f->job->nr)
		add_page(f, f->own[region], page, prefix);
}

void plan_finder_looked(struct plan_finder *f)
{
	for (unsigned int i = 0; i < f->job->nr; i++)
		if (f->file[f->own[i]].table)
			plan_table_looked(f->file[f->own[i]].table);
}

/* --- finding -------------------------------------------------------------------------- */

static bool has_at(const struct file *file, uint64_t block, const uint8_t *prefix)
{
	const uint8_t *d;

	if (file->index) {
		d = index_digest(file->index, block);
		return d && !memcmp(d, prefix, PLAN_PREFIX);
	}
	return file->table && block < plan_table_pages(file->table) &&
	       !memcmp(plan_table_prefixes(file->table)[block], prefix, PLAN_PREFIX);
}

bool plan_find(struct plan_finder *f, unsigned int region, uint64_t page, const uint8_t *prefix,
	       const struct plan_place *last, struct plan_place *out)
{
	struct slot *slot;
	unsigned int i;

	if (last && has_at(&f->file[last->file], last->block + 1, prefix)) {
		*out = (struct plan_place){ last->file, last->block + 1 };
		return true;
	}
	if (f->kept[region] && has_at(&f->file[f->kept[region]], page, prefix)) {
		*out = (struct plan_place){ f->kept[region], page };
		return true;
	}
	for (i = 0; i < f->nr; i++)
		if (f->file[i].index && index_find(f->file[i].index, prefix, &out->block)) {
			out->file = i;
			return true;
		}
	slot = f->room ? slot_of(f, key_of(prefix)) : NULL;
	/* a region's own pages are not there yet */
	if (!slot || !slot->file || slot->file - 1 == f->own[region])
		return false;
	*out = (struct plan_place){ slot->file - 1, slot->block };
	return true;
}

digest_t *plan_find_kept(const struct plan_finder *f, uint64_t pages, const digest_t sum,
			 unsigned int *file)
{
	for (unsigned int i = 0; i < f->nr; i++) {
		const struct plan_place all = { i, 0 };
		digest_t *d, ours;

		if (f->file[i].kind != PLAN_KEPT || index_pages(f->file[i].index) != pages)
			continue;
		d = plan_file_digests(f, &all, pages);
		if (d && !plan_sum(d, pages, ours) && !memcmp(ours, sum, sizeof(ours))) {
			*file = i;
			return d;
		}
		free(d);
	}
	return NULL;
}

/* A region that was opened before it imports cannot import any more. */
static bool may_open(const struct file *one, const struct tp_region *r)
{
	if (one->local)
		return r->id == plan_table_id(one->table) && plan_local_usable(r);
	return r->importing;
}

int plan_file(struct plan_finder *f, unsigned int file)
{
	struct file *one = &f->file[file];
	struct tp_region r;

	if (one->fd < 0 && one->kind == PLAN_SHARED &&
	    !tp_region_get(f->nl, one->name, &r) && may_open(one, &r))
		one->fd = region_open(one->name);
	return one->fd;
}

enum plan_kind plan_file_kind(const struct plan_finder *f, unsigned int file)
{
	return f->file[file].kind;
}

digest_t *plan_file_digests(const struct plan_finder *f, const struct plan_place *p,
			    uint64_t count)
{
	const struct file *file = &f->file[p->file];
	digest_t *d = file->index ? xcalloc(count, sizeof(*d)) : NULL;

	for (uint64_t i = 0; d && i < count; i++) {
		const uint8_t *one = index_digest(file->index, p->block + i);

		pulse_beat();
		if (!one) {
			free(d);
			return NULL;
		}
		memcpy(d[i], one, sizeof(d[i]));
	}
	return d;
}
