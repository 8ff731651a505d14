// SPDX-License-Identifier: GPL-2.0
/*
 * guest.c - libFuzzer target: a guest's memory and registers, and what QEMU says of both
 *
 * An input is what guest_walk.c is to look at: a byte that says how large the guest's RAM is,
 * the registers, and RAM from its beginning, zero behind the input's end. Or, after a byte of
 * 0xff, text as of QEMU. Whatever it is: no page outside of RAM is read or listed, none is
 * listed twice, no more than there is room for, and the work has an end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest_regs.h"
#include "guest_walk.h"

#define PAGES_MAX	64
#define ROOM		48

struct memory {
	const uint8_t *data;
	size_t len;
	unsigned int pages;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void wrong(const char *what)
{
	fprintf(stderr, "wrong: %s\n", what);
	abort();
}

static bool read_page(void *arg, unsigned int region, uint64_t index, void *buf)
{
	const struct memory *m = arg;
	size_t at = index * GUEST_PAGE, n;

	if (region || index >= m->pages)
		wrong("a page outside of RAM is read");
	n = at < m->len ? m->len - at : 0;
	memset(buf, 0, GUEST_PAGE);
	memcpy(buf, m->data + at - (n ? 0 : at), n < GUEST_PAGE ? n : GUEST_PAGE);
	return true;
}

static const struct guest_walk_ops ops = { .read = read_page };

static void check(const struct guest_walk *w, const struct memory *m, size_t room)
{
	bool seen[PAGES_MAX] = { false };
	const struct guest_page *p;
	size_t nr;

	p = guest_walk_list(w, &nr);
	if (nr > room)
		wrong("more pages than there is room for");
	for (size_t i = 0; i < nr; i++) {
		if (p[i].region || p[i].index >= m->pages)
			wrong("a page outside of RAM is listed");
		if (seen[p[i].index])
			wrong("a page is listed twice");
		seen[p[i].index] = true;
	}
}

static void walk(const uint8_t *data, size_t len)
{
	struct guest_cpu cpus[2] = { { 0 } };
	struct guest_ram ram = { .nr = 1 };
	struct guest_walk *w;
	struct memory m;
	size_t n = len < sizeof(cpus) ? len : sizeof(cpus);

	m.pages = 1 + data[0] % PAGES_MAX;
	ram.part[0].size = m.pages * GUEST_PAGE;
	data++;
	len--;
	n = n > len ? len : n;
	memcpy(cpus, data, n);
	m.data = data + n;
	m.len = len - n;
	for (unsigned int i = 0; i < 2; i++) {
		/* most of what is anything is not in long mode */
		cpus[i].cr0 |= 1ULL << 31;
		cpus[i].efer |= 1ULL << 10;
	}
	w = guest_walk_new(&ram, &ops, &m, ROOM);
	if (!w)
		return;
	guest_walk_run(w, cpus, 1, ROOM / 2);
	check(w, &m, ROOM / 2);
	guest_walk_run(w, cpus, 2, ROOM);
	check(w, &m, ROOM);
	guest_walk_free(w);
}

static void read_text(const uint8_t *data, size_t len)
{
	static const char *const names[] = { "ram0", "r" };
	static const uint64_t sizes[] = { PAGES_MAX * GUEST_PAGE, 1ULL << 40 };
	struct guest_cpu cpus[2];
	struct guest_ram ram;
	char *text = malloc(len + 1);

	if (!text)
		return;
	memcpy(text, data, len);
	text[len] = 0;
	if (guest_regs_parse(text, cpus, 2) > 2)
		wrong("more CPUs than there is room for");
	if (guest_ram_parse(text, names, sizes, 2, &ram))
		for (unsigned int i = 0; i < ram.nr; i++)
			if (ram.part[i].region > 1 || !ram.part[i].size ||
			    ram.part[i].offset > sizes[ram.part[i].region] ||
			    ram.part[i].size > sizes[ram.part[i].region] - ram.part[i].offset)
				wrong("RAM outside of its back end");
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!len)
		return 0;
	if (data[0] == 0xff)
		read_text(data + 1, len - 1);
	else
		walk(data, len);
	return 0;
}
