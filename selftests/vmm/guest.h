/* SPDX-License-Identifier: GPL-2.0 */
/*
 * guest.h - what the guest's program and the VMM have in common
 *
 * The guest has no kernel: each vCPU begins in vmm_guest() in 64-bit mode, with its
 * box, runs one program, and ends with a write to a port. It sees two memories. The
 * VMM's own, below, is never part of what is tested: code, page tables, stacks, boxes
 * and marks. RAM begins at VMM_RAM. All addresses are physical ones as well.
 */
#ifndef TELEPAGE_VMM_GUEST_H
#define TELEPAGE_VMM_GUEST_H

#include <stdint.h>

#define VMM_PAGE	4096UL
#define VMM_WORDS	(VMM_PAGE / 8)
#define VMM_CPUS	4

#define VMM_TABLES	0x1000UL
#define VMM_GDT		0x6000UL
#define VMM_IDT		0x7000UL
#define VMM_CODE	0x10000UL	/* guest.lds has it, too: first the traps' entries */
#define VMM_TRAPS	32
#define VMM_TRAP	16UL		/* bytes of each */
#define VMM_ENTRY	(VMM_CODE + VMM_TRAPS * VMM_TRAP)
#define VMM_BOXES	0x40000UL	/* a page for each vCPU */
#define VMM_STACKS	0x50000UL
#define VMM_STACK	0x4000UL
#define VMM_MARKS	0x100000UL	/* struct vmm_mark for each page of RAM */
#define VMM_OWN		0x800000UL	/* size of the VMM's own memory */
#define VMM_RAM		0x40000000UL
#define VMM_RAM_MAX	0x40000000UL

#define VMM_PORT_DONE	0x10
#define VMM_PORT_TRAP	0x11

enum vmm_program {
	VMM_VERIFY,	/* every page of the share, in order */
	VMM_FILL,	/* writes what VERIFY expects */
	VMM_HAMMER,	/* writes flat out until told to stop */
	VMM_RANDOM,	/* VERIFY in random order */
	VMM_BALLOON,	/* reads and writes at random while pages are discarded */
	VMM_READBACK,	/* reads and writes when asked, until told to stop */
	VMM_TOUCH,	/* stores a word into each page, for who measures */
	VMM_LOOK,	/* loads one */
};

/* what a READBACK is asked for */
enum vmm_ask {
	VMM_READ,	/* ->all: every word of the pages, or'ed */
	VMM_WRITE,	/* ->value into every word */
};

/*
 * Where a vCPU is told what to do and answers. Its share is the pages first,
 * first + step, ... below RAM's end, @pages of them.
 */
struct vmm_box {
	/* written by the VMM */
	volatile uint32_t program;
	volatile uint32_t stop;
	volatile uint32_t seed;
	volatile uint32_t interrupts;	/* for asynchronous page faults: let them in */
	volatile uint64_t first, step, pages;
	volatile uint64_t random;

	/* written by the guest; what was bad stays until the next program */
	volatile uint64_t done;		/* pages */
	volatile uint64_t base;		/* HAMMER: its epoch when it began */
	volatile uint64_t progress;	/* ... and where it is, see vmm_epoch() and vmm_at() */
	volatile uint64_t bad;		/* pages */
	volatile uint64_t bad_page, bad_word, bad_got, bad_want;	/* of the first */

	/* what ended it otherwise */
	volatile uint64_t trap, trap_error, trap_at, trap_address;

	/* READBACK: a question is open while ask != answer */
	volatile uint32_t ask, answer;
	volatile uint32_t what;
	volatile uint64_t page, count, value, all;
};

/*
 * BALLOON: what is known of a page. The VMM counts a discard twice, before it begins
 * and when it is over; so the guest can tell whether one lies between two looks. The
 * first content of a page is what FILL writes.
 */
struct vmm_mark {
	volatile uint32_t begun, over;	/* written by the VMM */
	uint32_t written;		/* the rest by the guest: it wrote @value into every word */
	uint32_t sure;			/* ->over before that */
	uint32_t at;			/* ->begun after it */
	uint64_t value;
};

/* The test programs' tk_page() writes the same: no two pages are alike, none has a zero. */
static inline uint64_t vmm_word(uint32_t seed, uint64_t index, unsigned int i)
{
	uint64_t x = (uint64_t)seed << 48 ^ index << 9 ^ i;

	x = (x ^ x >> 31) * 0x9e3779b97f4a7c15;
	return (x ^ x >> 29) | 1;
}

/*
 * HAMMER has written @epoch to the first @at pages of its share and @epoch - 1 to the
 * others, unless this is its first pass. In one word, to be changed at once.
 */
static inline uint64_t vmm_epoch(const struct vmm_box *b)
{
	return b->progress >> 32;
}

static inline uint64_t vmm_at(const struct vmm_box *b)
{
	return b->progress & 0xffffffff;
}

/* what HAMMER writes into the first and the last word of a page */
static inline uint64_t vmm_hammer_word(uint64_t epoch, uint64_t index)
{
	return epoch << 32 | index;
}

#endif /* TELEPAGE_VMM_GUEST_H */
