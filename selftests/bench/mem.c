// SPDX-License-Identifier: GPL-2.0
/*
 * mem.c - how much memory the kernel uses for itself, to the page
 *
 *	bench-mem		bytes
 *	bench-mem LESS...	the same, with what was said before subtracted
 *
 * That is what the buddy allocator has given away, less what lies in the
 * allocator's own per-CPU lists, which MemFree counts as used: they hold megabytes
 * and come and go; less the pages of files and of processes, page tables and kernel
 * stacks, which depend on what happens to run; and less the nodes of the page
 * cache's trees. The pages of a region are pages of a file, so what is left of a
 * region is what it needs beyond them.
 * Before looking, caches that can be dropped are dropped and empty slabs are given
 * back, so that it shows what is needed, not what was left lying about.
 */
#include <glob.h>

#include "bench.h"

static void write_file(const char *path, const char *s)
{
	int fd = open(path, O_WRONLY);

	/* not each slab can be shrunk, and not each kernel has all of this */
	if (fd < 0 || write(fd, s, strlen(s)) < 0)
		errno = 0;
	if (fd >= 0)
		close(fd);
}

static void settle(void)
{
	const struct timespec grace = { .tv_nsec = 200000000 };
	glob_t slabs;

	for (int i = 0; i < 2; i++) {
		sync();
		write_file("/proc/sys/vm/drop_caches", "3");
		/* what RCU frees and what works free later */
		nanosleep(&grace, NULL);
	}
	if (glob("/sys/kernel/slab/*/shrink", 0, NULL, &slabs))
		return;
	for (size_t i = 0; i < slabs.gl_pathc; i++)
		write_file(slabs.gl_pathv[i], "1");
	globfree(&slabs);
	nanosleep(&grace, NULL);
}

/* "NAME VALUE" of /proc/vmstat, in pages */
static long pages_of_others(void)
{
	FILE *f = fopen("/proc/vmstat", "r");
	char name[64];
	long n = 0, v;

	if (!f)
		err(1, "/proc/vmstat");
	while (fscanf(f, "%63s %ld", name, &v) == 2) {
		if (!strcmp(name, "nr_anon_pages") || !strcmp(name, "nr_file_pages") ||
		    !strcmp(name, "nr_page_table_pages"))
			n += v;
		else if (!strcmp(name, "nr_kernel_stack"))
			n += v * 1024 / (long)PAGE;
	}
	fclose(f);
	return n;
}

/* Whole slabs, which other users share: whose a page is is a matter of chance. */
static long pages_of_trees(void)
{
	FILE *f = fopen("/proc/slabinfo", "r");
	long per_slab, slabs, pages = 0;
	char line[512];

	if (!f)
		err(1, "/proc/slabinfo");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "radix_tree_node %*d %*d %*d %*d %ld : tunables %*d %*d %*d"
			   " : slabdata %*d %ld", &per_slab, &slabs) == 2)
			pages = per_slab * slabs;
	fclose(f);
	if (!pages)
		errx(1, "/proc/slabinfo has no radix_tree_node");
	return pages;
}

/* pages managed, less pages free in the zones and in their per-CPU lists */
static long pages_used(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	long managed = 0, free = 0, v;
	char line[256];

	if (!f)
		err(1, "/proc/zoneinfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " managed %ld", &v) == 1)
			managed += v;
		else if (sscanf(line, " nr_free_pages %ld", &v) == 1)
			free += v;
		else if (sscanf(line, " count: %ld", &v) == 1)
			free += v;
	}
	fclose(f);
	return managed - free;
}

int main(int argc, char **argv)
{
	long long used = 0;

	settle();
	/* The first round takes memory for itself. */
	for (int i = 0; i < 2; i++) {
		/* counters of the CPUs into those that are read */
		write_file("/proc/sys/vm/stat_refresh", "1");
		used = pages_used() - pages_of_others() - pages_of_trees();
	}
	used *= (long long)PAGE;
	for (int i = 1; i < argc; i++)
		used -= (long long)number(argv[i]);
	printf("%lld\n", used);
	return 0;
}
