// SPDX-License-Identifier: GPL-2.0
/* which pages a guest needs first: guest_walk.c, over memory made here */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest_walk.h"
#include "tap.h"

#define PAGES		4096ULL		/* 16 MiB of RAM */
#define P		1ULL
#define W		2ULL
#define PS		128ULL
#define NX		(1ULL << 63)
#define LONG_MODE	{ .cr0 = 0x80050033, .cr4 = 0x20, .efer = 0xd01 }
#define TEXT		0xffffffff81000000ULL	/* 2 MiB at 4 MiB */
#define DATA		(TEXT + (2ULL << 20))	/* 2 MiB at 6 MiB */
#define CPU		0xffff888000000000ULL	/* small pages from page 0x20 on */

enum { ROOT = 1, TOP_L3, TOP_L2, CPU_L3, CPU_L2, CPU_L1, ROOT5, USER_L3, USER_L2, USER_L1,
       FIRST_CPU = 0x20, TEXT_PAGE = 1024, DATA_PAGE = 1536 };

static uint8_t (*mem)[GUEST_PAGE];
static unsigned int reads, outside;
static bool out_of_time;

static bool read_page(void *arg, unsigned int region, uint64_t index, void *buf)
{
	(void)arg;
	reads++;
	if (region || index >= PAGES) {
		outside++;
		return false;
	}
	memcpy(buf, mem[index], GUEST_PAGE);
	return true;
}

static bool enough(void *arg)
{
	(void)arg;
	return out_of_time;
}

static const struct guest_walk_ops ops = { .read = read_page, .enough = enough };
static struct guest_ram ram = { .nr = 1, .part = { { 0, PAGES * GUEST_PAGE, 0, 0 } } };

static void put(unsigned int page, unsigned int at, uint64_t v)
{
	memcpy(mem[page] + at, &v, sizeof(v));
}

static void entry(unsigned int table, unsigned int i, uint64_t page, uint64_t bits)
{
	put(table, i * 8, page * GUEST_PAGE | P | bits);
}

static void gate(unsigned int page, unsigned int i, uint64_t va)
{
	put(page, i * 16, (va & 0xffff) | 0x10ULL << 16 | 0x8eULL << 40 | (va >> 16 & 0xffff) << 48);
	put(page, i * 16 + 8, va >> 32);
}

/* a call at @at of the text to @to of it */
static void call(uint32_t at, uint32_t to)
{
	int32_t rel = (int32_t)(to - at - 5);
	uint8_t *p = mem[TEXT_PAGE] + at;

	p[0] = 0xe8;
	memcpy(p + 1, &rel, sizeof(rel));
}

/*
 * A kernel: text and data in large pages, a CPU's own in small ones: its data, IDT, GDT, TSS,
 * and a stack of four pages. All of the text is padding but for what a test writes to it.
 */
static struct guest_cpu kernel(void)
{
	struct guest_cpu c = LONG_MODE;

	memset(mem, 0, PAGES * GUEST_PAGE);
	memset(mem[TEXT_PAGE], 0xcc, 512 * GUEST_PAGE);
	entry(ROOT, 511, TOP_L3, W);
	entry(ROOT, 273, CPU_L3, W);
	entry(TOP_L3, 510, TOP_L2, W);
	entry(TOP_L2, 8, TEXT_PAGE, PS);
	entry(TOP_L2, 9, DATA_PAGE, PS | W | NX);
	entry(CPU_L3, 0, CPU_L2, W);
	entry(CPU_L2, 0, CPU_L1, W);
	for (unsigned int i = 0; i < 128; i++)
		entry(CPU_L1, i, FIRST_CPU + i, W | NX);
	c.cr3 = ROOT * GUEST_PAGE;
	c.gs = CPU;
	c.idt = CPU + 70 * GUEST_PAGE;
	c.idt_limit = 4095;
	c.gdt = CPU + 71 * GUEST_PAGE;
	c.tr = CPU + 72 * GUEST_PAGE;
	c.rsp = CPU + 83 * GUEST_PAGE + 0xf00;
	c.rip = TEXT + 0x10;
	return c;
}

static struct guest_walk *walk_of(const struct guest_cpu *c, unsigned int n, size_t max)
{
	struct guest_walk *w = guest_walk_new(&ram, &ops, NULL, max);

	reads = 0;
	outside = 0;
	if (w)
		guest_walk_run(w, c, n, max);
	return w;
}

/* where in the list a page is; -1: it is not */
static int place(const struct guest_walk *w, uint64_t page)
{
	size_t nr;
	const struct guest_page *p = guest_walk_list(w, &nr);

	for (size_t i = 0; i < nr; i++)
		if (p[i].index == page && !p[i].region)
			return (int)i;
	return -1;
}

static size_t count(const struct guest_walk *w)
{
	size_t nr;

	guest_walk_list(w, &nr);
	return nr;
}

/* each once, all in RAM */
static bool sane(const struct guest_walk *w, size_t max)
{
	static bool seen[PAGES];
	size_t nr;
	const struct guest_page *p = guest_walk_list(w, &nr);

	memset(seen, 0, sizeof(seen));
	for (size_t i = 0; i < nr; i++) {
		if (p[i].region || p[i].index >= PAGES || seen[p[i].index])
			return false;
		seen[p[i].index] = true;
	}
	return nr <= max && !outside;
}

static void plain_kernel(void)
{
	struct guest_cpu c = kernel();
	struct guest_walk *w = walk_of(&c, 1, 2048);

	tap_ok(place(w, TEXT_PAGE) >= 0 && place(w, TEXT_PAGE) < 8, "the page that it executes is among the first");
	tap_ok(place(w, ROOT) >= 0 && place(w, TOP_L3) > place(w, ROOT) &&
	       place(w, TOP_L2) > place(w, TOP_L3) && place(w, TEXT_PAGE) > place(w, TOP_L2),
	       "behind the tables that lead to it");
	tap_ok(place(w, FIRST_CPU + 70) >= 0 && place(w, FIRST_CPU + 71) >= 0 &&
	       place(w, FIRST_CPU + 72) >= 0 && place(w, FIRST_CPU + 73) >= 0, "IDT, GDT, both pages of the TSS");
	tap_ok(place(w, FIRST_CPU + 80) >= 0 && place(w, FIRST_CPU + 83) >= 0, "all of the stack");
	tap_ok(place(w, FIRST_CPU) >= 0 && place(w, FIRST_CPU + 63) >= 0, "the CPU's own data");
	tap_ok(place(w, FIRST_CPU + 100) < 0 && place(w, DATA_PAGE) < 0 && place(w, TEXT_PAGE + 1) < 0,
	       "nothing that nobody points to");
	tap_ok(sane(w, 2048), "each page is there once");
	guest_walk_free(w);

	c.cr0 = 0x10;
	w = walk_of(&c, 1, 2048);
	tap_ok(!count(w), "nothing of a CPU without paging");
	guest_walk_free(w);
	c = kernel();
	c.efer = 0;
	w = walk_of(&c, 1, 2048);
	tap_ok(!count(w), "nor of one that is not in long mode");
	guest_walk_free(w);
	w = walk_of(NULL, 0, 2048);
	tap_ok(!count(w), "nor without CPUs");
	guest_walk_free(w);
}

static void five_levels(void)
{
	struct guest_cpu c = kernel();
	struct guest_walk *w;

	/* what was canonical stays so: the highest entry of the highest table */
	entry(ROOT5, 511, ROOT, W);
	c.cr3 = ROOT5 * GUEST_PAGE;
	c.cr4 |= 1 << 12;
	w = walk_of(&c, 1, 2048);
	tap_ok(!place(w, ROOT5) && place(w, TEXT_PAGE) > place(w, TOP_L2) &&
	       place(w, FIRST_CPU + 71) > place(w, CPU_L1) && sane(w, 2048), "tables of five levels");
	guest_walk_free(w);
}

static void huge(void)
{
	struct guest_cpu c = kernel();
	struct guest_walk *w;

	/* 1 GiB from address 0 on, of which 16 MiB are RAM */
	entry(CPU_L3, 1, 0, PS | W | NX);
	c.rsp = CPU + (1ULL << 30) + 3000 * GUEST_PAGE + 8;
	w = walk_of(&c, 1, 2048);
	tap_ok(place(w, 3000) >= 0, "a page within one of 1 GiB");
	guest_walk_free(w);
	c.rsp = CPU + (1ULL << 30) + PAGES * GUEST_PAGE + 8;
	w = walk_of(&c, 1, 2048);
	tap_ok(place(w, TEXT_PAGE) >= 0 && sane(w, 2048), "one that is behind the end of RAM is left out");
	guest_walk_free(w);
	/* no such pages: were it one, it would map all there is */
	entry(ROOT, 274, 0, PS | W);
	c.rsp = 0xffff890000000000ULL + 3000 * GUEST_PAGE;
	w = walk_of(&c, 1, 2048);
	tap_ok(place(w, 3000) < 0 && sane(w, 2048), "no page is as large as 512 GiB");
	guest_walk_free(w);
}

static void code(void)
{
	struct guest_cpu c = kernel();
	struct guest_walk *w;
	int32_t rel;

	memset(mem[TEXT_PAGE] + 0x10, 0, 32);
	call(0x10, 0x3000);
	memset(mem[TEXT_PAGE + 3], 0, 32);
	call(0x3004, 0x9000);
	/* mov 0x5000(%rip) of the data */
	memcpy(mem[TEXT_PAGE + 9], "\x48\x8b\x05", 3);
	rel = (int32_t)(DATA + 0x5000 - (TEXT + 0x9007));
	memcpy(mem[TEXT_PAGE + 9] + 3, &rel, sizeof(rel));
	/* behind the padding is another function, which nobody calls */
	call(0x9100, 0xb000);
	gate(FIRST_CPU + 70, 14, TEXT + 0x20000);
	gate(FIRST_CPU + 70, 13, TEXT + 0x30000);
	gate(FIRST_CPU + 70, 0xec, TEXT + 0x40000);
	/* a task that was called from there */
	put(FIRST_CPU + 83, 0xf80, TEXT + 0x50000);
	put(FIRST_CPU + 83, 0xe80, TEXT + 0x60000);
	w = walk_of(&c, 1, 2048);
	tap_ok(place(w, TEXT_PAGE + 3) >= 0 && place(w, TEXT_PAGE + 9) > place(w, TEXT_PAGE + 3),
	       "what is called, and what that calls, in this order");
	tap_ok(place(w, DATA_PAGE + 5) >= 0, "data that it looks at");
	tap_ok(place(w, TEXT_PAGE + 11) < 0, "not what is called behind the end of the function");
	tap_ok(place(w, TEXT_PAGE + 0x20) >= 0 && place(w, TEXT_PAGE + 0x40) >= 0 &&
	       place(w, TEXT_PAGE + 0x30) < 0, "handlers of page faults and interrupts");
	tap_ok(place(w, TEXT_PAGE + 0x50) >= 0 && place(w, TEXT_PAGE + 0x60) >= 0,
	       "what the stack returns to, and what has returned there lately");
	tap_ok(sane(w, 2048), "each page is there once");
	guest_walk_free(w);

	/* a task that sleeps */
	put(FIRST_CPU + 110, 0xf00, TEXT + 0x70000);
	put(FIRST_CPU + 110, 0xf40, TEXT + 0x71000);
	put(FIRST_CPU + 110, 0xf80, TEXT + 0x72000);
	put(FIRST_CPU + 111, 0xf80, TEXT + 0x73000);
	w = walk_of(&c, 1, 2048);
	tap_ok(place(w, FIRST_CPU + 110) >= 0 && place(w, TEXT_PAGE + 0x72) >= 0,
	       "stacks of tasks that sleep, and where those go on");
	tap_ok(place(w, FIRST_CPU + 111) < 0 && place(w, TEXT_PAGE + 0x73) < 0,
	       "not each page that looks a little like one");
	guest_walk_free(w);
}

static void pointers(void)
{
	struct guest_cpu c = kernel();
	struct guest_walk *w;

	put(FIRST_CPU + 10, 64, CPU + 120 * GUEST_PAGE + 5);
	put(FIRST_CPU + 10, 72, CPU + 128 * GUEST_PAGE);	/* behind what is mapped */
	put(FIRST_CPU + 10, 80, 0x7f0000000000ULL);
	put(FIRST_CPU + 120, 8, CPU + 121 * GUEST_PAGE);
	put(FIRST_CPU + 120, 2048, CPU + 122 * GUEST_PAGE);
	put(FIRST_CPU + 121, 0, CPU + 123 * GUEST_PAGE);
	c.gpr[3] = CPU + 124 * GUEST_PAGE + 9;
	w = walk_of(&c, 1, 2048);
	tap_ok(place(w, FIRST_CPU + 120) >= 0, "what a CPU's own data points to");
	tap_ok(place(w, FIRST_CPU + 127) >= 0, "of a stack, to whose end it points, the last page");
	tap_ok(place(w, FIRST_CPU + 121) >= 0, "what that points to");
	tap_ok(place(w, FIRST_CPU + 122) < 0 && place(w, FIRST_CPU + 123) < 0, "and no more");
	tap_ok(place(w, FIRST_CPU + 124) >= 0, "what a register points to");
	guest_walk_free(w);

	/* in user mode GS is the task's: by the GDT */
	entry(ROOT, 0, USER_L3, W);
	entry(USER_L3, 0, USER_L2, W);
	entry(USER_L2, 0, USER_L1, W);
	entry(USER_L1, 5, 3333, W);
	entry(USER_L1, 6, 3334, W);
	c.cpl = 3;
	c.rip = 0x5000;
	c.gs = 0x6000;
	c.gdt = CPU + 16 * GUEST_PAGE;
	w = walk_of(&c, 1, 2048);
	tap_ok(place(w, 3333) >= 0 && place(w, USER_L1) >= 0, "a task in user mode and its tables");
	tap_ok(place(w, FIRST_CPU + 10) >= 0 && place(w, FIRST_CPU + 120) >= 0 && sane(w, 2048),
	       "the CPU's own data, found by its GDT");
	guest_walk_free(w);

	/* and its tables have nothing of the kernel: those are the page before */
	memcpy(mem[16], mem[ROOT], GUEST_PAGE);
	memset(mem[17], 0, GUEST_PAGE);
	entry(17, 0, USER_L3, W);
	c.cr3 = 17 * GUEST_PAGE;
	w = walk_of(&c, 1, 2048);
	tap_ok(place(w, 17) >= 0 && place(w, 16) >= 0 && place(w, FIRST_CPU + 70) >= 0,
	       "with page table isolation the kernel's tables as well");
	guest_walk_free(w);
}

static void layout(void)
{
	struct guest_ram split = {
		.nr = 2, .part = {
			{ 0, 2048 * GUEST_PAGE, 0, 0 },
			{ 4ULL << 30, 2048 * GUEST_PAGE, 2048 * GUEST_PAGE, 0 },
		}
	};
	struct guest_cpu c = kernel();
	struct guest_walk *w = guest_walk_new(&split, &ops, NULL, 2048);

	entry(CPU_L1, 84, (4ULL << 30) / GUEST_PAGE + 7, W | NX);
	entry(CPU_L1, 85, 2048 + 7, W | NX);
	put(FIRST_CPU + 1, 0, CPU + 84 * GUEST_PAGE);
	put(FIRST_CPU + 1, 8, CPU + 85 * GUEST_PAGE);
	guest_walk_run(w, &c, 1, 2048);
	tap_ok(place(w, 2048 + 7) >= 0, "RAM above 4 GiB is where it is in the region");
	tap_ok(count(w) && sane(w, 2048), "and in the hole there is nothing");
	guest_walk_free(w);
}

static void again(void)
{
	struct guest_cpu c = kernel();
	struct guest_walk *w = walk_of(&c, 1, 2048);
	size_t before = count(w);

	guest_walk_run(w, &c, 1, 2048);
	tap_ok(count(w) == before && before, "looking again finds nothing new");
	c.rip = TEXT + 0x80000;
	entry(CPU_L1, 3, 3000, W | NX);
	guest_walk_run(w, &c, 1, 2048);
	tap_ok(place(w, TEXT_PAGE + 0x80) >= (int)before && place(w, 3000) >= (int)before,
	       "but what has changed, behind the rest");
	tap_ok(sane(w, 2048), "each page once");
	guest_walk_free(w);

	c = kernel();
	w = walk_of(&c, 1, 20);
	tap_ok(count(w) == 20 && place(w, TEXT_PAGE) >= 0, "no more than there is room for, the first ones");
	guest_walk_free(w);
	w = guest_walk_new(&ram, &ops, NULL, 400);
	guest_walk_run(w, &c, 1, 20);
	before = count(w);
	guest_walk_run(w, &c, 1, 40);
	tap_ok(before == 20 && count(w) == 40 && sane(w, 40), "and more when there is more room");
	guest_walk_free(w);
	out_of_time = true;
	w = walk_of(&c, 1, 2048);
	out_of_time = false;
	tap_ok(!reads && count(w) <= 1, "nothing is read when the time is over");
	guest_walk_free(w);
}

static void hostile(void)
{
	struct guest_cpu c = kernel();
	struct guest_walk *w;
	uint64_t x = 88172645463325252ULL;
	unsigned int bad = 0, some = 0;

	/* every entry of a table is that table */
	for (unsigned int i = 0; i < 512; i++)
		entry(ROOT, i, ROOT, W);
	w = walk_of(&c, 1, 2048);
	tap_ok(sane(w, 2048) && reads < 64, "a table that is all of its own entries (%u reads)", reads);
	guest_walk_free(w);

	/* a call of itself, and all the text a call of the next byte */
	c = kernel();
	memset(mem[TEXT_PAGE], 0xe8, 512 * GUEST_PAGE);
	w = walk_of(&c, 1, 2048);
	tap_ok(sane(w, 2048), "text that is nothing but calls");
	guest_walk_free(w);
	memset(mem[TEXT_PAGE], 0, 512 * GUEST_PAGE);
	for (unsigned int i = 0; i + 8 < 512 * GUEST_PAGE; i += 5)
		call(i, (i * 2654435761U) % (512 * GUEST_PAGE));
	w = walk_of(&c, 1, 2048);
	tap_ok(sane(w, 2048) && place(w, FIRST_CPU + 70) >= 0, "text that calls everything");
	guest_walk_free(w);

	for (unsigned int round = 0; round < 60; round++) {
		struct guest_cpu cpus[3];

		c = kernel();
		for (uint64_t i = 0; i < PAGES * GUEST_PAGE / 8; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			/* entries that point to RAM most of the time, or are anything */
			if (round % 3)
				put(i / 512, i % 512 * 8, x % 7 ? (x & (NX | PS | W | P)) |
				    (x >> 8 & 4095) << 12 : x);
			else if (x % 64 == 1)
				put(i / 512, i % 512 * 8, x);
		}
		for (unsigned int i = 0; i < 3; i++) {
			cpus[i] = c;
			cpus[i].cpl = (x >> i) & 3;
			cpus[i].cr4 = x >> 20;
			if (round % 2)
				cpus[i].cr3 = x >> (40 + i);
			if (i) {
				cpus[i].rip = x;
				cpus[i].rsp = x << 9 | 0xffff800000000000ULL;
				cpus[i].gs = ~x;
				cpus[i].idt = x * 3;
				cpus[i].gdt = UINT64_MAX - x % 9000;
				cpus[i].tr = UINT64_MAX - x % 90;
				cpus[i].idt_limit = UINT32_MAX;
			}
		}
		w = walk_of(cpus, 3, 512);
		bad += !sane(w, 512);
		some += count(w) > 0;
		guest_walk_free(w);
	}
	tap_ok(!bad, "memory and registers that are anything");
	tap_ok(some > 30, "of which %u of 60 look like something", some);
}

int main(void)
{
	mem = calloc(PAGES, GUEST_PAGE);
	if (!mem)
		return TAP_FAIL;
	plain_kernel();
	five_levels();
	huge();
	code();
	pointers();
	layout();
	again();
	hostile();
	free(mem);
	return tap_done();
}
