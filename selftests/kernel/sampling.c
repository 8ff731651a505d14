// SPDX-License-Identifier: GPL-2.0
/*
 * sampling.c - which pages of a region are used, seen at the source
 */
#include <linux/capability.h>
#include <linux/falloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "tk.h"

#define CHUNK	((unsigned long)TELEPAGE_CHUNK_PAGES)
#define CHUNKS	8
#define NR	(CHUNKS * CHUNK)
#define SEED	1

static struct telepage_run runs[TELEPAGE_RUNS_MAX];
static bool used[NR];
static struct tp_sample sample;

static void begin(uint32_t every, uint32_t seed)
{
	tk_ok(tp_region_sample(tk_nl, "r", every, seed), "sample");
}

/* reads the sample; @used has its pages. Returns how many. */
static unsigned long look(void)
{
	unsigned long all = 0, from = 0;
	size_t n, i;

	memset(used, 0, sizeof(used));
	do {
		tk_ok(tp_region_sampled(tk_nl, "r", from, runs, &n, &sample), "sampled");
		for (i = 0; i < n; i++) {
			memset(used + runs[i].start, true, runs[i].count);
			all += runs[i].count;
			from = runs[i].start + runs[i].count;
		}
	} while (n == TELEPAGE_RUNS_MAX && from < NR);
	return all;
}

static bool is_used(unsigned long first, unsigned long count)
{
	for (unsigned long i = first; i < first + count; i++)
		if (!used[i])
			return false;
	return true;
}

static uint8_t *mapped(void)
{
	tk_new("r", NR);
	tk_fill("r", 0, NR, SEED);
	return tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static void done(uint8_t *map)
{
	tk_unmap(map, NR);
	tk_del("r");
}

static void touch_all(const volatile uint8_t *map)
{
	for (unsigned long i = 0; i < NR; i++)
		(void)map[i * TK_PAGE];
}

static void test_what_is_seen(void)
{
	uint8_t *map = mapped(), page[TK_PAGE];
	int fd = tk_open("r", O_RDWR);
	uint64_t before;

	tap_ok(tp_region_sampled(tk_nl, "r", 0, runs, &(size_t){ 0 }, &sample) == -ENODATA,
	       "no sample: %s", tp_nl_error(tk_nl));
	touch_all(map);
	begin(1, 0);
	tap_ok(!look() && sample.sampled == NR && sample.every == 1,
	       "a sample begins without a page, though all were mapped");
	tk_load(map + 5 * TK_PAGE);
	tk_load(map + 1000 * TK_PAGE);
	tk_store(map + 2000 * TK_PAGE, 1);
	tk_load(map + (NR - 1) * TK_PAGE);
	tap_ok(look() == 4 && used[5] && used[1000] && used[2000] && used[NR - 1],
	       "loads and stores are seen, and none of their neighbours");
	before = sample.faults;
	tap_ok(before >= 4, "what it has cost is told");
	for (unsigned int i = 0; i < 100; i++) {
		tk_load(map + 5 * TK_PAGE + i);
		tk_load(map + 1000 * TK_PAGE + i);
	}
	tap_ok(look() == 4 && sample.faults == before, "a page that was seen costs nothing more");
	tap_ok(pread(fd, page, TK_PAGE, 0) == (ssize_t)TK_PAGE && pwrite(fd, "x", 1, 0) == 1 &&
	       look() == 4, "read() and write() of the file are no use of a mapping");
	tk_store(map + 5 * TK_PAGE, 7);
	tap_ok(map[5 * TK_PAGE] == 7 && look() == 4, "a store into one that was loaded is no other");
	tap_ok(!tp_region_sampled(tk_nl, "r", 6, runs, &(size_t){ 0 }, &sample) &&
	       runs[0].start == 1000, "it can be read from a page on");
	begin(1, 0);
	tap_ok(!look() && !sample.faults, "a second begin starts anew");
	tk_load(map + 5 * TK_PAGE);
	tap_ok(look() == 1 && used[5], "and sees what was seen before");
	touch_all(map);
	tap_ok(look() == NR && sample.touched == NR, "and all of it");
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, NR * TK_PAGE);
	begin(1, 0);
	tk_load(map + 9 * TK_PAGE);
	tap_ok(look() == 1 && used[9] && tk_is_zero(map + 9 * TK_PAGE, TK_PAGE),
	       "zero pages are seen as others");
	tk_ok(tp_region_sample(tk_nl, "r", 0, 0), "end");
	tap_ok(tp_region_sampled(tk_nl, "r", 0, runs, &(size_t){ 0 }, &sample) == -ENODATA,
	       "an ended sample is gone");
	tk_ok(tp_region_sample(tk_nl, "r", 0, 0), "end of none");
	close(fd);
	done(map);
}

static void test_many_runs(void)
{
	uint8_t *map = mapped();
	unsigned long i, n = 0;

	begin(1, 0);
	for (i = 0; i < NR; i += 2)
		n += tk_load(map + i * TK_PAGE) >= 0;
	tap_ok(n == NR / 2 && look() == n && n >= TELEPAGE_RUNS_MAX && is_used(0, 1) && !used[1],
	       "every other page, in more runs than an answer holds or as many");
	done(map);
}

static void test_chunks(void)
{
	uint8_t *map = mapped();
	unsigned int times[CHUNKS] = { 0 }, seed, c;
	bool whole = true;
	uint64_t faults;

	for (seed = 0; seed < 4; seed++) {
		faults = tk_stat("r").stats.sample_faults;
		begin(4, seed);
		touch_all(map);
		whole &= look() == 2 * CHUNK && sample.sampled == 2 * CHUNK &&
			 sample.faults == 2 * CHUNK;
		whole &= tk_stat("r").stats.sample_faults - faults == 2 * CHUNK;
		for (c = 0; c < CHUNKS; c++)
			times[c] += used[c * CHUNK];
	}
	tap_ok(whole, "one chunk of four: a fault for each of its pages, and none for others");
	for (c = 0; c < CHUNKS && times[c] == 1; c++)
		;
	tap_ok(c == CHUNKS, "four seeds in a row have each chunk once");
	begin(1000, 5);
	touch_all(map);
	tap_ok(look() == CHUNK, "a region that is too small for EVERY has one chunk in it");
	done(map);
}

/*
 * The mapping is shifted against the file, so that the windows of mapping around reach
 * over the borders of chunks.
 */
static void test_borders(void)
{
	const unsigned long shift = 8, room = NR + 64;
	unsigned long first, i, n;
	uint8_t *area, *map;
	int fd;

	tk_new("r", NR);
	tk_fill("r", 0, NR, SEED);
	fd = tk_open("r", O_RDWR);
	area = mmap(NULL, room * TK_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		tk_die("mmap: %m");
	map = (uint8_t *)(((uintptr_t)area + 16 * TK_PAGE) & ~(16 * TK_PAGE - 1));
	map = mmap(map, (NR - shift) * TK_PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
		   shift * TK_PAGE);
	if (map == MAP_FAILED)
		tk_die("mmap: %m");
	map -= shift * TK_PAGE;
	/* which chunk it is */
	begin(CHUNKS - 2, 1);
	for (i = shift; i < NR; i++)
		tk_load(map + i * TK_PAGE);
	look();
	for (first = CHUNK; first < NR - CHUNK && !used[first]; first += CHUNK)
		;
	/* without page table entries, as a new mapping */
	if (madvise(map + shift * TK_PAGE, (NR - shift) * TK_PAGE, MADV_DONTNEED))
		tk_die("madvise: %m");
	begin(CHUNKS - 2, 1);
	n = tk_stat("r").stats.sample_faults;
	tk_load(map + (first - 1) * TK_PAGE);
	tk_load(map + (first + CHUNK) * TK_PAGE);
	look();
	tap_ok(!used[first] && !used[first + CHUNK - 1],
	       "a fault beside a chunk of the sample is none in it");
	for (i = first; i < first + CHUNK; i++)
		tk_load(map + i * TK_PAGE);
	look();
	tap_ok(is_used(first, CHUNK) && tk_stat("r").stats.sample_faults - n == CHUNK,
	       "and has mapped none of its pages (%lu faults)",
	       (unsigned long)(tk_stat("r").stats.sample_faults - n));
	munmap(area, room * TK_PAGE);
	close(fd);
	tk_del("r");
}

static void test_beside_others(void)
{
	uint8_t *map = mapped(), *clone, bits[NR / 8];
	unsigned long i, dirty = 0;

	clone = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	tk_store(clone + 3 * TK_PAGE, 0x33);
	tk_ok(tp_region_dirty(tk_nl, "r", 0, NR, true, bits), "dirty");
	tk_store(map + 7 * TK_PAGE, 7);
	begin(1, 0);
	tap_ok(tk_load(clone + 3 * TK_PAGE) == 0x33 && !look(), "a private copy stays where it is");
	tk_load(map + 8 * TK_PAGE);
	tk_store(map + 9 * TK_PAGE, 9);
	memset(bits, 0, sizeof(bits));
	tk_ok(tp_region_dirty(tk_nl, "r", 0, NR, true, bits), "dirty");
	for (i = 0; i < NR; i++)
		dirty += bits[i / 8] >> i % 8 & 1;
	tap_ok(dirty == 2 && bits[0] >> 7 && bits[1] >> 1 & 1,
	       "what is dirty is told as without a sample");
	tk_ok(tp_region_freeze(tk_nl, "r"), "freeze");
	tap_ok(tk_store(map + 9 * TK_PAGE, 1) == -SIGBUS && look() >= 2,
	       "a sample is there when the region is frozen");
	begin(1, 0);
	tap_ok(tk_load(map + 9 * TK_PAGE) == 9 && tk_store(map + 9 * TK_PAGE, 1) == -SIGBUS &&
	       look() == 1 && used[9], "a frozen region can be sampled, and stays frozen");
	tk_unmap(clone, NR);
	tk_unmap(map, NR);
	tap_ok(!tp_region_del(tk_nl, "r"), "a region is deleted with its sample");
	tk_new("r", NR);
	tap_ok(tp_region_sampled(tk_nl, "r", 0, runs, &(size_t){ 0 }, &sample) == -ENODATA,
	       "the next of its name has none");
	tk_del("r");
}

static int unprivileged(void *arg)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { };
	struct telepage_run run = { .count = 1 };
	struct tp_nl *nl;
	int bad = 0;

	if (syscall(SYS_capset, &h, d) || tp_nl_open(&nl))
		return 99;
	bad |= tp_region_sample(nl, "r", 1, 0) != -EPERM;
	bad |= (tp_region_sampled(nl, "r", 0, runs, &(size_t){ 0 }, &sample) != -EPERM) << 1;
	bad |= (tp_export_order(nl, "r", &run, 1) != -EPERM) << 2;
	return bad;
}

static void test_refused(void)
{
	struct tk_pair p;
	uint8_t *map;

	tap_ok(tp_region_sample(tk_nl, "nobody", 1, 0) == -ENOENT, "of no region");
	map = mapped();
	begin(1, 0);
	tap_ok(tp_region_sampled(tk_nl, "r", NR, runs, &(size_t){ 0 }, &sample) == -ERANGE &&
	       tp_region_sampled(tk_nl, "r", -1ULL, runs, &(size_t){ 0 }, &sample) == -ERANGE,
	       "from behind the region: %s", tp_nl_error(tk_nl));
	tap_ok(!tk_reap(tk_fork(unprivileged, NULL)), "without CAP_NET_ADMIN all of it is EPERM");
	done(map);

	tk_pair_open(&p, 1, false);
	tk_new("s", NR);
	tk_new("r", NR);
	tk_ok(tp_region_import_live(tk_nl, "r", p.dst, tk_serve(&p, "s")), "import");
	tap_ok(tp_region_sample(tk_nl, "r", 1, 0) == -EAGAIN, "while the source writes: %s",
	       tp_nl_error(tk_nl));
	tk_import_end("s", "r");
	tk_pair_close(&p);
}

/* Pages that have to come first are seen when somebody has used them, and no others. */
static void test_filling(void)
{
	struct tk_pair p;
	uint8_t *map;

	tk_pair_open(&p, 1, false);
	tk_new("s", NR);
	tk_fill("s", 0, NR, SEED);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_import(&p, "s", "r", false);
	map = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	begin(1, 0);
	tap_ok(!tk_wrong(map, 50, 1, SEED) && !tk_wrong(map, 900, 3, SEED) && look() == 4 &&
	       used[50] && is_used(900, 3), "a region that fills is sampled");
	tk_unmap(map, NR);
	tk_import_end("s", "r");
	tk_pair_close(&p);
}

/* ---- under load ---- */

static uint8_t *shared;
static int shared_fd;
static atomic_bool stop;
static atomic_ulong wrong, loads, punches;

/* pages 0 to NR / 4 stay as they were filled; the next quarter is written and read */
static void *use(void *arg)
{
	unsigned long who = (uintptr_t)arg, n = 0, x = who + 1;
	static uint64_t wrote[2][NR];

	while (!stop) {
		unsigned long i, page;
		volatile uint64_t *at;

		x = x * 6364136223846793005 + 1442695040888963407;
		i = (x >> 33) % (NR / 8);
		wrong += !tk_is_page(shared + i * TK_PAGE, SEED, i);
		page = NR / 4 + 2 * i + who;
		at = (volatile uint64_t *)(shared + page * TK_PAGE);
		wrong += wrote[who][page] && *at != wrote[who][page];
		*at = wrote[who][page] = ++n;
		loads++;
	}
	return NULL;
}

/* the last half: what was discarded is zero, what was written then is there */
static void *punch(void *arg)
{
	unsigned long n = 0, x = 99;

	while (!stop) {
		unsigned long page, count;

		x = x * 6364136223846793005 + 1442695040888963407;
		count = 1 + (x >> 40) % 64;
		page = NR / 2 + (x >> 20) % (NR / 2 - count);
		*(volatile uint64_t *)(shared + page * TK_PAGE) = ++n;
		wrong += *(volatile uint64_t *)(shared + page * TK_PAGE) != n;
		if (fallocate(shared_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page * TK_PAGE,
			      count * TK_PAGE))
			tk_die("punch: %m");
		wrong += !tk_is_zero(shared + page * TK_PAGE, count * TK_PAGE);
		punches++;
	}
	return NULL;
}

static void test_under_load(void)
{
	unsigned long rounds = 0, seen = 0;
	pthread_t t[3];
	uint64_t end;

	shared = mapped();
	shared_fd = tk_open("r", O_RDWR);
	t[0] = tk_thread(use, (void *)0);
	t[1] = tk_thread(use, (void *)1);
	t[2] = tk_thread(punch, NULL);
	for (end = tk_now_ms() + 4000; tk_now_ms() < end; rounds++) {
		if (rounds % 16 == 15)
			tk_ok(tp_region_sample(tk_nl, "r", 0, 0), "end");
		begin(1 + rounds % 3, rounds);
		tk_nap_ms(rounds % 4 * 5);
		seen += look();
	}
	stop = true;
	for (unsigned int i = 0; i < 3; i++)
		tk_join(t[i]);
	tap_note("%lu samples, %lu pages seen, %lu loads, %lu discards", rounds, seen, loads,
		 punches);
	tap_ok(!wrong && seen && punches, "sampled under 2 threads and discards: no wrong byte");
	close(shared_fd);
	done(shared);
}

int main(void)
{
	tk_init();
	test_what_is_seen();
	test_many_runs();
	test_chunks();
	test_borders();
	test_beside_others();
	test_refused();
	test_filling();
	test_under_load();
	return tap_done();
}
