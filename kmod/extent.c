// SPDX-License-Identifier: GPL-2.0
/*
 * extent.c - runs of pages that files have: as few as will do
 *
 * A planner tells what it finds as it finds it, often a page at a time. Extents that follow
 * each other in the region and in their file are made one: those of a message before they
 * are put in, and then these with what is there on both sides of them. Both only saves
 * memory: what cannot be had for it leaves them as they are.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include "origin.h"

/*
 * Pages whose digests are put together: a page of memory full. Longer ones would be copied
 * over and over as their extent grows, and be found room for with difficulty.
 */
#define TP_JOIN_DIGESTS	(PAGE_SIZE / TELEPAGE_DIGEST_SIZE)

/**
 * tp_extent_new - a run of pages, in no tree yet and of no file
 * @first: page
 * @count: pages
 * @offset: bytes into the file
 * @digests: of each page, copied; or NULL
 *
 * Context: sleeps.
 * Return: the extent or NULL.
 */
struct tp_extent *tp_extent_new(pgoff_t first, unsigned long count, u64 offset, const u8 *digests)
{
	struct tp_extent *e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);

	if (!e)
		return NULL;
	e->first = first;
	e->last = first + count - 1;
	e->offset = offset;
	if (digests) {
		e->digests = kvmalloc_array(count, TELEPAGE_DIGEST_SIZE, GFP_KERNEL_ACCOUNT);
		if (!e->digests) {
			kfree(e);
			return NULL;
		}
		memcpy(e->digests, digests, count * TELEPAGE_DIGEST_SIZE);
	}
	return e;
}

/**
 * tp_extent_free - free an extent that is in no tree
 * @e: the extent
 *
 * Context: sleeps.
 */
void tp_extent_free(struct tp_extent *e)
{
	if (e->file)
		fput(e->file);
	kvfree(e->digests);
	kfree(e);
}

/*
 * Has @r the page @index where @l would have it? Of the same open file: another one of the
 * same inode may read otherwise.
 */
static bool tp_extent_follows(const struct tp_extent *l, const struct tp_extent *r, pgoff_t index)
{
	return l->file == r->file && !l->digests == !r->digests &&
	       l->offset + ((u64)(index - l->first) << PAGE_SHIFT) ==
	       r->offset + ((u64)(index - r->first) << PAGE_SHIFT);
}

/* How many of @nr extents, from the first on, can be one? */
static unsigned int tp_extents_run(struct tp_extent *const *e, unsigned int nr)
{
	unsigned int n;

	for (n = 1; n < nr; n++) {
		if (e[n]->first != e[n - 1]->last + 1 ||
		    !tp_extent_follows(e[n - 1], e[n], e[n]->first))
			break;
		if (e[n]->digests && e[n]->last - e[0]->first >= TP_JOIN_DIGESTS)
			break;
	}
	return n;
}

/* The digests of @n extents, one behind the other; NULL without memory. */
static u8 *tp_extents_digests(struct tp_extent *const *e, unsigned int n)
{
	unsigned long pages = e[n - 1]->last - e[0]->first + 1;
	u8 *all = kvmalloc_array(pages, TELEPAGE_DIGEST_SIZE, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	unsigned int i;

	for (i = 0; all && i < n; i++)
		memcpy(all + (e[i]->first - e[0]->first) * TELEPAGE_DIGEST_SIZE, e[i]->digests,
		       (e[i]->last - e[i]->first + 1) * TELEPAGE_DIGEST_SIZE);
	return all;
}

static int tp_extent_order(const void *a, const void *b)
{
	const struct tp_extent *const *l = a, *const *r = b;

	return (*l)->first < (*r)->first ? -1 : (*l)->first > (*r)->first;
}

static void tp_extents_sort(struct tp_extent **extents, unsigned int nr)
{
	unsigned int i;

	for (i = 1; i < nr; i++) {
		if (extents[i]->first < extents[i - 1]->first) {
			sort(extents, nr, sizeof(*extents), tp_extent_order, NULL);
			return;
		}
	}
}

/**
 * tp_extents_join - make few extents of those of one file
 * @extents: in no tree, in any order; out: in that of their pages
 * @nr: how many
 *
 * What is wrong with one of them, or that a page is named twice, stays wrong.
 *
 * Context: sleeps.
 * Return: how many there are; the others have been freed.
 */
unsigned int tp_extents_join(struct tp_extent **extents, unsigned int nr)
{
	unsigned int i, k, n, kept = 0;

	tp_extents_sort(extents, nr);
	for (i = 0; i < nr; i += n) {
		struct tp_extent *e = extents[i];
		u8 *digests = NULL;

		n = tp_extents_run(extents + i, nr - i);
		if (n > 1 && e->digests)
			digests = tp_extents_digests(extents + i, n);
		if (e->digests && !digests)
			n = 1;
		e->last = extents[i + n - 1]->last;
		if (digests) {
			kvfree(e->digests);
			e->digests = digests;
		}
		for (k = 1; k < n; k++)
			tp_extent_free(extents[i + k]);
		extents[kept++] = e;
	}
	return kept;
}

/* one of the tree's ranges */
struct tp_extent_part {
	struct tp_extent *e;
	pgoff_t first, last;
};

static struct tp_extent_part tp_extent_find(struct ma_state *mas, pgoff_t index)
{
	struct tp_extent *e;

	mas_set(mas, index);
	e = mas_walk(mas);
	return (struct tp_extent_part){ .e = e, .first = mas->index, .last = mas->last };
}

static bool tp_extent_is_whole(const struct tp_extent_part *p)
{
	return p->e->parts == 1 && p->first == p->e->first && p->last == p->e->last;
}

/*
 * @l gets the digests of what follows it, before it gets the pages. Whoever reads copies
 * digests under the tree's lock, and finds those of @l in either.
 */
static bool tp_extent_get_digests(struct tp_origin *o, const struct tp_extent_part *l,
				  const struct tp_extent_part *r)
{
	struct tp_extent *both[] = { l->e, r->e };
	u8 *digests;

	if (!tp_extent_is_whole(l) || !tp_extent_is_whole(r) ||
	    r->last - l->first >= TP_JOIN_DIGESTS)
		return false;
	digests = tp_extents_digests(both, 2);
	if (!digests)
		return false;
	mtree_lock(&o->extents);
	swap(l->e->digests, digests);
	mtree_unlock(&o->extents);
	kvfree(digests);
	return true;
}

/*
 * The extents before and from page @index on are one, if they can be. The first of them
 * stays, so that nothing changes for who reads what it had.
 */
static void tp_origin_join_at(struct tp_origin *o, pgoff_t index)
{
	MA_STATE(mas, &o->extents, index - 1, index - 1);
	struct tp_extent_part l, r = { };

	mtree_lock(&o->extents);
	l = tp_extent_find(&mas, index - 1);
	if (l.e)
		r = tp_extent_find(&mas, index);
	mtree_unlock(&o->extents);
	if (!l.e || !r.e || r.first != index || !tp_extent_follows(l.e, r.e, index))
		return;
	if (l.e->digests && !tp_extent_get_digests(o, &l, &r))
		return;
	if (mtree_store_range(&o->extents, l.first, r.last, l.e, GFP_KERNEL))
		return;
	l.e->last = max(l.e->last, r.last);
	/* Readers find it under the tree's lock, so none has it any more. */
	if (!--r.e->parts)
		tp_extent_free(r.e);
}

/**
 * tp_origin_join - make few extents of new ones and those beside them
 * @o: the region's
 * @extents: new ones, in the tree, in the order of their pages; may be gone afterwards
 * @nr: how many
 *
 * Those that follow each other were looked at before they were put in.
 *
 * Context: sleeps; under tp_ctl_mutex.
 */
void tp_origin_join(struct tp_origin *o, struct tp_extent *const *extents, unsigned int nr)
{
	pgoff_t end = 0;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		pgoff_t first = extents[i]->first, last = extents[i]->last;

		if (first != end) {
			if (end)
				tp_origin_join_at(o, end);
			tp_origin_join_at(o, first);
		}
		end = last + 1;
	}
	if (end)
		tp_origin_join_at(o, end);
}
