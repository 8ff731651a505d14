// SPDX-License-Identifier: GPL-2.0
/*
 * cycle.c - a bit of everything, for module.test: each round after a new load
 *
 *	tk-cycle all		a teleport and more; leaves nothing but the mount
 *	tk-cycle hold WHAT	makes WHAT, says "held", and waits for its stdin to end:
 *				region, open, mapped, link, lane, export
 *	tk-cycle busy		makes and deletes a region until it is killed, also while
 *				there is no module
 */
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tk.h"

#define NR	2048UL

static int all(void)
{
	uint8_t bits[NR / 8], *map;
	struct tk_pair p;
	uint32_t id;
	int fd;

	tk_pair_open(&p, 2, false);
	tk_new("s", NR);
	tk_fill("s", 0, NR, 1);
	tk_ok(tp_region_dirty(tk_nl, "s", 0, NR, true, bits), "dirty");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_import(&p, "s", "d", true);
	map = tk_map("d", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	if (tk_wrong(map, 0, NR, 1) || !tk_wait_state("d", TELEPAGE_REGION_LOCAL))
		tk_die("the region is wrong");
	memset(map, 1, NR * TK_PAGE / 2);
	fd = tk_open("d", O_RDWR);
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 100 * TK_PAGE);
	close(fd);
	tk_unmap(map, NR);
	tk_import_end("s", "d");

	/* memory of a process, which is this one */
	map = mmap(NULL, NR * TK_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(map, 1, NR * TK_PAGE / 2);
	tk_ok(tp_export_new_pid(tk_nl, "s", "", getpid(), -1,
				&(struct tp_range){ (uintptr_t)map, NR * TK_PAGE }, 1), "export");
	tk_ok(tp_export_serve(tk_nl, "s", p.src, &id), "serve");
	tk_new("d", NR);
	tk_ok(tp_region_import(tk_nl, "d", p.dst, id, true), "import");
	if (!tk_wait_state("d", TELEPAGE_REGION_LOCAL))
		tk_die("the region of a process is wrong");
	madvise(map, NR * TK_PAGE, MADV_DONTNEED);
	munmap(map, NR * TK_PAGE);
	tk_del("d");
	tk_ok(tp_export_del(tk_nl, "s"), "release");

	/* and one that is given up with demands and a broken lane in flight */
	tk_new("s", NR);
	tk_fill("s", 0, NR, 1);
	tk_import(&p, "s", "d", false);
	map = tk_map("d", NR, PROT_READ, MAP_SHARED);
	madvise(map, NR * TK_PAGE, MADV_WILLNEED);
	fd = tk_fork((int (*)(void *))(void *)tk_load, map);
	tk_until(tk_stat("d").stats.demand_sent);
	tk_pair_detach(&p, 0);
	kill(fd, SIGKILL);
	tk_reap(fd);
	tk_unmap(map, NR);
	tk_import_end("s", "d");
	tk_pair_close(&p);
	return 0;
}

static int hold(const char *what)
{
	uint32_t link;
	int fd, sv[2];
	char c;

	if (!strcmp(what, "region") || !strcmp(what, "open") || !strcmp(what, "mapped"))
		tk_new("h", 16);
	if (!strcmp(what, "open"))
		tk_open("h", O_RDONLY);
	if (!strcmp(what, "mapped"))
		tk_map("h", 16, PROT_READ, MAP_SHARED);
	if (!strcmp(what, "link") || !strcmp(what, "lane"))
		tk_ok(tp_link_new(tk_nl, "", &link), "link");
	if (!strcmp(what, "lane")) {
		tk_tcp_pair(sv, false);
		tk_ok(tp_lane_attach(tk_nl, link, 1, sv[0]), "attach");
	}
	if (!strcmp(what, "export")) {
		fd = memfd_create("x", 0);
		if (ftruncate(fd, TK_PAGE))
			tk_die("memfd: %m");
		tk_ok(tp_export_new_fd(tk_nl, "h", fd, 0, 0), "export");
	}
	if (!strcmp(what, "process"))
		tk_ok(tp_export_new_pid(tk_nl, "h", "", getpid(), -1,
					&(struct tp_range){ (uintptr_t)what & -TK_PAGE, TK_PAGE },
					1), "export");
	puts("held");
	while (read(0, &c, 1) > 0)
		;
	return 0;
}

/* Whatever comes of it: each may meet the end of the module, which nothing else holds. */
static void __attribute__((noreturn)) busy(void)
{
	struct tp_nl *nl;

	for (;;) {
		if (tp_nl_open(&nl))
			continue;
		while (!tp_region_new(nl, "busy", TK_PAGE, 0600, 0, 0, NULL) &&
		       !tp_region_del(nl, "busy"))
			;
		tp_nl_close(nl);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "busy"))
		busy();
	tk_init();
	if (argc == 3 && !strcmp(argv[1], "hold"))
		return hold(argv[2]);
	return all();
}
