// SPDX-License-Identifier: GPL-2.0
/*
 * uffd_layout.c - which page of the region lies where in a VMM
 */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sort.h>
#include "uffd.h"

static int tp_range_cmp(const void *a, const void *b)
{
	const struct tp_uffd_range *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/**
 * tp_uffd_layout_sort - order ranges by address
 * @ranges: the ranges
 * @nr: how many
 *
 * Context: any.
 */
void tp_uffd_layout_sort(struct tp_uffd_range *ranges, unsigned int nr)
{
	sort(ranges, nr, sizeof(*ranges), tp_range_cmp, NULL);
}

static bool tp_overlap(u64 a, u64 a_len, u64 b, u64 b_len)
{
	return a < b + b_len && b < a + a_len;
}

/**
 * tp_uffd_layout_check - does a range make sense, and together with those before?
 * @ranges: the ranges so far, the last one is checked
 * @nr: how many, not 0
 * @region_size: bytes
 * @memfd: the VMM's file was given
 * @memfd_size: its size in bytes
 *
 * Context: any.
 * Return: NULL, or what is wrong with it.
 */
const char *tp_uffd_layout_check(const struct tp_uffd_range *ranges, unsigned int nr,
				 u64 region_size, bool memfd, u64 memfd_size)
{
	const struct tp_uffd_range *rg = &ranges[nr - 1];
	unsigned int i;
	u64 end;

	if (rg->page_size != PAGE_SIZE && rg->page_size != PMD_SIZE)
		return "the size of pages must be 4096, or 2097152 for hugetlb";
	if (!rg->len)
		return "a range is empty";
	if (rg->addr % rg->page_size || rg->len % rg->page_size)
		return "address and length must be multiples of the size of pages";
	if (rg->offset % PAGE_SIZE || rg->memfd_offset % PAGE_SIZE)
		return "offsets must be multiples of 4096";
	if (check_add_overflow(rg->addr, rg->len, &end))
		return "a range reaches beyond the end of the address space";
	if (check_add_overflow(rg->offset, rg->len, &end) || end > region_size)
		return "a range reaches beyond the end of the region";
	if (memfd && (check_add_overflow(rg->memfd_offset, rg->len, &end) || end > memfd_size))
		return "a range reaches beyond the end of the VMM's file";
	if (memfd && rg->page_size != PAGE_SIZE)
		return "the VMM's file is used with pages of 4096 bytes only";
	for (i = 0; i + 1 < nr; i++) {
		if (tp_overlap(rg->addr, rg->len, ranges[i].addr, ranges[i].len))
			return "two ranges overlap in the VMM";
		if (tp_overlap(rg->offset, rg->len, ranges[i].offset, ranges[i].len))
			return "two ranges overlap in the region";
	}
	return NULL;
}

/**
 * tp_uffd_at - the range at an address
 * @f: the descriptor
 * @addr: in the VMM
 *
 * Context: the thread.
 * Return: the range or NULL.
 */
struct tp_uffd_range *tp_uffd_at(const struct tp_uffd_fd *f, u64 addr)
{
	unsigned int lo = 0, hi = f->nr_ranges;

	/* the first range that begins behind @addr */
	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (f->ranges[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || addr - f->ranges[lo - 1].addr >= f->ranges[lo - 1].len)
		return NULL;
	return &f->ranges[lo - 1];
}

/**
 * tp_uffd_of_page - the range that holds a page of the region
 * @f: the descriptor
 * @index: the page
 *
 * Context: the thread.
 * Return: the range or NULL.
 */
struct tp_uffd_range *tp_uffd_of_page(const struct tp_uffd_fd *f, pgoff_t index)
{
	u64 pos = (u64)index << PAGE_SHIFT;
	unsigned int i;

	for (i = 0; i < f->nr_ranges; i++)
		if (pos >= f->ranges[i].offset && pos - f->ranges[i].offset < f->ranges[i].len)
			return &f->ranges[i];
	return NULL;
}

/* Room for two more ranges, which is what one event can make. */
static void tp_layout_room(struct tp_uffd_fd *f)
{
	struct tp_uffd_range *v;
	unsigned int room = f->room * 2 + 2;

	lockdep_assert_held(&f->uffd->lock);
	if (f->nr_ranges + 2 <= f->room)
		return;
	/* An event that is not followed would put pages where they do not belong. */
	v = kvmalloc_array(room, sizeof(*v), GFP_KERNEL | __GFP_NOFAIL);
	memcpy(v, f->ranges, f->nr_ranges * sizeof(*v));
	kvfree(f->ranges);
	f->ranges = v;
	f->room = room;
}

/* Let a range begin at @addr where one contains it. */
static void tp_layout_split(struct tp_uffd_fd *f, u64 addr)
{
	struct tp_uffd_range *rg = tp_uffd_at(f, addr), *rest;
	u64 n;

	if (!rg || rg->addr == addr)
		return;
	rest = &f->ranges[f->nr_ranges++];
	n = addr - rg->addr;
	*rest = *rg;
	rest->addr += n;
	rest->offset += n;
	rest->memfd_offset += n;
	rest->len -= n;
	rg->len = n;
	tp_uffd_layout_sort(f->ranges, f->nr_ranges);
}

/**
 * tp_uffd_layout_remove - an address range is not the region's any more
 * @f: the descriptor
 * @start: first address
 * @end: behind the last
 *
 * Context: the thread; sleeps; under uffd->lock.
 */
void tp_uffd_layout_remove(struct tp_uffd_fd *f, u64 start, u64 end)
{
	unsigned int i, n = 0;

	tp_layout_room(f);
	tp_layout_split(f, start);
	tp_layout_split(f, end);
	for (i = 0; i < f->nr_ranges; i++)
		if (f->ranges[i].addr < start || f->ranges[i].addr >= end)
			f->ranges[n++] = f->ranges[i];
	f->nr_ranges = n;
}

/**
 * tp_uffd_layout_move - an address range is elsewhere now
 * @f: the descriptor
 * @from: where it was
 * @to: where it is
 * @len: bytes
 *
 * What was at the new place is gone. Two that overlap (which mremap() does not do)
 * are taken as if the old place was emptied first.
 *
 * Context: the thread; sleeps; under uffd->lock.
 */
void tp_uffd_layout_move(struct tp_uffd_fd *f, u64 from, u64 to, u64 len)
{
	unsigned int i;

	tp_uffd_layout_remove(f, to, to + len);
	tp_layout_room(f);
	tp_layout_split(f, from);
	tp_layout_split(f, from + len);
	for (i = 0; i < f->nr_ranges; i++)
		if (f->ranges[i].addr >= from && f->ranges[i].addr < from + len)
			f->ranges[i].addr += to - from;
	tp_uffd_layout_sort(f->ranges, f->nr_ranges);
}
