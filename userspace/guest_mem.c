// SPDX-License-Identifier: GPL-2.0
/*
 * guest_mem.c - a guest's memory as its page tables have it
 *
 * What is read is kept for a while, and so is where addresses lead to: the same few tables
 * are gone through again and again. How deep that goes their kind says, not what they hold,
 * so they may well point to themselves.
 */
#include <stdlib.h>

#include "guest_mem.h"

#define CACHE_SLOTS	1024		/* pages */
#define TLB_SLOTS	4096

static size_t hash(uint64_t v)
{
	return (v * 0x9e3779b97f4a7c15ULL) >> 32;
}

/* the table is never more than half full */
bool guest_set_add(uint64_t *set, size_t mask, uint64_t v)
{
	size_t i;

	for (i = hash(v) & mask; set[i] != NONE; i = (i + 1) & mask)
		if (set[i] == v)
			return false;
	set[i] = v;
	return true;
}

uint64_t *guest_set_new(size_t room, size_t *mask)
{
	uint64_t *set;
	size_t n = 16;

	while (n < room * 2)
		n *= 2;
	set = malloc(n * sizeof(*set));
	if (set)
		memset(set, 0xff, n * sizeof(*set));
	*mask = n - 1;
	return set;
}

static bool in_ram(const struct guest_ram *ram, uint64_t page, struct guest_page *out)
{
	for (unsigned int i = 0; i < ram->nr; i++) {
		uint64_t first = ram->part[i].addr / GUEST_PAGE;

		if (page < first || page - first >= ram->part[i].size / GUEST_PAGE)
			continue;
		out->region = ram->part[i].region;
		out->index = ram->part[i].offset / GUEST_PAGE + page - first;
		return true;
	}
	return false;
}

void guest_list(struct guest_walk *w, uint64_t page)
{
	struct guest_page p;

	if (w->nr >= w->room)
		w->stop = true;
	else if (in_ram(w->ram, page, &p) && guest_set_add(w->listed, w->listed_mask, page))
		w->list[w->nr++] = p;
}

bool guest_out_of_time(struct guest_walk *w)
{
	if (w->ops->enough && w->ops->enough(w->arg))
		w->stop = true;
	return w->stop;
}

const uint8_t *guest_page_at(struct guest_walk *w, uint64_t page)
{
	size_t slot = page % CACHE_SLOTS;
	struct guest_page p;

	if (w->cached[slot] == page)
		return w->cache[slot];
	if (w->stop || !in_ram(w->ram, page, &p))
		return NULL;
	if (!w->reads || guest_out_of_time(w)) {
		w->stop = true;
		return NULL;
	}
	w->reads--;
	w->cached[slot] = NONE;
	if (!w->ops->read(w->arg, p.region, p.index, w->cache[slot]))
		return NULL;
	w->cached[slot] = page;
	return w->cache[slot];
}

bool guest_copy_page(struct guest_walk *w, uint64_t page, uint8_t *buf)
{
	const uint8_t *data = guest_page_at(w, page);

	if (data)
		memcpy(buf, data, GUEST_PAGE);
	return data;
}

static bool canonical(const struct guest_walk *w, uint64_t va)
{
	return in_kernel(w, va) || !(va >> (w->top + 8));
}

static bool walk_tables(struct guest_walk *w, uint64_t va, struct mapping *m, uint64_t *tables,
			unsigned int *nr)
{
	uint64_t table = w->root;
	unsigned int shift;

	*m = (struct mapping){ .exec = true, .write = true };
	*nr = 0;
	if (!canonical(w, va))
		return false;
	for (shift = w->top; ; shift -= 9) {
		const uint8_t *data = guest_page_at(w, table);
		uint64_t e, below;

		tables[(*nr)++] = table;
		if (!data)
			return false;
		e = get64(data + (va >> shift & 511) * 8);
		if (!(e & PTE_P))
			return false;
		m->exec &= !(e & PTE_NX);
		m->write &= !!(e & PTE_W);
		table = (e & PTE_ADDR) / GUEST_PAGE;
		if (shift > 12 && !(e & PTE_PS))
			continue;
		/* there are no larger pages */
		if (shift > 30)
			return false;
		m->large = shift > 12;
		below = (1ULL << (shift - 12)) - 1;
		m->page = (table & ~below) | (va >> 12 & below);
		return true;
	}
}

bool guest_translate(struct guest_walk *w, uint64_t va, struct mapping *m)
{
	size_t slot = hash(va >> 12) % TLB_SLOTS;
	uint64_t tables[5];
	unsigned int nr;

	if (w->tlb[slot].page != va >> 12) {
		bool there = walk_tables(w, va, m, tables, &nr);

		if (w->stop)
			return false;
		w->tlb[slot].page = va >> 12;
		w->tlb[slot].m = *m;
		w->tlb[slot].there = there;
	}
	*m = w->tlb[slot].m;
	return w->tlb[slot].there;
}

bool guest_touch(struct guest_walk *w, uint64_t va)
{
	uint64_t tables[5];
	struct mapping m;
	unsigned int nr;

	if (!guest_translate(w, va, &m) || !walk_tables(w, va, &m, tables, &nr))
		return false;
	for (unsigned int i = 0; i < nr; i++)
		guest_list(w, tables[i]);
	guest_list(w, m.page);
	return true;
}

size_t guest_copy(struct guest_walk *w, uint64_t va, uint8_t *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t at = (va + done) % GUEST_PAGE, n = GUEST_PAGE - at;
		const uint8_t *data;
		struct mapping m;

		if (n > len - done)
			n = len - done;
		if (!guest_translate(w, va + done, &m))
			break;
		data = guest_page_at(w, m.page);
		if (!data)
			break;
		memcpy(buf + done, data + at, n);
		done += n;
	}
	return done;
}

void guest_mem_forget(struct guest_walk *w)
{
	for (size_t i = 0; i < CACHE_SLOTS; i++)
		w->cached[i] = NONE;
	w->root = NONE;
}

void guest_mem_root(struct guest_walk *w, uint64_t root)
{
	for (size_t i = 0; i < TLB_SLOTS && root != w->root; i++)
		w->tlb[i].page = NONE;
	w->root = root;
}

bool guest_mem_init(struct guest_walk *w)
{
	w->list = calloc(w->max + 1, sizeof(*w->list));
	w->listed = guest_set_new(w->max, &w->listed_mask);
	w->cached = calloc(CACHE_SLOTS, sizeof(*w->cached));
	w->cache = calloc(CACHE_SLOTS, sizeof(*w->cache));
	w->tlb = calloc(TLB_SLOTS, sizeof(*w->tlb));
	return w->list && w->listed && w->cached && w->cache && w->tlb;
}
