// SPDX-License-Identifier: GPL-2.0
/* seeds_guest.c - inputs for guest.c to begin with: a small kernel, and words of QEMU */
#include <stdio.h>
#include <string.h>

#include "guest_walk.h"

#define BASE	0xffffffff80000000ULL	/* all of RAM, executable; and the page before, not */

static uint8_t mem[16][GUEST_PAGE];

static void put(unsigned int page, unsigned int at, uint64_t v)
{
	memcpy(mem[page] + at, &v, sizeof(v));
}

static int save(const char *dir, const char *name, const void *a, size_t na, const void *b, size_t nb,
		unsigned char first)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	if (!f || fputc(first, f) == EOF || fwrite(a, 1, na, f) != na || fwrite(b, 1, nb, f) != nb)
		return 1;
	return fclose(f) != 0;
}

static int kernel(const char *dir, bool five)
{
	struct guest_cpu cpus[2] = { { .cr0 = 1ULL << 31, .efer = 1ULL << 10, .idt_limit = 4095 } };
	unsigned int root = five ? 5 : 1;

	memset(mem, 0, sizeof(mem));
	put(5, 511 * 8, 1 * GUEST_PAGE | 3);
	put(1, 511 * 8, 2 * GUEST_PAGE | 3);
	put(2, 510 * 8, 3 * GUEST_PAGE | 3);
	put(3, 0, 4 * GUEST_PAGE | 3);
	put(3, 8, 0 | 0x83 | 1ULL << 63);
	for (unsigned int i = 0; i < 16; i++)
		put(4, i * 8, i * GUEST_PAGE | 3 | (i > 11 ? 1ULL << 63 : 0));
	/* code that calls, jumps, looks at data; a gate; a stack; the CPU's own data */
	memcpy(mem[8] + 16, "\xe8\x00\x10\x00\x00\x48\x8b\x05\x00\x40\x00\x00\x48\xc7\xc7\x00\xd0\x00\x80"
	       "\xe9\xf0\xef\xff\xff\xcc\xcc\xcc\xcc", 28);
	put(6, 14 * 16, 0x80000000ULL << 32 | 0x8eULL << 40 | 0x8010);
	put(6, 14 * 16 + 8, 0xffffffff);
	put(12, 0x800, BASE + 0x8020);
	put(12, 0x808, BASE + 0xd000);
	put(13, 8, BASE + 0xe008);
	put(14, 16, BASE + 0x9000);
	cpus[0].cr3 = root * GUEST_PAGE;
	cpus[0].cr4 = five ? 1 << 12 : 0;
	cpus[0].rip = BASE + 0x8010;
	cpus[0].rsp = BASE + 0xc800;
	cpus[0].idt = BASE + 0x6000;
	cpus[0].gdt = BASE + 0x7000;
	cpus[0].tr = BASE + 0x7800;
	cpus[0].gs = BASE + 0xd000;
	cpus[1] = cpus[0];
	cpus[1].cpl = 3;
	cpus[1].gs = 0;
	return save(dir, five ? "kernel5" : "kernel4", cpus, sizeof(cpus), mem, sizeof(mem), 15);
}

int main(int argc, char **argv)
{
	static const char regs[] = "CPU#0\r\n"
		"RAX=0000000000000001 RBX=0000000000000002 RCX=0000000000000003 RDX=0000000000000004\r\n"
		"RSI=0000000000000005 RDI=0000000000000006 RBP=ffff888007ef5ec8 RSP=ffffffff82c03e40\r\n"
		"R8 =0000000000000008 R9 =0000000000000009 R10=ffffffff82c03ce0 R11=ffffffff82ccc0c8\r\n"
		"R12=ffff888007ef5ec0 R13=0000000000000000 R14=0000000000000000 R15=000000000000000f\r\n"
		"RIP=ffffffff810033c8 RFL=00000246 [---Z-P-] CPL=3 II=0 A20=1 SMM=0 HLT=0\r\n"
		"GS =0000 ffff888007a00000 00000000 00000000\r\n"
		"TR =0040 fffffe0000003000 00004087 00008900 DPL=0 TSS64-avl\r\n"
		"GDT=     fffffe0000001000 0000007f\r\nIDT=     fffffe0000000000 00000fff\r\n"
		"CR0=80050033 CR2=ffff888003c00000 CR3=0000000002c22000 CR4=000100b0\r\n"
		"EFER=0000000000000d01\r\n";
	static const char ram[] = "FlatView #1\r\n AS \"memory\", root: system\r\n"
		" Root memory region: system\r\n"
		"  0000000000000000-00000000000bffff (prio 0, ram): r KVM\r\n"
		"  00000000000c0000-00000000000cafff (prio 0, rom): r @00000000000c0000 KVM\r\n"
		"  0000000100000000-000000017fffffff (prio 0, ram): /objects/r @0000000080000000\r\n";

	if (argc != 2 || kernel(argv[1], false) || kernel(argv[1], true) ||
	    save(argv[1], "regs", regs, sizeof(regs) - 1, "", 0, 0xff) ||
	    save(argv[1], "ram", ram, sizeof(ram) - 1, "", 0, 0xff))
		return 1;
	return 0;
}
