// SPDX-License-Identifier: GPL-2.0
/* what a process has mapped: maps.c */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "maps.h"
#include "tap.h"

static const char text[] =
"00400000-00401000 r--p 00000000 fe:01 100 /usr/bin/vmm\n"
"00401000-00402000 r-xp 00001000 fe:01 100 /usr/bin/vmm\n"
"01000000-01100000 rw-p 00000000 00:00 0 [heap]\n"
"7f0000000000-7f0040000000 rw-s 00000000 00:05 7 /memfd:ram0 (deleted)\n"
"7f0040000000-7f0060000000 rw-s 40000000 00:05 7 /memfd:ram0 (deleted)\n"
"7f0080000000-7f00a0000000 rw-s 60000000 00:05 7 /memfd:ram0 (deleted)\n"
"7f00f0000000-7f0110000000 rw-p 00000000 00:00 0 \n"
"7f0110000000-7f0120000000 rw-p 00000000 00:00 0 \n"
"7f0120000000-7f0121000000 ---p 00000000 00:00 0 \n"
"7f0130000000-7f0140000000 rw-p 00000000 00:00 0 [anon:named by the VMM]\n"
"7f0200000000-7f0200010000 rw-s 00000000 00:05 8 /dev/shm/twice\n"
"7f0210000000-7f0210010000 rw-s 00000000 00:05 8 /dev/shm/twice\n"
"7f0220000000-7f0220010000 ---s 00000000 00:05 9 /dev/shm/closed\n"
"7f0230000000-7f0230010000 rw-s 00000000 00:05 10 /a/disk image\n"
"7f0240000000-7f0240010000 rw-s 00000000 00:05 11 /b/disk image\n"
"7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0 [stack]\n";

static struct maps maps;

static void found(const char *pattern, int want_err, size_t want_n, uint64_t first)
{
	const struct map **v;
	size_t n;
	int err = maps_find(&maps, pattern, &v, &n);

	if (!tap_ok(err == want_err && n == want_n && (!n || v[0]->start == first), "find %s",
		    pattern))
		tap_note("%d: %zu", err, n);
	free(v);
}

static int parse(const char *s, struct maps *out)
{
	FILE *f = fmemopen((char *)s, strlen(s), "r");
	int err = maps_parse(f, out);

	fclose(f);
	return err;
}

int main(void)
{
	static const char *const bad[] = {
		"x\n", "00400000 r--p 00000000 fe:01 100 /a\n", "2-1 r--p 00000000 fe:01 100 /a\n",
		"1-2 r--p 0 fe:01\n",
	};
	struct maps other;

	tap_ok(!parse(text, &maps) && maps.n == 15, "neighbours of one kind are one");
	tap_ok(maps.n > 3 && maps.v[3].end == 0x7f0060000000 && !maps.v[3].offset, "of a file");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_ok(parse(bad[i], &other) == -EBADMSG && !other.n, "no maps %zu", i);

	found("[heap]", 0, 1, 0x1000000);
	found("ram0", 0, 2, 0x7f0000000000);
	found("/memfd:ram0", 0, 2, 0x7f0000000000);
	found("/memfd:ram0 (deleted)", 0, 2, 0x7f0000000000);
	found("ram", -ENOENT, 0, 0);
	found("", -ENOENT, 0, 0);
	found("anon:LARGEST", 0, 1, 0x7f00f0000000);
	found("anon:smallest", -ENOENT, 0, 0);
	found("[anon:named by the VMM]", 0, 1, 0x7f0130000000);
	found("vmm", 0, 2, 0x400000);
	found("/usr/bin/vmm", 0, 2, 0x400000);
	found("/dev/shm/twice", -ENOTUNIQ, 2, 0x7f0200000000);
	found("closed", -ENOENT, 0, 0);
	found("disk image", -ENOTUNIQ, 2, 0x7f0230000000);
	found("/b/disk image", 0, 1, 0x7f0240000000);
	maps_free(&maps);

	tap_ok(!maps_read(getpid(), &maps), "our own");
	maps_free(&maps);
	tap_ok(maps_read(0, &maps) == -ENOENT, "no process");
	return tap_done();
}
