// SPDX-License-Identifier: GPL-2.0
/*
 * dirty.c - which pages were written to, and the fence
 */
#include <linux/falloc.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "pin.h"

#define NR	1024UL
#define SIZE	(NR * TK_PAGE)

static uint8_t bits[NR / 8];

static bool bit(unsigned long i)
{
	return bits[i / 8] >> i % 8 & 1;
}

/* how many pages are dirty; the bitmap is in bits */
static unsigned long harvest(const char *name, bool clear)
{
	unsigned long i, n = 0;

	tk_ok(tp_region_dirty(tk_nl, name, 0, NR, clear, bits), "dirty");
	for (i = 0; i < NR; i++)
		n += bit(i);
	return n;
}

static void test_bits(void)
{
	uint8_t *map, *clone, page[TK_PAGE];
	int fd;

	tk_new("r", NR);
	map = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	fd = tk_open("r", O_RDWR);
	tap_ok(!harvest("r", false), "a new region has no dirty page");
	tk_is_zero(map, SIZE);
	tap_ok(!harvest("r", false) && pread(fd, page, TK_PAGE, 0) == (ssize_t)TK_PAGE &&
	       !harvest("r", false), "reading makes none dirty");
	map[3 * TK_PAGE] = 1;
	map[1000 * TK_PAGE + 4095] = 1;
	tap_ok(harvest("r", false) == 2 && bit(3) && bit(1000), "stores make their pages dirty");
	tap_ok(pwrite(fd, "xy", 2, 11 * TK_PAGE - 1) == 2 && harvest("r", false) == 4 && bit(10) &&
	       bit(11), "write() makes its pages dirty");
	tap_ok(harvest("r", false) == 4 && harvest("r", true) == 4 && !harvest("r", true),
	       "looking clears nothing, clearing does");
	map[3 * TK_PAGE + 1] = 2;
	tap_ok(harvest("r", true) == 1 && bit(3), "the next store into a page shows again");
	tap_ok(pwrite(fd, "x", 1, 3 * TK_PAGE) == 1 && harvest("r", true) == 1 && bit(3),
	       "the next write(), too");
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * TK_PAGE, TK_PAGE);
	tap_ok(harvest("r", true) == 1 && bit(3) && !harvest("r", true), "so does a discard");
	map[3 * TK_PAGE] = 1;
	tap_ok(harvest("r", true) == 1 && bit(3), "and a store into the hole");
	memset(map, 1, SIZE);
	tap_ok(harvest("r", true) == NR && !harvest("r", true), "all pages at once");
	memset(map, 2, SIZE);
	tap_ok(harvest("r", true) == NR, "and again");

	clone = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	memset(clone, 3, SIZE);
	tap_ok(!harvest("r", false), "stores into a MAP_PRIVATE clone are not the region's");
	tk_unmap(clone, NR);

	memset(map, 4, 200 * TK_PAGE);
	memset(bits, 0, sizeof(bits));
	tk_ok(tp_region_dirty(tk_nl, "r", 100, 50, true, bits), "dirty");
	tap_ok(bits[0] == 0xff && bits[5] == 0xff && bits[6] == 3, "bits count from START");
	tap_ok(harvest("r", true) == 150 && bit(99) && !bit(100) && !bit(149) && bit(150),
	       "and only its COUNT pages are cleared");
	close(fd);
	tk_unmap(map, NR);
	tk_del("r");
}

static void test_arrivals_are_clean(void)
{
	struct tk_pair p;
	uint8_t *map;

	tk_pair_open(&p, 1, false);
	tk_new("s", NR);
	tk_fill("s", 0, NR, 1);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_import(&p, "s", "d", true);
	map = tk_map("d", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	map[7 * TK_PAGE] ^= 1;
	tk_wait_state("d", TELEPAGE_REGION_LOCAL);
	tap_ok(harvest("d", true) == 1 && bit(7), "pages that came from the peer are not dirty");
	tk_unmap(map, NR);
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

/* ---- no write is missed ---- */

#define WRITERS	4

static uint8_t *shared, *shadow;
static int shared_fd;
static atomic_bool stop;
static atomic_ulong writes;

/* every write is another number, in a page of this writer's */
static void *write_flat_out(void *arg)
{
	unsigned long who = (uintptr_t)arg, n = 0, x = who + 1;

	while (!stop) {
		uint64_t value = ++n << 8 | who;
		unsigned long page, at;

		x = x * 6364136223846793005 + 1442695040888963407;
		/* mostly a few pages, so that they are cleaned and made dirty all the time */
		page = (x >> 33) % (x >> 60 ? 16 : NR / WRITERS) * WRITERS + who;
		at = page * TK_PAGE + (x >> 20) % 512 * 8;
		if (who == 1) {
			if (pwrite(shared_fd, &value, 8, at) != 8)
				break;
		} else if (who == 2) {
			struct iovec from = { &value, 8 }, to = { shared + at, 8 };

			if (process_vm_writev(getpid(), &from, 1, &to, 1, 0) != 8)
				break;
		} else {
			*(volatile uint64_t *)(shared + at) = value;
		}
		writes++;
	}
	return NULL;
}

static unsigned long copy_dirty(void)
{
	unsigned long n = harvest("r", true), i;

	for (i = 0; i < NR; i++)
		if (bit(i))
			memcpy(shadow + i * TK_PAGE, shared + i * TK_PAGE, TK_PAGE);
	return n;
}

static void test_no_write_is_missed(void)
{
	pthread_t t[WRITERS];
	struct sched_param first = { .sched_priority = 1 }, normal = { };
	unsigned long i, rounds = 0, copied = 0;
	uint64_t end;

	tk_new("r", NR);
	shared = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	shared_fd = tk_open("r", O_RDWR);
	shadow = calloc(NR, TK_PAGE);
	stop = false;
	for (i = 0; i < WRITERS; i++)
		t[i] = tk_thread(write_flat_out, (void *)i);
	/* with four that never pause there would be few harvests in a short test */
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		tap_note("no real-time priority: %s", strerror(errno));
	end = tk_now_ms() + 6000;
	while (tk_now_ms() < end) {
		copied += copy_dirty();
		rounds++;
		/* few dirty pages and many take different ways */
		tk_nap_ms(rounds % 4 ? 1 : 30);
	}
	sched_setscheduler(0, SCHED_OTHER, &normal);
	stop = true;
	for (i = 0; i < WRITERS; i++)
		tk_join(t[i]);
	copied += copy_dirty();
	tap_note("%lu writes, %lu harvests, %lu pages copied", writes, rounds, copied);
	tap_ok(writes && !memcmp(shared, shadow, SIZE),
	       "copying what each harvest shows misses no write of 4 that write flat out");
	tap_ok(!harvest("r", true), "and nothing is left");
	tk_unmap(shared, NR);
	close(shared_fd);
	free(shadow);
	tk_del("r");
}

/* Stores into many pages, then discards them at one blow. */
static void *discard_flat_out(void *arg)
{
	unsigned long i, n = 0;

	while (!stop) {
		n++;
		for (i = 0; i < NR; i++)
			shared[i * TK_PAGE] = n;
		if (fallocate(shared_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE))
			break;
		writes++;
	}
	return NULL;
}

static void test_no_discard_is_missed(void)
{
	unsigned long i, rounds = 0, wrong = 0;
	uint64_t end = tk_now_ms() + 5000;

	tk_new("r", NR);
	shared = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	shared_fd = tk_open("r", O_RDWR);
	shadow = calloc(NR, TK_PAGE);
	writes = 0;
	while (tk_now_ms() < end) {
		unsigned long upto = writes + 1;
		pthread_t t;

		stop = false;
		t = tk_thread(discard_flat_out, NULL);
		while (writes < upto)
			copy_dirty();
		copy_dirty();
		stop = true;
		tk_join(t);
		copy_dirty();
		rounds++;
		for (i = 0; i < NR; i++)
			wrong += shadow[i * TK_PAGE] != shared[i * TK_PAGE];
	}
	tap_note("%lu rounds, %lu pages missed", rounds, wrong);
	tap_ok(!wrong, "nor is a discard missed");
	tk_unmap(shared, NR);
	close(shared_fd);
	free(shadow);
	tk_del("r");
}

/* ---- a write that lasts: the disk writes into guest memory on its own time ---- */

struct direct {
	int disk;
	uint8_t *to;
	ssize_t got;
};

static void *read_direct(void *arg)
{
	struct direct *d = arg;

	d->got = pread(d->disk, d->to, TK_PAGE, 0);
	return NULL;
}

/* The disk is a loop device over a region that is absent until we let it come. */
static void test_direct_io_in_flight(void)
{
	struct direct d = { .got = -1 };
	char dev[64] = "";
	struct tk_pair p;
	uint8_t *map;
	pthread_t t;
	FILE *f;

	tk_pair_open(&p, 0, false);
	tk_new("s", NR);
	tk_fill("s", 0, NR, 3);
	tk_import(&p, "s", "d", false);
	tk_new("r", NR);
	map = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	f = popen("modprobe loop && losetup -f --show -r " TK_DIR "/d", "r");
	if (!f || !fgets(dev, sizeof(dev), f) || pclose(f)) {
		tap_skip("O_DIRECT in flight while dirty bits are cleared", "no loop device");
		goto out;
	}
	dev[strcspn(dev, "\n")] = 0;
	d.disk = open(dev, O_RDONLY | O_DIRECT);
	if (d.disk < 0)
		tk_die("%s: %m", dev);
	d.to = map + 5 * TK_PAGE;
	t = tk_thread(read_direct, &d);
	tk_until(tk_stat("d").stats.demand_sent);
	tk_nap_ms(200);
	harvest("r", true);
	tap_ok(tk_is_zero(d.to, TK_PAGE), "a disk read into memory is under way at the harvest");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	pthread_join(t, NULL);
	tap_ok(d.got == (ssize_t)TK_PAGE && tk_is_page(d.to, 3, 0), "it lands after it");
	harvest("r", true);
	tap_ok(bit(5), "the next harvest shows it");
	close(d.disk);
	if (system("losetup -D"))
		tap_note("losetup -D failed");
out:
	tk_unmap(map, NR);
	tk_del("r");
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

/* ---- the fence ---- */

static atomic_int refused;

static void *store_until_refused(void *arg)
{
	unsigned long who = (uintptr_t)arg, n = 0;

	for (;;) {
		unsigned long at = (n * 37 % (NR / WRITERS) * WRITERS + who) * TK_PAGE + n % 4096;

		if (who == 1) {
			uint8_t v = n;

			if (pwrite(shared_fd, &v, 1, at) < 0)
				break;
		} else if (tk_store(shared + at, n)) {
			errno = EPERM;
			break;
		}
		n++;
		writes++;
	}
	if (errno == EPERM)
		refused++;
	return NULL;
}

static void test_freeze(void)
{
	uint8_t *copy = malloc(SIZE), *clone;
	pthread_t t[WRITERS];
	unsigned long i, before;

	tk_new("r", NR);
	shared = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	shared_fd = tk_open("r", O_RDWR);
	refused = 0;
	before = writes;
	for (i = 0; i < WRITERS; i++)
		t[i] = tk_thread(store_until_refused, (void *)i);
	tk_until(writes > before + 20000);
	tk_ok(tp_region_freeze(tk_nl, "r"), "freeze");
	memcpy(copy, shared, SIZE);
	for (i = 0; i < WRITERS; i++)
		tk_join(t[i]);
	tk_nap_ms(100);
	tap_ok(!memcmp(copy, shared, SIZE),
	       "after freeze no write lands, though 4 threads wrote flat out");
	tap_ok(refused == WRITERS, "a store is SIGBUS then, write() EPERM");
	tap_ok(fallocate(shared_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE) &&
	       errno == EPERM && madvise(shared, TK_PAGE, MADV_REMOVE) && !memcmp(copy, shared, SIZE),
	       "a discard is refused");
	tap_ok(tk_stat("r").frozen && !tp_region_freeze(tk_nl, "r"),
	       "freezing a frozen region is no error");
	clone = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	tap_ok(!tk_store(clone, ~copy[0]) && shared[0] == copy[0],
	       "a MAP_PRIVATE clone of a frozen region can be written to");
	tk_unmap(clone, NR);
	clone = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	tap_ok(tk_load(clone) == copy[0] && tk_store(clone, 1) == -SIGBUS,
	       "a mapping made after the freeze cannot write");
	tk_unmap(clone, NR);
	before = harvest("r", false);
	tk_ok(tp_region_thaw(tk_nl, "r"), "thaw");
	tap_ok(!tk_stat("r").frozen && before && harvest("r", false) == before,
	       "freeze and thaw keep the dirty bits");
	tap_ok(!tk_store(shared, 7) && shared[0] == 7 && pwrite(shared_fd, "x", 1, 5) == 1,
	       "thawed it can be written again");
	harvest("r", true);
	tk_ok(tp_region_freeze(tk_nl, "r"), "freeze");
	tap_ok(tk_store(shared + 9 * TK_PAGE, 7) == -SIGBUS && !harvest("r", false),
	       "a refused store makes nothing dirty");
	tk_unmap(shared, NR);
	close(shared_fd);
	tk_del("r");
	free(copy);
}

/* ---- nothing leaves before the fence stands ---- */

static void *freeze_s(void *arg)
{
	struct tp_nl *nl;

	if (tp_nl_open(&nl))
		tk_die("netlink: %s", tp_nl_error(NULL));
	*(int *)arg = tp_region_freeze(nl, "s");
	tp_nl_close(nl);
	return NULL;
}

static void test_nothing_leaves_before_the_fence(void)
{
	static uint8_t page[TK_PAGE];
	struct iovec iov = { .iov_base = page, .iov_len = TK_PAGE };
	unsigned long asked = 0, i;
	struct pin pin;
	pthread_t f;
	struct tk_pair p;
	int err = 1, fd;

	tk_pair_open(&p, 1, false);
	tk_new("s", NR);
	tk_fill("s", 0, NR, 4);
	tk_import(&p, "s", "d", true);
	pin_begin(&pin, "s", NR);
	f = tk_thread(freeze_s, &err);
	fd = tk_open("d", O_RDONLY);
	for (i = 0; err == 1; i = (i + 1) % NR) {
		if (!tk_stat("s").frozen)
			continue;
		asked += preadv2(fd, &iov, 1, i * TK_PAGE, RWF_NOWAIT) < 0;
	}
	pthread_join(f, NULL);
	if (!err)
		tap_skip("a fence that fails", "this kernel does not tell pins from references");
	else
		tap_ok(err == -EBUSY && asked && tk_stat("d").absent == NR,
		       "a fence that fails gave nothing away, though %lu pages were asked for",
		       asked);
	pin_end(&pin);
	if (err) {
		pin.of[0] = 0x55;
		tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
		tap_ok(pread(fd, page, TK_PAGE, 0) == (ssize_t)TK_PAGE && page[0] == 0x55 &&
		       !memcmp(page, pin.of, TK_PAGE), "the next gives what was written since");
	}
	pin_close(&pin);
	close(fd);
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

int main(void)
{
	tk_init();
	test_bits();
	test_arrivals_are_clean();
	test_no_write_is_missed();
	test_no_discard_is_missed();
	test_direct_io_in_flight();
	test_freeze();
	test_nothing_leaves_before_the_fence();
	return tap_done();
}
