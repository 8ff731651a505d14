// SPDX-License-Identifier: GPL-2.0
/*
 * guest_regs.c - where a QEMU says that its guest's CPUs stand and its RAM is
 */
#include <string.h>

#include "guest_regs.h"

/* exactly @digits lower case hexadecimal ones; NULL: there are none */
static const char *hex(const char *p, unsigned int digits, uint64_t *v)
{
	*v = 0;
	for (; digits; digits--, p++) {
		if (*p >= '0' && *p <= '9')
			*v = *v << 4 | (uint64_t)(*p - '0');
		else if (*p >= 'a' && *p <= 'f')
			*v = *v << 4 | (uint64_t)(*p - 'a' + 10);
		else
			return NULL;
	}
	return p;
}

static const char *line_end(const char *p)
{
	return p + strcspn(p, "\r\n");
}

static const char *next_line(const char *p)
{
	p = line_end(p);
	return p + strspn(p, "\r\n");
}

/* behind @word in what is left of a line, at its beginning or behind a blank */
static const char *behind(const char *line, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = line; p < line_end(line); p++)
		if (!strncmp(p, word, len) && (p == line || p[-1] == ' '))
			return p + len;
	return NULL;
}

enum {
	RIP, RSP, CPL, GS, TR, GDT, IDT, CR0, CR3, CR4, EFER, GPR, NR_WORDS = GPR + GUEST_GPRS
};

/* what @line says, if it is one of those that are wanted; false: it is damaged */
static bool take_line(const char *line, struct guest_cpu *c, unsigned int *seen)
{
	static const struct { const char *word; unsigned int skip, digits; } words[] = {
		[RIP] = { "RIP=", 0, 16 },
		[RSP] = { "RSP=", 0, 16 },
		[CPL] = { "CPL=", 0, 1 },
		[GS] = { "GS =", 5, 16 },	/* behind the selector */
		[TR] = { "TR =", 5, 16 },
		[GDT] = { "GDT=", 5, 16 },	/* behind blanks */
		[IDT] = { "IDT=", 5, 16 },
		[CR0] = { "CR0=", 0, 8 },
		[CR3] = { "CR3=", 0, 16 },
		[CR4] = { "CR4=", 0, 8 },
		[EFER] = { "EFER=", 0, 16 },
		[GPR] = { "RAX=", 0, 16 }, { "RBX=", 0, 16 }, { "RCX=", 0, 16 },
		{ "RDX=", 0, 16 }, { "RSI=", 0, 16 }, { "RDI=", 0, 16 }, { "RBP=", 0, 16 },
		{ "R8 =", 0, 16 }, { "R9 =", 0, 16 }, { "R10=", 0, 16 }, { "R11=", 0, 16 },
		{ "R12=", 0, 16 }, { "R13=", 0, 16 }, { "R14=", 0, 16 }, { "R15=", 0, 16 },
	};
	uint64_t *to[] = {
		[RIP] = &c->rip, [RSP] = &c->rsp, [GS] = &c->gs, [TR] = &c->tr, [GDT] = &c->gdt,
		[IDT] = &c->idt, [CR0] = &c->cr0, [CR3] = &c->cr3, [CR4] = &c->cr4,
		[EFER] = &c->efer,
	};

	for (unsigned int i = 0; i < NR_WORDS; i++) {
		const char *p = behind(line, words[i].word);
		uint64_t v, limit;

		if (!p)
			continue;
		if (*seen & 1U << i || behind(p, words[i].word) ||
		    line_end(p) - p < (int)(words[i].skip + words[i].digits))
			return false;
		p = hex(p + words[i].skip, words[i].digits, &v);
		if (!p)
			return false;
		*seen |= 1U << i;
		if (i >= GPR)
			c->gpr[i - GPR] = v;
		else if (i == CPL)
			c->cpl = v & 3;
		else
			*to[i] = v;
		if (i != IDT)
			continue;
		if (*p != ' ' || !hex(p + 1, 8, &limit))
			return false;
		c->idt_limit = limit;
	}
	return true;
}

unsigned int guest_regs_parse(const char *text, struct guest_cpu *cpus, unsigned int max)
{
	const unsigned int all = (1U << NR_WORDS) - 1;
	unsigned int n = 0, seen = all;

	for (const char *p = text + strspn(text, "\r\n"); *p; p = next_line(p)) {
		if (!strncmp(p, "CPU#", 4)) {
			if (seen != all)
				return 0;
			if (n == max)
				return n;
			cpus[n++] = (struct guest_cpu){ 0 };
			seen = 0;
		} else if (n && !take_line(p, &cpus[n - 1], &seen)) {
			return 0;
		}
	}
	return seen == all ? n : 0;
}

/* "  0000000000100000-0000000007ffffff (prio 0, ram): ram0 @0000000000100000 KVM" */
static bool take_part(const char *p, const char *const *names, const uint64_t *sizes,
		      unsigned int nr, struct guest_ram *ram)
{
	uint64_t first, last, offset = 0;
	size_t len;

	p = hex(p + strspn(p, " "), 16, &first);
	if (!p || *p != '-')
		return false;
	p = hex(p + 1, 16, &last);
	if (!p || strncmp(p, " (prio ", 7) != 0 || last < first)
		return false;
	p += 7;
	p += strspn(p, "-0123456789");
	/* what the guest may only read is RAM as well */
	if (!strncmp(p, ", ram): ", 8) || !strncmp(p, ", rom): ", 8))
		p += 8;
	else
		return true;
	/* as older machine types have it */
	if (!strncmp(p, "/objects/", 9))
		p += 9;
	len = strcspn(p, " \r\n");
	for (unsigned int i = 0; i < nr; i++) {
		if (strlen(names[i]) != len || strncmp(p, names[i], len) != 0)
			continue;
		p += len;
		if (!strncmp(p, " @", 2) && !hex(p + 2, 16, &offset))
			return false;
		if (last - first >= sizes[i] || offset > sizes[i] - (last - first) - 1 ||
		    ram->nr == GUEST_PARTS_MAX)
			return false;
		if (first % GUEST_PAGE || (last + 1) % GUEST_PAGE || offset % GUEST_PAGE)
			return true;
		ram->part[ram->nr].addr = first;
		ram->part[ram->nr].size = last - first + 1;
		ram->part[ram->nr].offset = offset;
		ram->part[ram->nr++].region = i;
		return true;
	}
	return true;
}

bool guest_ram_parse(const char *text, const char *const *names, const uint64_t *sizes,
		     unsigned int nr, struct guest_ram *ram)
{
	bool memory = false, inside = false;

	ram->nr = 0;
	for (const char *p = text + strspn(text, "\r\n"); *p; p = next_line(p)) {
		if (!strncmp(p, "FlatView #", 10)) {
			/* the first that CPUs see is enough: they differ in what is no RAM */
			if (memory && ram->nr)
				return true;
			memory = false;
			inside = false;
			ram->nr = 0;
		} else if (!strncmp(p, " AS \"memory\",", 13)) {
			memory = true;
		} else if (!strncmp(p, " Root memory region:", 20)) {
			inside = memory;
		} else if (inside && !strncmp(p, "  ", 2) &&
			   !take_part(p, names, sizes, nr, ram)) {
			ram->nr = 0;
			return false;
		}
	}
	return memory && ram->nr;
}
