// SPDX-License-Identifier: GPL-2.0
/*
 * guest_walk.c - which pages an x86-64 guest needs first when it goes on
 *
 * Page tables, and what registers point to: exact. What the kernel will execute: code is
 * followed from where the CPUs stand, from the addresses that stacks return to and from
 * the interrupt handlers, along what looks like a call or a jump. What it will look at:
 * what that code, stacks and the CPUs' own data point to. Both are guesses that miss some
 * and name too many, ordered by how far they are from where they began.
 */
#include <stdlib.h>

#include "guest_mem.h"

#define CR0_PG		(1ULL << 31)
#define CR4_LA57	(1ULL << 12)
#define EFER_LMA	(1ULL << 10)

#define READS_MAX	32768		/* pages, of one run: 128 MiB */
#define TARGETS_MAX	16384		/* addresses of code that are followed */
#define DEPTH_MAX	6		/* calls */
#define CODE_MAX	2048		/* bytes of a function that are looked at */
#define CPU_DATA	64		/* pages of a CPU's own data */
#define CPU_DATA_BEFORE	16		/* of them before its GDT, which lies among them */
#define STACK		16384
#define TABLES_MAX	384
#define POINTERS_MAX	32768
#define OBJECT		512		/* bytes that are looked at of what is pointed to */
#define VISITS_MAX	16384		/* of tables: one may point to itself */
#define STACKS_LOOKED	512		/* pages below an entry of the highest table */
#define STACK_LIKE	3		/* addresses of code that make a page a stack */
#define TEXT_MAX	(64ULL << 20)
#define LARGE		(2ULL << 20)

/* --- code --- */

static void follow(struct guest_walk *w, uint64_t va, unsigned int depth)
{
	if (!in_text(w, va) || depth > DEPTH_MAX || w->nr_targets == TARGETS_MAX ||
	    !guest_set_add(w->targets, w->targets_mask, va))
		return;
	w->queue[w->nr_targets].va = va;
	w->queue[w->nr_targets++].depth = depth;
}

/* Where a function ends nothing says, but compilers pad what is between two. */
static size_t function_end(const uint8_t *code, size_t len)
{
	static const uint8_t traps[4] = { 0xcc, 0xcc, 0xcc, 0xcc };
	static const uint8_t nops[6] = { 0x90, 0x90, 0x90, 0x90, 0x90, 0x90 };

	for (size_t i = 1; i + sizeof(nops) <= len; i++)
		if (!memcmp(code + i, traps, sizeof(traps)) || !memcmp(code + i, nops, sizeof(nops)))
			return i;
	return len;
}

static void refer(struct guest_walk *w, uint64_t va, unsigned int depth)
{
	if (in_text(w, va))
		follow(w, va, depth);
	else if (va >= w->text_end && va < w->image_end)
		guest_touch(w, va);
}

/*
 * Is what follows @p, which has two bytes, an address in 32 bits? As an operand of mov to a
 * register, or with an index and no base. Elsewhere what looks like one rarely is.
 */
static bool takes_address(const uint8_t *p)
{
	return (p[0] == 0xc7 && (p[1] & 0xf8) == 0xc0) ||
	       ((p[0] & 0xc7) == 0x04 && (p[1] & 0x07) == 0x05);
}

/*
 * Instructions are not decoded: what stands behind a byte that could be the opcode of a
 * call or jump, or say that an address is relative, is taken if it hits the kernel.
 */
static void look_at_code(struct guest_walk *w, uint64_t va, unsigned int depth)
{
	uint8_t code[CODE_MAX];
	size_t len = guest_copy(w, va, code, sizeof(code));

	len = function_end(code, len);
	for (uint64_t at = va & -GUEST_PAGE; at < va + len; at += GUEST_PAGE)
		guest_touch(w, at);
	for (size_t i = 0; i + 5 <= len && !w->stop; i++) {
		int64_t value = get32(code + i + 1);

		if (code[i] == 0xe8 || code[i] == 0xe9)
			follow(w, va + i + 5 + value, depth + 1);
		else if ((code[i] & 0xc7) == 0x05)
			refer(w, va + i + 5 + value, depth + 1);
		if (i && value < 0 && takes_address(code + i - 1))
			refer(w, value, depth + 1);
	}
}

static bool executable(struct guest_walk *w, uint64_t va)
{
	struct mapping m;

	return guest_translate(w, va, &m) && m.exec;
}

/* What is executable around @va, as far as it goes on. */
static void find_text(struct guest_walk *w, uint64_t va)
{
	uint64_t low, high = va & -LARGE;

	if (!in_kernel(w, va) || in_text(w, va) || !executable(w, va))
		return;
	low = high;
	while (high - low < TEXT_MAX && in_kernel(w, low - LARGE) && executable(w, low - LARGE))
		low -= LARGE;
	while (high - low < 2 * TEXT_MAX && high < -LARGE && executable(w, high))
		high += GUEST_PAGE;
	if (high <= va)
		return;
	w->text = low;
	w->text_end = high;
	w->image_end = high < -TEXT_MAX ? high + TEXT_MAX : UINT64_MAX;
}

static void look_at_handlers(struct guest_walk *w, const struct guest_cpu *cpu)
{
	uint8_t idt[256 * 16];
	size_t len = (size_t)cpu->idt_limit + 1;

	len = guest_copy(w, cpu->idt, idt, len < sizeof(idt) ? len : sizeof(idt));
	/* page faults, then interrupts; other exceptions are none to prepare for */
	for (size_t i = 14; i < len / 16; i = i == 14 ? 32 : i + 1) {
		const uint8_t *gate = idt + i * 16;
		uint64_t va = (get64(gate) & 0xffff) | (get64(gate) >> 32 & 0xffff0000) |
			      (uint64_t)(uint32_t)get32(gate + 8) << 32;

		if (!(gate[5] & 0x80))
			continue;
		find_text(w, va);
		follow(w, va, 0);
	}
}

/* --- data --- */

/* a pointer to data of the kernel or to its code */
static bool point_to(struct guest_walk *w, uint64_t v, unsigned int depth)
{
	if (!in_kernel(w, v) || v > -GUEST_PAGE || !w->pointers || w->stop)
		return false;
	if (in_text(w, v)) {
		follow(w, v, depth);
		return false;
	}
	w->pointers--;
	/* the top of a stack points behind it */
	return guest_touch(w, v) || (!(v % GUEST_PAGE) && guest_touch(w, v - 8));
}

/* what the words of @data point to, and what the first words of that do */
static void point(struct guest_walk *w, const uint8_t *data, size_t len, unsigned int depth)
{
	uint8_t object[OBJECT];

	for (size_t i = 0; i + 8 <= len && !w->stop; i += 8) {
		uint64_t v = get64(data + i);
		size_t n;

		if (!point_to(w, v, depth) || v >= w->text)
			continue;
		n = guest_copy(w, v & -8ULL, object, sizeof(object));
		for (size_t j = 0; j + 8 <= n; j += 8)
			point_to(w, get64(object + j), depth + 1);
	}
}

/* the same of memory from @va to @end */
static void look_at_pointers(struct guest_walk *w, uint64_t va, uint64_t end, unsigned int depth)
{
	uint8_t data[GUEST_PAGE];

	va = (va + 7) & -8ULL;
	while (va < end && !w->stop) {
		size_t len = GUEST_PAGE - va % GUEST_PAGE;

		if (len > end - va)
			len = end - va;
		point(w, data, guest_copy(w, va, data, len), depth);
		va = (va & -GUEST_PAGE) + GUEST_PAGE;
	}
}

static void touch_range(struct guest_walk *w, uint64_t va, uint64_t end)
{
	for (; va < end && !w->stop; va += GUEST_PAGE)
		guest_touch(w, va);
}

/* where a CPU's own data is, or 0 */
static uint64_t cpu_data(const struct guest_walk *w, const struct guest_cpu *cpu)
{
	return cpu->cpl != 3 && in_kernel(w, cpu->gs) ? cpu->gs & -GUEST_PAGE : 0;
}

/*
 * In user mode GS is the task's. But the GDT is among a CPU's data; where it is mapped may be
 * elsewhere, so go by what lies around it.
 */
static void look_around_gdt(struct guest_walk *w, const struct guest_cpu *cpu, unsigned int pages)
{
	uint8_t data[GUEST_PAGE];
	struct mapping m;

	if (!guest_translate(w, cpu->gdt, &m) || m.page < CPU_DATA_BEFORE)
		return;
	m.page -= CPU_DATA_BEFORE;
	for (unsigned int i = 0; i < pages; i++)
		guest_list(w, m.page + i);
	for (unsigned int i = 0; i < pages; i++)
		if (guest_copy_page(w, m.page + i, data))
			point(w, data, sizeof(data), 0);
}

/* --- page tables --- */

static bool any_there(const uint8_t *table)
{
	for (unsigned int i = 0; i < 512; i++)
		if (get64(table + i * 8) & PTE_P)
			return true;
	return false;
}

/* Is it, by what it holds, the stack of a task that sleeps? Then it returns to code. */
static void look_for_stack(struct guest_walk *w, uint64_t page)
{
	uint8_t data[GUEST_PAGE];
	unsigned int n = 0;

	if (!guest_copy_page(w, page, data))
		return;
	for (size_t i = 0; i < sizeof(data); i += 8)
		n += in_text(w, get64(data + i));
	if (n < STACK_LIKE || n > 256)
		return;
	guest_list(w, page);
	point(w, data, sizeof(data), 0);
}

/*
 * Goes down a table that maps @va on, and does one of two things: lists the tables, or
 * looks for stacks in what the last of them map for writing and in small pages.
 */
static void each_table(struct guest_walk *w, uint64_t table, unsigned int shift, uint64_t va,
		       bool stacks)
{
	uint8_t data[GUEST_PAGE];

	if (!guest_copy_page(w, table, data) || !w->visits || !any_there(data))
		return;
	w->visits--;
	if (!stacks) {
		if (!w->tables)
			return;
		w->tables--;
		guest_list(w, table);
		if (shift == 12)
			return;
	}
	for (unsigned int i = 0; i < 512 && !w->stop; i++) {
		uint64_t e = get64(data + i * 8), next = (e & PTE_ADDR) / GUEST_PAGE;
		uint64_t to = va | (uint64_t)i << shift;

		if (!(e & PTE_P))
			continue;
		if (shift == w->top) {
			w->looked = STACKS_LOOKED;
			if (i >= 256)
				to |= UINT64_MAX << (w->top + 8);
			else if (stacks)
				continue;
		}
		if (shift > 12) {
			if (!(e & PTE_PS) || shift > 30)
				each_table(w, next, shift - 9, to, stacks);
		} else if (w->looked && (e & PTE_W) && (e & PTE_NX) &&
			   (to < w->text || to >= w->image_end)) {
			w->looked--;
			look_for_stack(w, next);
		}
	}
}

/* --- CPUs --- */

static bool set_tables(struct guest_walk *w, const struct guest_cpu *cpu)
{
	uint64_t root = (cpu->cr3 & PTE_ADDR) / GUEST_PAGE;
	struct mapping m;

	if (!(cpu->cr0 & CR0_PG) || !(cpu->efer & EFER_LMA))
		return false;
	w->top = cpu->cr4 & CR4_LA57 ? 48 : 39;
	/* With page table isolation what user mode has is the second of two; take the first. */
	for (int second = cpu->cpl == 3 && root & 1; second >= 0; second--) {
		uint64_t first = second ? root & ~1ULL : root;

		guest_mem_root(w, first);
		if (guest_translate(w, cpu->rip, &m) && guest_translate(w, cpu->idt, &m))
			break;
	}
	return true;
}

static void look_at_cpu(struct guest_walk *w, const struct guest_cpu *cpu, unsigned int pages)
{
	uint64_t data = cpu_data(w, cpu), stack = cpu->rsp & -STACK;
	uint8_t tss[104], gpr[GUEST_GPRS * 8];

	guest_touch(w, cpu->rip);
	guest_touch(w, cpu->rsp);
	guest_touch(w, cpu->idt);
	guest_touch(w, cpu->gdt);
	guest_touch(w, cpu->tr);
	guest_touch(w, cpu->tr + GUEST_PAGE);
	guest_list(w, (cpu->cr3 & PTE_ADDR) / GUEST_PAGE);
	memcpy(gpr, cpu->gpr, sizeof(gpr));
	if (in_kernel(w, cpu->idt))
		look_at_handlers(w, cpu);
	find_text(w, cpu->rip);
	follow(w, cpu->rip, 0);
	point(w, gpr, sizeof(gpr), 0);
	/* the stacks that it changes to: that of ring 0, those of interrupts */
	if (guest_copy(w, cpu->tr, tss, sizeof(tss)) == sizeof(tss))
		for (unsigned int at = 4; at + 8 <= sizeof(tss); at += 8)
			if (at != 28 && in_kernel(w, get64(tss + at)))
				guest_touch(w, get64(tss + at) - 8);
	if (in_kernel(w, cpu->rsp)) {
		touch_range(w, stack, stack + STACK);
		look_at_pointers(w, stack, stack + STACK, 0);
	}
	if (data) {
		touch_range(w, data, data + pages * GUEST_PAGE);
		look_at_pointers(w, data, data + pages * GUEST_PAGE, 0);
	} else {
		look_around_gdt(w, cpu, pages);
	}
}

void guest_walk_run(struct guest_walk *w, const struct guest_cpu *cpus, unsigned int nr,
		    size_t room)
{
	unsigned int pages;

	if (nr > GUEST_CPUS_MAX)
		nr = GUEST_CPUS_MAX;
	if (!nr)
		return;
	pages = w->max / 4 / nr < CPU_DATA ? w->max / 4 / nr : CPU_DATA;
	/* the guest may have written since: what is here is old */
	guest_mem_forget(w);
	w->reads = READS_MAX;
	w->pointers = POINTERS_MAX;
	w->tables = TABLES_MAX;
	w->visits = VISITS_MAX;
	w->room = room < w->max ? room : w->max;
	w->stop = false;
	for (unsigned int i = 0; i < nr; i++)
		if (set_tables(w, &cpus[i]))
			look_at_cpu(w, &cpus[i], pages);
	for (unsigned int i = 0; i < nr; i++)
		if (set_tables(w, &cpus[i]))
			each_table(w, w->root, w->top, 0, false);
	if (w->root != NONE)
		each_table(w, w->root, w->top, 0, true);
	while (w->followed < w->nr_targets && !w->stop && !guest_out_of_time(w)) {
		look_at_code(w, w->queue[w->followed].va, w->queue[w->followed].depth);
		w->followed++;
	}
}

const struct guest_page *guest_walk_list(const struct guest_walk *w, size_t *nr)
{
	*nr = w->nr;
	return w->list;
}

struct guest_walk *guest_walk_new(const struct guest_ram *ram, const struct guest_walk_ops *ops,
				  void *arg, size_t max)
{
	struct guest_walk *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->ram = ram;
	w->ops = ops;
	w->arg = arg;
	w->max = max;
	w->targets = guest_set_new(TARGETS_MAX, &w->targets_mask);
	w->queue = calloc(TARGETS_MAX, sizeof(*w->queue));
	if (!guest_mem_init(w) || !w->targets || !w->queue) {
		guest_walk_free(w);
		return NULL;
	}
	return w;
}

void guest_walk_free(struct guest_walk *w)
{
	if (!w)
		return;
	free(w->list);
	free(w->listed);
	free(w->targets);
	free(w->queue);
	free(w->cached);
	free(w->cache);
	free(w->tlb);
	free(w);
}
