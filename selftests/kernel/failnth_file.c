// SPDX-License-Identifier: GPL-2.0
/*
 * failnth_file.c - regions as files, and the module, while memory runs out; see failnth.h
 *
 * Three regions of the same size: "fn-hole" is zero, "fn-own" has content, "fn-far" gets
 * the same from a peer. Each attempt has a page of its own in each of them, so that it is
 * always the first to touch it.
 */
#include <dirent.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "failnth.h"

#define PAGES	4096UL
#define SEED	9
#define PLACE	"/run/failnth"
#define AT	1000UL		/* what a write or discard of a part of a page begins at */
#define PART	100UL
#define BYTE	0xa5
#define FAR_OFF	0x200000000000UL

static int fd;
static uint8_t *map;
static uint8_t page[TK_PAGE], part[PART];
static ssize_t got;
static unsigned long next_page;

static int result(ssize_t n)
{
	got = n;
	return n < 0 ? -errno : 0;
}

/* ---- what is done to a page ---- */

static const char *region;

static void open_it(unsigned long i)
{
	fd = tk_open(region, O_RDWR);
}

/* where nothing is mapped nearby: page tables are allocated as well */
static void map_as(unsigned long i, int flags)
{
	open_it(i);
	map = mmap((void *)(FAR_OFF + (i << 30)), TK_PAGE, PROT_READ | PROT_WRITE,
		   flags | MAP_FIXED_NOREPLACE, fd, i * TK_PAGE);
	if (map == MAP_FAILED)
		tk_die("mmap: %m");
}

static void map_it(unsigned long i)
{
	map_as(i, MAP_SHARED);
}

static void map_private(unsigned long i)
{
	map_as(i, MAP_PRIVATE);
}

static bool has_content(void)
{
	return strcmp(region, "fn-hole") != 0;
}

/* the page as the region has it when @n bytes of @with were put at @at */
static bool is_now(unsigned long i, size_t at, size_t n, uint8_t with)
{
	uint8_t want[TK_PAGE] = { }, have[TK_PAGE];
	int own = tk_open(region, O_RDONLY);
	bool good;

	if (has_content())
		tk_page(want, SEED, i);
	memset(want + at, with, n);
	good = pread(own, have, TK_PAGE, i * TK_PAGE) == TK_PAGE && !memcmp(want, have, TK_PAGE);
	close(own);
	return good;
}

static bool close_it(void)
{
	if (map)
		munmap(map, TK_PAGE);
	map = NULL;
	return !close(fd);
}

static int load(unsigned long i)
{
	int v = tk_load(map);

	return v < 0 ? v : 0;
}

static int store(unsigned long i)
{
	return tk_store(map, BYTE);
}

static int populate(unsigned long i)
{
	return result(madvise(map, TK_PAGE, MADV_POPULATE_WRITE));
}

static int read_it(unsigned long i)
{
	return result(pread(fd, page, TK_PAGE, i * TK_PAGE));
}

static int write_it(unsigned long i)
{
	return result(pwrite(fd, part, PART, i * TK_PAGE + AT));
}

static int punch(unsigned long i)
{
	return result(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, i * TK_PAGE,
				TK_PAGE));
}

static int punch_part(unsigned long i)
{
	return result(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, i * TK_PAGE + AT,
				PART));
}

static int allocate(unsigned long i)
{
	return result(fallocate(fd, 0, i * TK_PAGE, TK_PAGE));
}

static int seek(unsigned long i)
{
	return lseek(fd, i * TK_PAGE, SEEK_DATA) < 0 && errno != ENXIO ? -errno : 0;
}

static bool loaded(unsigned long i, int err)
{
	/* what is mapped now is what the region has */
	bool good = has_content() ? tk_is_page(map, SEED, i) : tk_is_zero(map, TK_PAGE);

	return close_it() && good && is_now(i, 0, 0, 0);
}

static bool stored(unsigned long i, int err)
{
	uint8_t bit = 0;
	bool good = true;

	close_it();
	tk_ok(tp_region_dirty(tk_nl, region, i, 1, false, &bit), "dirty");
	if (!err)
		good = bit & 1;
	return good && is_now(i, 0, !err, BYTE);
}

static bool stored_private(unsigned long i, int err)
{
	bool good = err || *map == BYTE;

	return close_it() && good && is_now(i, 0, 0, 0);
}

static bool was_read(unsigned long i, int err)
{
	uint8_t want[TK_PAGE] = { };

	if (has_content())
		tk_page(want, SEED, i);
	return close_it() && (err || (got && !memcmp(page, want, got))) && is_now(i, 0, 0, 0);
}

static bool written(unsigned long i, int err)
{
	return close_it() && is_now(i, AT, err ? 0 : got, BYTE);
}

static bool punched(unsigned long i, int err)
{
	return close_it() && ((err && is_now(i, 0, 0, 0)) || is_now(i, 0, TK_PAGE, 0));
}

static bool punched_part(unsigned long i, int err)
{
	return close_it() && ((err && is_now(i, 0, 0, 0)) || is_now(i, AT, PART, 0));
}

static bool same(unsigned long i, int err)
{
	return close_it() && is_now(i, 0, 0, 0);
}

/* ---- what is done to files ---- */

static void none(unsigned long i)
{
}

static int do_mount(unsigned long i)
{
	return result(mount("telepage", PLACE, "telepage", 0, NULL));
}

static bool mounted(unsigned long i, int err)
{
	return err ? umount(PLACE) && errno == EINVAL : !umount(PLACE);
}

static void be_mounted(unsigned long i)
{
	if (mount("telepage", PLACE, "telepage", 0, NULL))
		tk_die("mount: %m");
}

static int do_umount(unsigned long i)
{
	return result(umount(PLACE));
}

static bool unmounted(unsigned long i, int err)
{
	return !err || !umount(PLACE);
}

static int do_open(unsigned long i)
{
	fd = open(PLACE "/fn-own", O_RDWR | O_CLOEXEC);
	return result(fd);
}

/* a mount of its own, whose names nobody has looked up yet */
static bool opened(unsigned long i, int err)
{
	bool good = true;

	if (!err)
		good = close_it() && is_now(i, 0, 0, 0);
	return tk_until(!umount(PLACE)) && good;
}

static int do_list(unsigned long i)
{
	uint8_t names[1024];
	int err;

	fd = open(PLACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = result(syscall(SYS_getdents64, fd, names, sizeof(names)));
	close(fd);
	return err;
}

static bool listed(unsigned long i, int err)
{
	return tk_until(!umount(PLACE));
}

static int do_mmap(unsigned long i)
{
	map = mmap(NULL, TK_PAGE, PROT_READ, MAP_SHARED, fd, i * TK_PAGE);
	if (map != MAP_FAILED)
		return 0;
	map = NULL;
	return -errno;
}

static void map_three(unsigned long i)
{
	open_it(i);
	map = mmap(NULL, 3 * TK_PAGE, PROT_READ, MAP_SHARED, fd, i * TK_PAGE);
	if (map == MAP_FAILED)
		tk_die("mmap: %m");
	tk_load(map);
}

static int unmap_middle(unsigned long i)
{
	return result(munmap(map + TK_PAGE, TK_PAGE));
}

static bool unmapped(unsigned long i, int err)
{
	bool good = tk_is_page(map, SEED, i) && tk_is_page(map + 2 * TK_PAGE, SEED, i + 2);

	munmap(map, 3 * TK_PAGE);
	map = NULL;
	return close_it() && good;
}

static int do_close(unsigned long i)
{
	return result(close(fd));
}

static bool closed(unsigned long i, int err)
{
	return true;
}

#define FAULT	1	/* never an error: a guest would die of it */
#define CALM	2	/* there may be nothing in it that can fail */

static const struct act {
	const char *name, *region;
	int flags;
	void (*before)(unsigned long i);
	int (*run)(unsigned long i);
	bool (*after)(unsigned long i, int err);
} acts[] = {
	{ "mount", "fn-own", 0, none, do_mount, mounted },
	{ "umount", "fn-own", 0, be_mounted, do_umount, unmounted },
	{ "open", "fn-own", 0, be_mounted, do_open, opened },
	{ "list", "fn-own", 0, be_mounted, do_list, listed },
	{ "close", "fn-own", CALM, open_it, do_close, closed },
	{ "mmap", "fn-own", 0, open_it, do_mmap, same },
	{ "munmap of a part", "fn-own", 0, map_three, unmap_middle, unmapped },
	{ "load of a hole", "fn-hole", FAULT, map_it, load, loaded },
	{ "load of a page", "fn-own", FAULT, map_it, load, loaded },
	{ "load of an absent page", "fn-far", FAULT, map_it, load, loaded },
	{ "store to a hole", "fn-hole", FAULT, map_it, store, stored },
	{ "store to a page", "fn-own", FAULT, map_it, store, stored },
	{ "store to an absent page", "fn-far", FAULT, map_it, store, stored },
	{ "store to a clone's page", "fn-own", FAULT, map_private, store, stored_private },
	{ "store to a clone's absent page", "fn-far", FAULT, map_private, store, stored_private },
	{ "populate a hole", "fn-hole", 0, map_it, populate, loaded },
	{ "populate an absent page", "fn-far", 0, map_it, populate, loaded },
	{ "read of a hole", "fn-hole", CALM, open_it, read_it, was_read },
	{ "read of a page", "fn-own", 0, open_it, read_it, was_read },
	{ "read of an absent page", "fn-far", 0, open_it, read_it, was_read },
	{ "write to a hole", "fn-hole", 0, open_it, write_it, written },
	{ "write to a page", "fn-own", 0, open_it, write_it, written },
	{ "write to an absent page", "fn-far", 0, open_it, write_it, written },
	{ "punch a page", "fn-own", CALM, open_it, punch, punched },
	{ "punch an absent page", "fn-far", CALM, open_it, punch, punched },
	{ "punch a part of a page", "fn-own", CALM, open_it, punch_part, punched_part },
	{ "punch a part of an absent page", "fn-far", CALM, open_it, punch_part, punched_part },
	{ "allocate", "fn-hole", 0, open_it, allocate, same },
	{ "seek", "fn-far", CALM, open_it, seek, same },
};

static void test_act(const struct act *a)
{
	struct fn_count c = { };
	unsigned int nth;

	region = a->region;
	memset(part, BYTE, sizeof(part));
	for (nth = 1; nth <= FN_MOST && !c.ended && c.strange + c.wrong < 5; nth++) {
		unsigned long i = next_page++;
		bool spent, good;
		int err;

		if (i + 2 >= PAGES)
			tk_die("no page is left that nobody has touched");
		a->before(i);
		fn_start(a->name, nth);
		err = a->run(i);
		spent = fn_end();
		good = a->after(i, err);
		c.failures += spent;
		c.refused += spent && err;
		c.taken += spent && !err;
		c.ended = !spent && !err;
		/* preallocation says ENOSPC, as on any file */
		if (err && (a->flags & FAULT || !spent ||
			    !(fn_honest(err) || (a->run == allocate && err == -ENOSPC)))) {
			fn_note("%s, failure %u: %s", a->name, nth, strerror(-err));
			c.strange++;
		}
		if (!good) {
			fn_note("%s, failure %u: wrong afterwards (%d)", a->name, nth, err);
			c.wrong++;
		}
	}
	fn_report(a->name, &c, !(a->flags & CALM));
}

/* ---- the end of a process ---- */

static unsigned int exit_nth;

static int map_and_exit(void *arg)
{
	map_it(next_page);
	tk_store(map, BYTE);
	/* a descriptor of the file is for the task that opened it, which the child is not */
	if (!fn_set_up())
		return 1;
	fn_start("exit", exit_nth);
	_exit(0);
}

static void test_exit(void)
{
	unsigned int bad = 0;

	region = "fn-far";
	for (exit_nth = 1; exit_nth <= 12; exit_nth++, next_page++)
		bad += tk_reap(tk_fork(map_and_exit, NULL)) || !is_now(next_page, 0, 1, BYTE);
	fn_ok(!bad && tk_until(!tk_stat("fn-far").openers),
	      "exit with a region mapped, a dozen times: what it wrote stays");
}

void fn_test_files(void)
{
	struct tk_pair pair;
	unsigned int i;

	mkdir(PLACE, 0755);
	tk_pair_open(&pair, 1, false);
	tk_new("fn-hole", PAGES);
	tk_new("fn-own", PAGES);
	tk_fill("fn-own", 0, PAGES, SEED);
	tk_new("fn-src", PAGES);
	tk_fill("fn-src", 0, PAGES, SEED);
	tk_ok(tp_region_freeze(tk_nl, "fn-src"), "freeze");
	tk_import(&pair, "fn-src", "fn-far", false);
	for (i = 0; i < sizeof(acts) / sizeof(*acts); i++)
		if (fn_wanted(acts[i].name))
			test_act(&acts[i]);
	test_exit();
	tk_import_end("fn-src", "fn-far");
	tk_del("fn-own");
	tk_del("fn-hole");
	tk_pair_close(&pair);
	rmdir(PLACE);
}

/* ---- loading ---- */

static int load_module(int file)
{
	return syscall(SYS_finit_module, file, "", 0) ? -errno : 0;
}

static void unload_module(void)
{
	if (!tk_until(!syscall(SYS_delete_module, "telepage", O_NONBLOCK)))
		tk_die("the module cannot be unloaded: %m");
}

/*
 * What the module does when it is loaded is the last of what happens then: from there
 * backwards, as the loader's own thousand allocations are not what this is about.
 */
void fn_test_load(const char *module)
{
	const unsigned int many = 1U << 30, most = 150;
	int file = open(module, O_RDONLY | O_CLOEXEC), err;
	struct fn_count c = { .ended = true };
	unsigned int all, nth, tries;

	if (file < 0)
		tk_die("%s: %m", module);
	if (umount(TK_DIR))
		tk_die("umount: %m");
	unload_module();
	fn_start("load", many);
	err = load_module(file);
	fn_end();
	if (err)
		tk_die("the module cannot be loaded: %s", strerror(-err));
	all = many - fn_left();
	unload_module();
	for (nth = all, tries = 0; nth && tries < most; nth--, tries++) {
		bool spent;

		fn_start("load", nth);
		err = load_module(file);
		spent = fn_end();
		c.failures += spent;
		c.refused += spent && err;
		c.taken += spent && !err;
		if (err && !fn_honest(err)) {
			fn_note("load, failure %u of %u: %s", nth, all, strerror(-err));
			c.strange++;
		}
		if (!err)
			unload_module();
		/* whatever was half done would stand in the way now */
		err = load_module(file);
		if (err)
			tk_die("loading, after failure %u: %s", nth, strerror(-err));
		unload_module();
	}
	err = load_module(file);
	if (err)
		tk_die("the module cannot be loaded again: %s", strerror(-err));
	close(file);
	fn_note("loading could fail in %u places, the last %u of them were tried", all, tries);
	fn_report("load of the module", &c, true);
}
