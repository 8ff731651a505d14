// SPDX-License-Identifier: GPL-2.0
/*
 * extents.c - what it costs to tell the module which file has which page
 *
 *	bench-extents REGION batch|single NR [follow] [plain]
 *
 * NR extents of one page and its digest, none beside the next one of its file, for the first
 * NR pages of REGION, which was never touched. batch: as many in a message as fit, single: one;
 * follow: each is what follows the one before in its file; plain: without digests. The file is
 * a memfd that nobody reads. Prints "ns", for all of them.
 */
#include "bench.h"
#include "genl.h"

#define BATCH	4096

/* in an order that is not that of the file, each once: @nr is a power of 2 */
static uint64_t block_of(uint64_t page, uint64_t nr)
{
	return page * 7919 & (nr - 1);
}

int main(int argc, char **argv)
{
	static uint8_t digests[BATCH][TELEPAGE_DIGEST_SIZE];
	static struct tp_extent e[BATCH];
	uint64_t nr, i, k, n, ns = 0, t;
	struct tp_nl *nl;
	bool single, follow = false, plain = false;
	int fd;

	if (argc < 4 || (strcmp(argv[2], "batch") != 0 && strcmp(argv[2], "single") != 0))
		errx(2, "usage: bench-extents REGION batch|single NR [follow] [plain]");
	single = !strcmp(argv[2], "single");
	nr = number(argv[3]);
	for (fd = 4; fd < argc; fd++) {
		follow |= !strcmp(argv[fd], "follow");
		plain |= !strcmp(argv[fd], "plain");
	}
	if (!nr || nr & (nr - 1))
		errx(2, "%s is no power of 2", argv[3]);
	fd = memfd_create("file", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, nr * PAGE) || tp_nl_open(&nl))
		err(1, "memfd, netlink");
	for (i = 0; i < nr; i += n) {
		n = nr - i < BATCH ? nr - i : BATCH;
		for (k = 0; k < n; k++) {
			memcpy(digests[k], &(uint64_t){ i + k + 1 }, sizeof(uint64_t));
			e[k] = (struct tp_extent){ .start = i + k, .count = 1,
						   .offset = (follow ? i + k :
							      block_of(i + k, nr)) * PAGE,
						   .digests = plain ? NULL : digests[k] };
		}
		t = now_ns();
		for (k = 0; k < n; k += single ? 1 : n)
			if (tp_region_origin(nl, argv[1], fd, &e[k], single ? 1 : n, false, false))
				errx(1, "%s: %s", argv[1], tp_nl_error(nl));
		ns += now_ns() - t;
	}
	printf("ns %llu\n", (unsigned long long)ns);
	tp_nl_close(nl);
	return 0;
}
