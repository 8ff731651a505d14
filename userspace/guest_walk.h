/* SPDX-License-Identifier: GPL-2.0 */
/*
 * guest_walk.h - which pages an x86-64 guest needs first when it goes on
 *
 * A guest that goes on where its memory is still away takes its first faults one after
 * the other, nearly all of them in its kernel: KVM can let another task run meanwhile
 * only when one in user mode waits. Which pages these will be can be seen from where its
 * CPUs stand and what its memory holds: see Documentation/cold-start.md.
 *
 * All of that the guest has written. What it says is only ever used to choose among
 * its own pages: a wrong list costs time. Work and memory have bounds that nothing in
 * there changes.
 */
#ifndef TELEPAGE_GUEST_WALK_H
#define TELEPAGE_GUEST_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_PAGE	4096ULL
#define GUEST_PARTS_MAX	64
#define GUEST_GPRS	15
#define GUEST_CPUS_MAX	64		/* others are left out */

/* where a CPU stands; what is not known is 0 */
struct guest_cpu {
	uint64_t rip, rsp, cr0, cr3, cr4, efer;
	uint64_t gpr[GUEST_GPRS];	/* the others, in any order */
	uint64_t gs, tr, gdt, idt;	/* bases */
	uint32_t idt_limit;
	unsigned int cpl;
};

/* RAM as the guest sees it: parts of regions; bytes, multiples of GUEST_PAGE */
struct guest_ram {
	unsigned int nr;
	struct {
		uint64_t addr, size, offset;
		unsigned int region;
	} part[GUEST_PARTS_MAX];
};

struct guest_page {
	unsigned int region;
	uint64_t index;			/* page of the region */
};

struct guest_walk_ops {
	/* copies a page to @buf; false: it cannot be had now, and nobody waits for it */
	bool (*read)(void *arg, unsigned int region, uint64_t index, void *buf);
	/* true: no time is left; may be NULL */
	bool (*enough)(void *arg);
};

struct guest_walk;

/* @ram stays the caller's and has to stay; @max: pages of the list. NULL: no memory */
struct guest_walk *guest_walk_new(const struct guest_ram *ram, const struct guest_walk_ops *ops,
				  void *arg, size_t max);
void guest_walk_free(struct guest_walk *w);	/* NULL is fine */

/*
 * Adds to the list what CPUs that stand like this need, the most important first. May be
 * called again with where they stand then: pages are in the list once. CPUs that are not
 * in long mode with paging add nothing. The list gets no longer than @room pages.
 */
void guest_walk_run(struct guest_walk *w, const struct guest_cpu *cpus, unsigned int nr,
		    size_t room);

/* the list so far, good until the next run */
const struct guest_page *guest_walk_list(const struct guest_walk *w, size_t *nr);

#endif /* TELEPAGE_GUEST_WALK_H */
