// SPDX-License-Identifier: GPL-2.0
/* what QEMU says of its guest's CPUs and RAM: guest_regs.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest_regs.h"
#include "tap.h"

#define CPU0 "CPU#0\r\n" \
	"RAX=0000000000000001 RBX=0000000000000002 RCX=0000000000000003 RDX=0000000000000004\r\n" \
	"RSI=0000000000000005 RDI=0000000000000006 RBP=ffff888007ef5ec8 RSP=ffffffff82c03e40\r\n" \
	"R8 =0000000000000008 R9 =0000000000000009 R10=ffffffff82c03ce0 R11=ffffffff82ccc0c8\r\n" \
	"R12=ffff888007ef5ec0 R13=0000000000000000 R14=0000000000000000 R15=000000000000000f\r\n" \
	"RIP=ffffffff810033c8 RFL=00000246 [---Z-P-] CPL=3 II=0 A20=1 SMM=0 HLT=0\r\n" \
	"ES =0000 0000000000000000 00000000 00000000\r\n" \
	"CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]\r\n" \
	"FS =0000 0000000000000000 00000000 00000000\r\n" \
	"GS =0000 ffff888007a00000 00000000 00000000\r\n" \
	"LDT=0000 0000000000000000 00000000 00008200 DPL=0 LDT\r\n" \
	"TR =0040 fffffe0000003000 00004087 00008900 DPL=0 TSS64-avl\r\n" \
	"GDT=     fffffe0000001000 0000007f\r\n" \
	"IDT=     fffffe0000000000 00000fff\r\n" \
	"CR0=80050033 CR2=ffff888003c00000 CR3=0000000002c22000 CR4=000100b0\r\n" \
	"DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000000 \r\n" \
	"EFER=0000000000000d01\r\n" \
	"FCW=037f FSW=0000 [ST=0] FTW=00 MXCSR=00001f80\r\n" \
	"XMM00=0000000000000000 0000000000000000 XMM01=0000000000000000 0000000000000000\r\n"

static unsigned int parse(const char *text, struct guest_cpu *c, unsigned int max)
{
	memset(c, 0xff, sizeof(*c) * max);
	return guest_regs_parse(text, c, max);
}

static char *replaced(const char *text, const char *what, const char *with)
{
	const char *at = strstr(text, what);
	char *s = calloc(1, strlen(text) + strlen(with) + 1);

	if (!s || !at)
		exit(TAP_FAIL);
	memcpy(s, text, at - text);
	strcat(s, with);
	strcat(s, at + strlen(what));
	return s;
}

static void registers(void)
{
	static const char cpu0[] = "\r\n" CPU0;
	struct guest_cpu c[3];
	char *two;

	tap_ok(parse(cpu0, c, 3) == 1 && c[0].rip == 0xffffffff810033c8 && c[0].rsp == 0xffffffff82c03e40 &&
	       c[0].cpl == 3 && c[0].gs == 0xffff888007a00000 && c[0].tr == 0xfffffe0000003000 &&
	       c[0].gdt == 0xfffffe0000001000 && !(c[0].idt - 0xfffffe0000000000) && c[0].idt_limit == 0xfff &&
	       c[0].cr0 == 0x80050033 && c[0].cr3 == 0x2c22000 && c[0].cr4 == 0x100b0 && c[0].efer == 0xd01 &&
	       c[0].gpr[0] == 1 && c[0].gpr[6] == 0xffff888007ef5ec8 && c[0].gpr[7] == 8 && c[0].gpr[14] == 15,
	       "all of a CPU is read");
	two = calloc(1, 2 * sizeof(cpu0));
	if (!two)
		exit(TAP_FAIL);
	strcat(strcat(two, cpu0), cpu0);
	memcpy(strstr(two + sizeof(cpu0) - 1, "RIP="), "RIP=1234", 8);
	tap_ok(parse(two, c, 3) == 2 && c[0].rip == 0xffffffff810033c8 && c[1].rip == 0x1234ffff810033c8,
	       "each CPU by itself");
	tap_ok(parse(two, c, 1) == 1, "no more of them than wanted");
	free(two);
}

static void bad_registers(void)
{
	static const char cpu0[] = "\r\n" CPU0;
	static const struct { const char *what, *from, *to; } t[] = {
		{ "32 bits", "RIP=ffffffff810033c8", "EIP=810033c8" },
		{ "no CR3", "CR3=", "CRX=" },
		{ "twice the same", "CR2=", "CR3=" },
		{ "a number too short", "RSP=ffffffff82c03e40", "RSP=82c03e40" },
		{ "a letter", "RSP=ffffffff8", "RSP=fffffffg8" },
		{ "upper case", "RSP=ffffffff8", "RSP=FFFFFFFF8" },
		{ "a sign", "RSP=ffff", "RSP=-fff" },
		{ "no limit of the IDT", " 00000fff", "" },
		{ "a line that ends", "GS =0000 ffff888007a00000 00000000 00000000", "GS =0000 ffff" },
		{ "no CPU at all", "CPU#0", "cpu 0" },
	};
	struct guest_cpu c[2];
	unsigned int n = 0;
	char *s;

	tap_ok(!parse("", c, 2) && !parse("\r\n\r\n", c, 2) && !parse("CPU#0\r\nCPU#1\r\n", c, 2) &&
	       !parse("CPU#0", c, 2) && !parse("this is not supported", c, 2), "refused: nothing, something else");
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		s = replaced(cpu0, t[i].from, t[i].to);
		tap_ok(!parse(s, c, 2), "refused: %s", t[i].what);
		free(s);
	}
	s = strdup(cpu0);
	for (size_t i = sizeof(cpu0) - 1; s && i; i--) {
		s[i] = 0;
		n += parse(s, c, 2) > 1;
	}
	free(s);
	tap_ok(!n, "cut off anywhere it is no more than it was");
}

#define VIEW(root) "FlatView #1\r\n AS \"memory\", root: system\r\n AS \"cpu-memory-0\", root: system\r\n" \
	" Root memory region: " root "\r\n"
#define IO	"FlatView #0\r\n AS \"I/O\", root: io\r\n Root memory region: io\r\n" \
	"  0000000000000000-000000000000ffff (prio 0, ram): ram0\r\n\r\n"

static const char *const names[] = { "ram0", "ram1" };
static const uint64_t sizes[] = { 5ULL << 30, 1ULL << 30 };

static bool ram_of(const char *text, struct guest_ram *r)
{
	memset(r, 0xff, sizeof(*r));
	return guest_ram_parse(text, names, sizes, 2, r);
}

static bool part_is(const struct guest_ram *r, unsigned int i, uint64_t addr, uint64_t size, uint64_t offset,
		    unsigned int region)
{
	return r->nr > i && r->part[i].addr == addr && r->part[i].size == size && r->part[i].offset == offset &&
	       r->part[i].region == region;
}

static void layout(void)
{
	struct guest_ram r;

	tap_ok(ram_of(IO VIEW("system")
		      "  0000000000000000-00000000000bffff (prio 0, ram): ram0 KVM\r\n"
		      "  00000000000a0000-00000000000affff (prio 1, i/o): vga ram0 @0000\r\n"
		      "  00000000000c0000-00000000000cafff (prio 0, rom): ram0 @00000000000c0000 KVM\r\n"
		      "  00000000000f0000-00000000000fffff (prio 0, ram): pc.bios\r\n"
		      "  0000000100000000-000000017fffffff (prio 0, ram): ram0 @0000000080000000 KVM\r\n"
		      "  0000000180000000-00000001bfffffff (prio -1000, ram): /objects/ram1\r\n"
		      "\r\nFlatView #2\r\n AS \"other\", root: x\r\n Root memory region: x\r\n"
		      "  0000000000000000-000000000000ffff (prio 0, ram): ram1\r\n", &r) &&
	       r.nr == 4 && part_is(&r, 0, 0, 0xc0000, 0, 0) && part_is(&r, 1, 0xc0000, 0xb000, 0xc0000, 0) &&
	       part_is(&r, 2, 1ULL << 32, 2ULL << 30, 2ULL << 30, 0) && part_is(&r, 3, 6ULL << 30, 1ULL << 30, 0, 1),
	       "RAM below the hole and above it, of both back ends");
	tap_ok(ram_of(VIEW("system") "  0000000000000000-0000000000000fff (prio 0, ram): ram00\r\n"
		      "  0000000000001000-0000000000001fff (prio 0, ram): ram1\r\n", &r) && r.nr == 1 &&
	       r.part[0].region == 1, "a name is that as a whole");
	tap_ok(ram_of(VIEW("system") "  0000000000000000-00000000000007ff (prio 0, ram): ram0\r\n"
		      "  0000000000001000-0000000000001fff (prio 0, ram): ram1\r\n", &r) && r.nr == 1,
	       "what is no whole page is left out");
	tap_ok(!ram_of("", &r) && !ram_of(IO, &r) && !ram_of(VIEW("system"), &r), "refused: none there is");
	tap_ok(!ram_of(VIEW("system") "  0000000000000000-000000013fffffff (prio 0, ram): ram0 @0000000000001000\r\n", &r),
	       "refused: more than the back end has");
	tap_ok(!ram_of(VIEW("system") "  0000000000000000-0000000000000fff (prio 0, ram): ram0 @fffffffffffff000\r\n", &r) &&
	       !ram_of(VIEW("system") "  0000000000000000-0000000000000fff (prio 0, ram): ram0 @000000013ffff001\r\n", &r),
	       "refused: behind its end");
	tap_ok(!ram_of(VIEW("system") "  0000000000000000-ffffffffffffffff (prio 0, ram): ram0\r\n", &r),
	       "refused: everything");
	tap_ok(!ram_of(VIEW("system") "  0000000000002000-0000000000000fff (prio 0, ram): ram0\r\n", &r),
	       "refused: an end before its beginning");
	tap_ok(!ram_of(VIEW("system") "  0000-0fff (prio 0, ram): ram0\r\n", &r) &&
	       !ram_of(VIEW("system") "  0000000000000000-0000000000000fff ram0\r\n", &r) &&
	       !ram_of(VIEW("system") "  0000000000000000-0000000000000fff (prio 0, ram): ram0 @12\r\n", &r),
	       "refused: another way of writing it");
}

static void many_parts(void)
{
	static char text[8192] = VIEW("system");
	struct guest_ram r;
	size_t at;

	for (unsigned int i = 0; i < GUEST_PARTS_MAX; i++) {
		at = strlen(text);
		snprintf(text + at, sizeof(text) - at, "  %016x-%016x (prio 0, ram): ram0\n", i * 0x2000,
			 i * 0x2000 + 0xfff);
	}
	tap_ok(ram_of(text, &r) && r.nr == GUEST_PARTS_MAX, "as many parts as there is room for");
	at = strlen(text);
	snprintf(text + at, sizeof(text) - at, "  00000000f0000000-00000000f0000fff (prio 0, ram): ram0\n");
	tap_ok(!ram_of(text, &r), "refused: more than that");
}

int main(void)
{
	registers();
	bad_registers();
	layout();
	many_parts();
	return tap_done();
}
