// SPDX-License-Identifier: GPL-2.0
/*
 * failwork.c - memory that runs out for threads of lanes and of bridges, and for workers
 *
 * Nobody is told of it who could try again: these have to. Of what they allocate, in any
 * of their doing, one in a few fails; lanes that are lost are connected anew, as agents
 * do it. What a user would lose: pages that never come, or are wrong; the host.
 */
#include <glob.h>
#include <stdatomic.h>
#include <stdio.h>

#include "files.h"
#include "uffd_vmm.h"

#define ROUNDS	24
#define BRIDGED	8U
#define BULK	2U
#define TIMES	1000000		/* so many may fail */

static struct tk_pair pair;
static atomic_bool over;

static void knob(const char *which, const char *name, const char *value)
{
	char path[96];
	int err;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", which, name);
	err = tk_write_file(path, value);
	if (err)
		tk_die("%s: %s", path, strerror(-err));
}

static long left(const char *which)
{
	char path[96], text[32];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/times", which);
	return atol(tk_cat(path, text, sizeof(text)));
}

static const char * const both[] = { "failslab", "fail_page_alloc" };

/* of tasks that are marked one allocation in @percent / 100 fails */
static void set_up(const char *percent)
{
	char times[16];

	snprintf(times, sizeof(times), "%d", TIMES);
	for (unsigned int i = 0; i < 2; i++) {
		knob(both[i], "task-filter", "Y");
		knob(both[i], "ignore-gfp-wait", "N");
		knob(both[i], "verbose", "0");
		knob(both[i], "interval", "1");
		knob(both[i], "times", times);
		knob(both[i], "probability", percent);
	}
	knob("fail_page_alloc", "min-order", "0");
	knob("fail_page_alloc", "ignore-gfp-highmem", "N");
}

static bool is_ours(const char *comm)
{
	/* threads of lanes and of bridges, and workers of queues that are no CPU's */
	return !strncmp(comm, "tp-", 3) || !strncmp(comm, "tp_uffd/", 8) ||
	       !strncmp(comm, "kworker/u", 9);
}

/* there are new ones all the time */
static void *marks(void *arg)
{
	while (!over) {
		glob_t found;

		if (glob("/proc/[0-9]*/comm", 0, NULL, &found))
			tk_die("no tasks in /proc");
		for (size_t i = 0; i < found.gl_pathc; i++) {
			char path[64], comm[64];

			if (!is_ours(tk_cat(found.gl_pathv[i], comm, sizeof(comm))))
				continue;
			snprintf(path, sizeof(path), "%.*s/make-it-fail",
				 (int)(strrchr(found.gl_pathv[i], '/') - found.gl_pathv[i]),
				 found.gl_pathv[i]);
			tk_write_file(path, "1");
		}
		globfree(&found);
		tk_nap_ms(20);
	}
	return arg;
}

/* a lane that is gone at both ends gets a new socket; at one, the other follows */
static unsigned int mend(void)
{
	unsigned int n = 0;

	for (unsigned int lane = 0; lane <= BULK; lane++) {
		int sv[2];

		tk_tcp_pair(sv, false);
		if (!tp_lane_attach(tk_nl, pair.src, lane, sv[0]) &&
		    !tp_lane_attach(tk_nl, pair.dst, lane, sv[1]))
			n++;
		close(sv[0]);
		close(sv[1]);
	}
	return n;
}

static bool comes(unsigned int *mended)
{
	uint64_t end = tk_now_ms() + TK_LONG * 1000;

	while (tk_stat("d").state != TELEPAGE_REGION_LOCAL && tk_now_ms() < end) {
		*mended += mend();
		tk_nap_ms(50);
	}
	return tk_stat("d").state == TELEPAGE_REGION_LOCAL;
}

static int reads(void *arg)
{
	uint8_t *map = tk_map("d", PAGES, PROT_READ, MAP_SHARED);
	unsigned long step = (unsigned long)arg, bad = 0;

	for (unsigned long i = 0; i < PAGES; i++)
		bad += !tk_is_page(map + i * step % PAGES * TK_PAGE, 7, i * step % PAGES);
	return bad != 0;
}

/* one region comes over; by @how partly from a file, and not pushed */
static bool one(unsigned int how, uint32_t id, unsigned int *mended)
{
	bool good = true;
	pid_t pid[2];

	tk_new("d", PAGES);
	if (how & 1) {
		int fd = open(IMAGE, O_RDONLY | O_CLOEXEC);

		tk_ok(origin("d", fd, 0, PAGES / 2, 0, true, false), "origin");
		close(fd);
	}
	tk_ok(tp_region_import(tk_nl, "d", pair.dst, id, !(how & 2)), "import");
	if (how & 1)
		tk_ok(tp_region_origin(tk_nl, "d", -1, NULL, 0, false, true), "fill");
	pid[0] = tk_fork(reads, (void *)1);
	pid[1] = tk_fork(reads, (void *)101);
	good &= comes(mended);
	for (unsigned int i = 0; i < 2; i++)
		good &= !tk_reap(pid[i]);
	good &= !wrong("d", 7, 0);
	tk_del("d");
	return good;
}

/* and one to a VMM whose memory is its own */
static bool bridged(enum vmm_kind kind, uint32_t id, unsigned int *mended)
{
	uint64_t end = tk_now_ms() + TK_LONG * 1000;
	struct vmm v;
	bool good;

	tk_new("d", PAGES);
	tk_ok(tp_region_import(tk_nl, "d", pair.dst, id, true), "import");
	if (!vmm_start(&v, kind, PAGES, 0))
		tk_die("no VMM");
	if (vmm_attach(&v, "d", true))
		tk_die("attach: %s", vmm_words);
	vmm_tell(&v, VMM_THREADS, 0, PAGES - VMM_ZERO, 7);
	while (!vmm_answered(&v) && tk_now_ms() < end) {
		*mended += mend();
		tk_nap_ms(50);
	}
	good = vmm_answered(&v) && !vmm_hear(&v);
	vmm_stop(&v);
	tk_until(tp_uffd_get(tk_nl, "d", NULL) == -ENOENT);
	if (tk_stat("d").state != TELEPAGE_REGION_LOCAL)
		tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tk_del("d");
	return good;
}

int main(void)
{
	unsigned int good = 0, bridges = 0, mended = 0;
	pthread_t marker;
	uint32_t id;

	tk_init();
	if (access("/sys/kernel/debug/failslab", F_OK) || access("/proc/self/make-it-fail", F_OK)) {
		tap_skip("memory that runs out", "this kernel cannot let allocations fail");
		return tap_done();
	}
	files_open();
	close(image(IMAGE, 7, PAGES, 0));
	digest_all(7);
	tk_new("s", PAGES);
	tk_fill("s", 0, PAGES, 7);
	tk_pair_open(&pair, BULK, false);
	id = tk_serve(&pair, "s");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");

	set_up("3");
	marker = tk_thread(marks, NULL);
	while (good < ROUNDS && one(good % 4, id, &mended))
		good++;
	while (bridges < BRIDGED && bridged(bridges & 1 ? VMM_MEMFD : VMM_ANON, id, &mended))
		bridges++;
	over = true;
	tk_join(marker);
	printf("# %ld objects and %ld pages were refused, %u lanes connected anew\n",
	       TIMES - left(both[0]), TIMES - left(both[1]), mended);
	for (unsigned int i = 0; i < 2; i++)
		knob(both[i], "probability", "0");

	tap_ok(good == ROUNDS, "all of %d regions come, and every page is right", ROUNDS);
	tap_ok(bridges == BRIDGED, "so do those of %u VMMs whose memory is their own", BRIDGED);
	tap_ok(left(both[0]) < TIMES - 10 && left(both[1]) < TIMES - 10,
	       "although memory has run out for those who do it");
	tk_ok(tp_export_del(tk_nl, "s"), "release");
	tk_del("s");
	tk_pair_close(&pair);
	tap_ok(files_close(), "nobody has kept a file");
	return tap_done();
}
