/* SPDX-License-Identifier: GPL-2.0 */
/*
 * guest_mem.h - a guest's memory as its page tables have it: of guest_walk.c
 */
#ifndef TELEPAGE_GUEST_MEM_H
#define TELEPAGE_GUEST_MEM_H

#include <string.h>

#include "guest_walk.h"

#define PTE_P		(1ULL << 0)
#define PTE_W		(1ULL << 1)
#define PTE_PS		(1ULL << 7)
#define PTE_NX		(1ULL << 63)
#define PTE_ADDR	0x000ffffffffff000ULL
#define NONE		UINT64_MAX

struct mapping {
	uint64_t page;			/* guest physical, in pages */
	bool exec, write, large;
};

struct guest_walk {
	const struct guest_ram *ram;
	const struct guest_walk_ops *ops;
	void *arg;

	struct guest_page *list;
	size_t nr, max;
	uint64_t *listed;		/* a hash table of physical pages */
	size_t listed_mask;

	uint64_t *targets;		/* likewise, addresses of code */
	size_t targets_mask;
	struct { uint64_t va; unsigned int depth; } *queue;	/* the same in their order */
	size_t nr_targets, followed;

	uint64_t *cached;		/* which page a slot has */
	uint8_t (*cache)[GUEST_PAGE];
	struct { uint64_t page; struct mapping m; bool there; } *tlb;

	/* of this run */
	unsigned int reads, pointers, tables, visits, looked;
	size_t room;			/* pages that the list may have */
	bool stop;
	uint64_t root;			/* of the page tables, physical page */
	unsigned int top;		/* bits below the index into it */
	uint64_t text, text_end, image_end;
};

static inline uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline int32_t get32(const uint8_t *p)
{
	int32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* is @va in the upper half, the kernel's? */
static inline bool in_kernel(const struct guest_walk *w, uint64_t va)
{
	return va >> (w->top + 8) == UINT64_MAX >> (w->top + 8);
}

static inline bool in_text(const struct guest_walk *w, uint64_t va)
{
	return va >= w->text && va < w->text_end;
}

/* into a set of at most as many as it was made for, NONE excepted; true: it is new */
uint64_t *guest_set_new(size_t room, size_t *mask);
bool guest_set_add(uint64_t *set, size_t mask, uint64_t v);

/* false: no memory; guest_walk_free() frees what there is */
bool guest_mem_init(struct guest_walk *w);
/* what was read is old */
void guest_mem_forget(struct guest_walk *w);
/* addresses are translated by these tables from now on */
void guest_mem_root(struct guest_walk *w, uint64_t root);

bool guest_out_of_time(struct guest_walk *w);
/* puts a physical page into the list, unless it is in there */
void guest_list(struct guest_walk *w, uint64_t page);
/* good until the next page is read; NULL: not there, or enough was read */
const uint8_t *guest_page_at(struct guest_walk *w, uint64_t page);
bool guest_translate(struct guest_walk *w, uint64_t va, struct mapping *m);
/* lists the page at an address, after those of the tables that lead to it */
bool guest_touch(struct guest_walk *w, uint64_t va);
/* a copy, for what reads others meanwhile; false: as NULL above */
bool guest_copy_page(struct guest_walk *w, uint64_t page, uint8_t *buf);
/* the same by address: how many of @len bytes from @va there are */
size_t guest_copy(struct guest_walk *w, uint64_t va, uint8_t *buf, size_t len);

#endif /* TELEPAGE_GUEST_MEM_H */
