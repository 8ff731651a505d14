// SPDX-License-Identifier: GPL-2.0
/*
 * stress.c - anything that regions can go through, against a model of every page
 *
 *	tk-stress [SECONDS]	60
 *
 * A chain is a region that is written to, frozen, exported and imported again and
 * again; the model knows what each of its pages must be, wherever it is. Meanwhile
 * lanes are cut and come back, pages are discarded, regions are given up and deleted.
 * What a user would lose: a page, or a task that waits though its cause has ended.
 * SEED= in the environment repeats what is done; when tasks get to run is the
 * kernel's matter.
 */
#include <stdio.h>
#include <time.h>

#include "tk.h"

#define CHAINS		4
#define PAGES_MAX	256U
#define READERS		3
#define BURST		48		/* pages that a reader looks at */

struct chain {
	bool there, filling, abandoned;
	unsigned int hop;		/* how often it moved; names its regions */
	unsigned int pages;
	uint32_t model[PAGES_MAX];	/* seed of a page, 0: zero */
	uint8_t *map;
};

static struct chain chains[CHAINS];
static struct tk_pair pair;
static bool cut[2];
static uint64_t state;
static uint32_t next_seed = 1;
static unsigned int wrong, hung, moved, done[16];

static uint32_t below(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state * 0x2545f4914f6cdd1d) >> 32) % n;
}

static const char *name(const struct chain *c, unsigned int hop)
{
	static _Thread_local char buf[4][32];
	static _Thread_local unsigned int at;
	char *s = buf[at++ % 4];

	snprintf(s, sizeof(*buf), "c%d.%u", (int)(c - chains), hop);
	return s;
}

static const char *here(const struct chain *c)
{
	return name(c, c->hop);
}

static bool page_good(const struct chain *c, unsigned int p)
{
	const uint8_t *page = c->map + p * TK_PAGE;

	/* of a region that was given up a page is right or not to be had */
	if (c->abandoned && tk_load(page) == -SIGBUS)
		return true;
	return c->model[p] ? tk_is_page(page, c->model[p], p) : tk_is_zero(page, TK_PAGE);
}

/* ---- readers, which wait as long as a lane is cut ---- */

struct reader {
	const struct chain *c;
	unsigned int page[BURST], wrong;
	pthread_t thread;
};

static void *reads(void *arg)
{
	struct reader *r = arg;
	unsigned int i;

	for (i = 0; i < BURST; i++)
		r->wrong += !page_good(r->c, r->page[i]);
	return NULL;
}

static void readers_start(struct reader *r, const struct chain *c)
{
	unsigned int i, j;

	for (i = 0; i < READERS; i++) {
		r[i].c = c;
		r[i].wrong = 0;
		for (j = 0; j < BURST; j++)
			r[i].page[j] = below(c->pages);
		r[i].thread = tk_thread(reads, &r[i]);
	}
}

static void readers_end(struct reader *r)
{
	unsigned int i;

	for (i = 0; i < READERS; i++) {
		if (!tk_join(r[i].thread)) {
			tap_ok(false, "a reader whose page can come gets it");
			hung++;
			exit(tap_done());
		}
		if (r[i].wrong)
			tap_note("%s: %u pages wrong", here(r[i].c), r[i].wrong);
		wrong += r[i].wrong;
	}
}

/* ---- what can be done ---- */

static void all_up(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (cut[i])
			tk_pair_attach(&pair, i);
	cut[0] = cut[1] = false;
}

/* the source of a chain that has all its pages is needed no more */
static void settle(struct chain *c)
{
	const char *src = name(c, c->hop - 1);

	if (!c->filling)
		return;
	c->filling = false;
	tk_ok(tp_export_del(tk_nl, src), "release");
	tk_del(src);
}

static void make(struct chain *c)
{
	unsigned int p;

	memset(c, 0, sizeof(*c));
	c->there = true;
	c->hop = 1;
	c->pages = 1 + below(PAGES_MAX);
	tk_new(here(c), c->pages);
	c->map = tk_map(here(c), c->pages, PROT_READ | PROT_WRITE, MAP_SHARED);
	for (p = 0; p < c->pages; p++) {
		c->model[p] = below(3) ? next_seed++ : 0;
		if (c->model[p])
			tk_page(c->map + p * TK_PAGE, c->model[p], p);
	}
}

static void drop(struct chain *c)
{
	tk_unmap(c->map, c->pages);
	if (c->filling && !c->abandoned) {
		int err = tp_region_abandon(tk_nl, here(c));

		/* or the last page came just now */
		if (err && err != -EINVAL)
			tk_ok(err, "abandon");
	}
	tk_del(here(c));
	settle(c);
	c->there = false;
}

/* all pages have come, or will */
static bool complete(struct chain *c)
{
	unsigned int p;

	if (!c->filling)
		return true;
	all_up();
	for (p = 0; p < c->pages; p++)
		wrong += !page_good(c, p);
	if (!tk_wait_state(here(c), TELEPAGE_REGION_LOCAL)) {
		tap_ok(false, "a region of which every page was read is complete");
		hung++;
		return false;
	}
	settle(c);
	return true;
}

static void hop(struct chain *c)
{
	uint32_t id;

	if (c->abandoned || !complete(c))
		return;
	tk_unmap(c->map, c->pages);
	tk_ok(tp_region_freeze(tk_nl, here(c)), "freeze");
	tk_ok(tp_export_new_region(tk_nl, here(c), here(c)), "export");
	tk_ok(tp_export_serve(tk_nl, here(c), pair.src, &id), "serve");
	c->hop++;
	tk_new(here(c), c->pages);
	tk_ok(tp_region_import(tk_nl, here(c), pair.dst, id, below(2)), "import");
	c->map = tk_map(here(c), c->pages, PROT_READ | PROT_WRITE, MAP_SHARED);
	c->filling = true;
	moved++;
}

static void look(struct chain *c)
{
	struct reader r[READERS];

	all_up();
	readers_start(r, c);
	readers_end(r);
}

/* lanes go while tasks wait, and come back */
static void flap(struct chain *c)
{
	struct reader r[READERS];
	unsigned int lane = below(2), times = 1 + below(3);

	all_up();
	readers_start(r, c);
	while (times--) {
		tk_pair_detach(&pair, lane);
		tk_nap_ms(below(20));
		tk_pair_attach(&pair, lane);
	}
	readers_end(r);
}

static void scribble(struct chain *c)
{
	unsigned int n = 1 + below(16);

	if (c->abandoned)
		return;
	all_up();
	while (n--) {
		unsigned int p = below(c->pages);

		tk_page(c->map + p * TK_PAGE, next_seed, p);
		c->model[p] = next_seed++;
	}
}

static void by_write(struct chain *c)
{
	unsigned int p = below(c->pages);
	uint8_t page[TK_PAGE];
	int fd;

	if (c->abandoned)
		return;
	all_up();
	fd = tk_open(here(c), O_RDWR);
	tk_page(page, next_seed, p);
	if (pwrite(fd, page, TK_PAGE, p * TK_PAGE) != TK_PAGE)
		tk_die("write: %m");
	c->model[p] = next_seed++;
	close(fd);
}

/* with a lane or without: a discarded page needs nobody */
static void punch(struct chain *c)
{
	unsigned int first = below(c->pages), n = 1 + below(c->pages - first), p;
	int fd = tk_open(here(c), O_RDWR);

	n = n > 16 ? 16 : n;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first * TK_PAGE, n * TK_PAGE))
		tk_die("punch: %m");
	for (p = first; p < first + n; p++) {
		c->model[p] = 0;
		wrong += !page_good(c, p);
	}
	close(fd);
}

static void freeze(struct chain *c)
{
	if (c->abandoned || !complete(c))
		return;
	tk_ok(tp_region_freeze(tk_nl, here(c)), "freeze");
	if (tk_store(c->map + below(c->pages) * TK_PAGE, 1) != -SIGBUS) {
		tap_note("%s: a store into a frozen region", here(c));
		wrong++;
	}
	tk_ok(tp_region_thaw(tk_nl, here(c)), "thaw");
}

static void lane_off(struct chain *c)
{
	unsigned int lane = below(2);

	if (!cut[lane])
		tk_pair_detach(&pair, lane);
	cut[lane] = true;
}

static void give_up(struct chain *c)
{
	struct reader r[READERS];
	int err;

	if (!c->filling || c->abandoned)
		return;
	/* whoever waits for the lane that is gone is let go by this */
	if (!cut[0])
		tk_pair_detach(&pair, 0);
	cut[0] = true;
	c->abandoned = true;
	readers_start(r, c);
	tk_nap_ms(below(10));
	err = tp_region_abandon(tk_nl, here(c));
	/* the last page may have come just before, and is still being accounted for */
	if (err == -EINVAL && tk_wait_state(here(c), TELEPAGE_REGION_LOCAL))
		c->abandoned = false;
	else
		tk_ok(err, "abandon");
	readers_end(r);
}

static const struct {
	void (*fn)(struct chain *c);
	unsigned int often;
} acts[] = {
	{ hop, 6 }, { look, 6 }, { flap, 4 }, { scribble, 5 }, { by_write, 4 }, { punch, 5 },
	{ freeze, 2 }, { lane_off, 3 }, { give_up, 1 }, { drop, 1 },
};

#define NR_ACTS	(sizeof(acts) / sizeof(*acts))

static void act(void)
{
	struct chain *c = &chains[below(CHAINS)];
	unsigned int all = 0, i;

	if (!c->there) {
		make(c);
		return;
	}
	for (i = 0; i < NR_ACTS; i++)
		all += acts[i].often;
	all = below(all);
	for (i = 0; all >= acts[i].often; i++)
		all -= acts[i].often;
	acts[i].fn(c);
	done[i]++;
}

int main(int argc, char **argv)
{
	const char *given = getenv("SEED");
	uint64_t seed = given && *given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL), end;
	unsigned int steps = 0, i, p, idle = 0;

	tk_init();
	tap_note("SEED=%llu", (unsigned long long)seed);
	state = seed * 0x9e3779b97f4a7c15 | 1;
	tk_pair_open(&pair, 1, false);
	end = tk_now_ms() + (argc > 1 ? atoi(argv[1]) : 60) * 1000;
	while (tk_now_ms() < end && !wrong && !hung) {
		act();
		steps++;
	}
	for (i = 0; i < CHAINS; i++) {
		struct chain *c = &chains[i];

		if (!c->there)
			continue;
		all_up();
		for (p = 0; p < c->pages; p++)
			wrong += !page_good(c, p);
		drop(c);
	}
	for (i = 0; i < NR_ACTS; i++)
		idle += !done[i];
	tap_note("%u steps, %u moves, %u pages written", steps, moved, next_seed);
	tap_ok(!wrong, "every page was what it had to be at every step");
	tap_ok(!hung, "every wait ended when its cause did");
	tap_ok(!idle, "everything was done that can be done");
	tk_pair_close(&pair);
	return tap_done();
}
