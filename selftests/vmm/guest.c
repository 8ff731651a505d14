// SPDX-License-Identifier: GPL-2.0
/*
 * guest.c - the program in the guest, see guest.h
 *
 * A flat binary for an address of its own, without libc, interrupts or anything else
 * that a kernel would give. An exception ends the program, and the VMM says so.
 */
#include "guest.h"

#define barrier()	asm volatile("" ::: "memory")
/* stores before it are seen by who sees what is loaded after it */
#define fence()		asm volatile("mfence" ::: "memory")

static volatile uint64_t *ram(uint64_t page)
{
	return (volatile uint64_t *)(VMM_RAM + page * VMM_PAGE);
}

static struct vmm_mark *mark(uint64_t page)
{
	return (struct vmm_mark *)VMM_MARKS + page;
}

static uint64_t next_random(struct vmm_box *b)
{
	uint64_t x = b->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	b->random = x;
	return x;
}

static void bad(struct vmm_box *b, uint64_t page, uint64_t word, uint64_t got, uint64_t want)
{
	if (!b->bad) {
		b->bad_page = page;
		b->bad_word = word;
		b->bad_got = got;
		b->bad_want = want;
	}
	barrier();
	b->bad++;
}

static void check(struct vmm_box *b, uint64_t page)
{
	volatile uint64_t *p = ram(page);
	uint32_t seed = b->seed;
	unsigned int i;

	for (i = 0; i < VMM_WORDS; i++) {
		uint64_t got = p[i], want = vmm_word(seed, page, i);

		if (got != want) {
			bad(b, page, i, got, want);
			break;
		}
	}
	b->done++;
}

static void verify(struct vmm_box *b)
{
	uint64_t i;

	for (i = 0; i < b->pages && !b->stop; i++)
		check(b, b->first + i * b->step);
}

/* Each page of the share once: a generator of full period over a power of two. */
static void in_random_order(struct vmm_box *b)
{
	uint64_t mask = 1, x = b->random, i;

	while (mask < b->pages)
		mask <<= 1;
	for (i = 0; i < mask && !b->stop; i++) {
		uint64_t n;

		x = x * 6364136223846793005 + 1442695040888963407;
		x &= mask - 1;
		/* the low bits of such a generator are hardly random: mix them, one to one */
		n = (x ^ x >> 3) & (mask - 1);
		if (n < b->pages)
			check(b, b->first + n * b->step);
	}
}

static void fill(struct vmm_box *b)
{
	uint64_t i;
	unsigned int w;

	for (i = 0; i < b->pages && !b->stop; i++) {
		uint64_t page = b->first + i * b->step;
		volatile uint64_t *p = ram(page);

		for (w = 0; w < VMM_WORDS; w++)
			p[w] = vmm_word(b->seed, page, w);
		b->done++;
	}
}

/*
 * Stopped, paused or refused a write, what the box says is what RAM has to hold. One
 * page may be between: one or both words are written, but not yet counted.
 */
static void hammer(struct vmm_box *b)
{
	uint64_t epoch = b->progress >> 32, i;

	for (b->base = epoch++; !b->stop; epoch++) {
		b->progress = epoch << 32;
		for (i = 0; i < b->pages; i++) {
			uint64_t page = b->first + i * b->step;
			uint64_t old = vmm_hammer_word(epoch - 1, page);
			uint64_t new = vmm_hammer_word(epoch, page);
			volatile uint64_t *p = ram(page);

			if (b->stop)
				return;
			if (epoch > b->base + 1) {
				uint64_t head = p[0], tail = p[VMM_WORDS - 1];

				if (head != old)
					bad(b, page, 0, head, old);
				else if (tail != old)
					bad(b, page, VMM_WORDS - 1, tail, old);
			}
			p[0] = new;
			p[VMM_WORDS - 1] = new;
			b->progress++;
			b->done++;
		}
	}
}

/* Does a page hold what it may, as far as one can know of discards under way? */
static void balloon_look(struct vmm_box *b, uint64_t page)
{
	struct vmm_mark *m = mark(page);
	volatile uint64_t *p = ram(page);
	uint32_t over = m->over;	/* before the look */
	uint64_t here = VMM_WORDS, gone = VMM_WORDS;	/* a word that is so */
	unsigned int i;

	fence();
	for (i = 0; i < VMM_WORDS; i++) {
		uint64_t got = p[i], want = m->written ? m->value : vmm_word(b->seed, page, i);

		if (got == want) {
			here = i;
		} else if (!got) {
			gone = i;
		} else {
			bad(b, page, i, got, want);
			return;
		}
	}
	fence();
	/* a discard that began after the content was there is over: nothing is left of it */
	if ((int32_t)(over - m->at) > 0 && here != VMM_WORDS)
		bad(b, page, here, p[here], 0);
	/* none has been under way since before the content came: all of it is there */
	else if (m->begun == m->sure && gone != VMM_WORDS)
		bad(b, page, gone, 0, m->written ? m->value : vmm_word(b->seed, page, gone));
}

static void balloon_write(struct vmm_box *b, uint64_t page)
{
	struct vmm_mark *m = mark(page);
	volatile uint64_t *p = ram(page);
	uint64_t value = next_random(b) | 1;
	unsigned int i;

	m->sure = m->over;
	fence();
	for (i = 0; i < VMM_WORDS; i++)
		p[i] = value;
	fence();
	m->at = m->begun;
	m->value = value;
	m->written = 1;
}

static void balloon(struct vmm_box *b)
{
	while (!b->stop) {
		uint64_t page = b->first + next_random(b) % b->pages * b->step;

		balloon_look(b, page);
		if (next_random(b) >> 60 < 6)
			balloon_write(b, page);
		b->done++;
	}
}

static void readback(struct vmm_box *b)
{
	while (!b->stop) {
		uint64_t page, all = 0;
		unsigned int i;

		if (b->ask == b->answer) {
			asm volatile("pause");
			continue;
		}
		for (page = b->page; page < b->page + b->count; page++) {
			volatile uint64_t *p = ram(page);

			for (i = 0; i < VMM_WORDS; i++) {
				if (b->what == VMM_WRITE)
					p[i] = b->value;
				else
					all |= p[i];
			}
		}
		b->all = all;
		b->done++;
		fence();
		b->answer = b->ask;
	}
}

static void touch(struct vmm_box *b, int write)
{
	uint64_t i;

	for (i = 0; i < b->pages; i++) {
		volatile uint64_t *p = ram(b->first + i * b->step);

		if (write)
			p[0] = 1;
		else
			(void)p[0];
	}
	b->done = i;
}

struct trap {
	uint64_t nr, error, at;
};

__attribute__((used, noreturn))
static void trapped(const struct trap *t)
{
	uint64_t cpu = ((uintptr_t)t - VMM_STACKS) / VMM_STACK;
	struct vmm_box *b = (struct vmm_box *)(VMM_BOXES + cpu * VMM_PAGE);
	uint64_t address;

	asm volatile("mov %%cr2, %0" : "=r"(address));
	b->trap = t->nr;
	b->trap_error = t->error;
	b->trap_at = t->at;
	b->trap_address = address;
	for (;;)
		asm volatile("outb %%al, %0" :: "N"(VMM_PORT_TRAP), "a"(0));
}

/* those at 8, 10 to 14, 17, 21, 29 and 30 come with an error code */
asm(".section .text.traps, \"ax\"\n"
    ".set nr, 0\n"
    ".rept 32\n"
    "	.balign 16\n"
    "	.if !((0x60227d00 >> nr) & 1)\n"
    "	push $0\n"
    "	.endif\n"
    "	push $nr\n"
    "	jmp 1f\n"
    "	.set nr, nr + 1\n"
    ".endr\n"
    "	.balign 16\n"
    "	.text\n"
    "1:	mov %rsp, %rdi\n"
    "	and $-16, %rsp\n"
    "	call trapped\n");

__attribute__((section(".text.entry"), noreturn))
void vmm_guest(struct vmm_box *b)
{
	if (b->interrupts)
		asm volatile("sti");
	switch (b->program) {
	case VMM_VERIFY:
		verify(b);
		break;
	case VMM_FILL:
		fill(b);
		break;
	case VMM_HAMMER:
		hammer(b);
		break;
	case VMM_RANDOM:
		in_random_order(b);
		break;
	case VMM_BALLOON:
		balloon(b);
		break;
	case VMM_READBACK:
		readback(b);
		break;
	case VMM_TOUCH:
	case VMM_LOOK:
		touch(b, b->program == VMM_TOUCH);
		break;
	}
	for (;;)
		asm volatile("outb %%al, %0" :: "N"(VMM_PORT_DONE), "a"(0));
}
