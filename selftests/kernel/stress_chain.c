// SPDX-License-Identifier: GPL-2.0
/*
 * stress_chain.c - a region that is written to, frozen, exported and imported again
 * and again; the model knows what each of its pages must be, wherever it is
 */
#include <stdio.h>

#include "stress.h"

#define BURST	48U		/* pages that a reader looks at */

const char *chain_name(const struct chain *c, unsigned int hop)
{
	static _Thread_local char buf[4][32];
	static _Thread_local unsigned int at;
	char *s = buf[at++ % 4];

	snprintf(s, sizeof(*buf), "c%d.%u", (int)(c - st.chains), hop);
	return s;
}

static const char *here(const struct chain *c)
{
	return chain_name(c, c->hop);
}

bool chain_page_good(const struct chain *c, unsigned int p)
{
	const uint8_t *page = c->map + p * TK_PAGE;

	if (c->busy[p])
		return true;
	if (tk_load(page) == -SIGBUS)
		return c->abandoned;
	return c->model[p] ? tk_is_page(page, c->model[p], p) : tk_is_zero(page, TK_PAGE);
}

void chain_check(struct chain *c)
{
	unsigned int p;

	for (p = 0; p < c->pages; p++)
		st.wrong += !chain_page_good(c, p);
}

/* ---- readers ---- */

static void *reads(void *arg)
{
	struct reader *r = arg;
	unsigned int i;

	for (i = 0; i < r->n; i++)
		r->wrong += !chain_page_good(r->c, r->page[i]);
	return NULL;
}

void readers_start(struct reader r[READERS], const struct chain *c, unsigned int first, bool all)
{
	unsigned int i, j;

	for (i = 0; i < READERS; i++) {
		r[i].c = c;
		r[i].wrong = 0;
		r[i].n = all && !i ? c->pages : BURST;
		for (j = 0; j < r[i].n; j++)
			r[i].page[j] = all && !i ? j : !j ? first : below(c->pages);
		r[i].thread = tk_thread(reads, &r[i]);
	}
}

void readers_end(struct reader r[READERS])
{
	unsigned int i;

	for (i = 0; i < READERS; i++) {
		if (!tk_join(r[i].thread))
			hung("a reader whose page can come gets it");
		if (r[i].wrong)
			tap_note("%s: %u pages wrong", here(r[i].c), r[i].wrong);
		st.wrong += r[i].wrong;
	}
}

/* ---- from its making to its end ---- */

/* A child that lives on would keep a region that it got from us by fork(). */
void chain_map(struct chain *c)
{
	c->map = tk_map(here(c), c->pages, PROT_READ | PROT_WRITE, MAP_SHARED);
	if (madvise(c->map, c->pages * TK_PAGE, MADV_DONTFORK))
		tk_die("madvise: %m");
}

/* its first region fills from what a process has in its memory */
static void make_from_process(struct chain *c)
{
	struct tp_range r = { .len = c->pages * TK_PAGE };
	unsigned int p, n;
	uint32_t id;
	int fd;

	c->by_process = true;
	proc_start(&c->proc);
	r.addr = proc_must(&c->proc, P_MMAP, 0, r.len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1UL);
	for (p = 0; p < c->pages; p += n) {
		n = 1 + below(16);
		n = n > c->pages - p ? c->pages - p : n;
		if (!below(3))
			continue;
		proc_must(&c->proc, P_FILL, r.addr + p * TK_PAGE, n, st.next_seed, p);
		for (unsigned int i = p; i < p + n; i++)
			c->model[i] = st.next_seed;
		st.next_seed++;
	}
	fd = proc_mem(&c->proc);
	tk_ok(tp_export_new_pid(tk_nl, chain_name(c, 0), "", c->proc.pid, fd, &r, 1), "export");
	close(fd);
	tk_ok(tp_export_serve(tk_nl, chain_name(c, 0), st.pair.src, &id), "serve");
	tk_new(here(c), c->pages);
	tk_ok(tp_region_import(tk_nl, here(c), st.pair.dst, id, below(2)), "import");
	c->filling = true;
	chain_map(c);
}

void chain_make(struct chain *c, bool by_process)
{
	unsigned int p;

	memset(c, 0, sizeof(*c));
	c->there = true;
	c->hop = 1;
	c->pages = 1 + below(PAGES_MAX);
	if (by_process) {
		make_from_process(c);
		return;
	}
	tk_new(here(c), c->pages);
	chain_map(c);
	for (p = 0; p < c->pages; p++) {
		c->model[p] = below(3) ? st.next_seed++ : 0;
		if (c->model[p])
			tk_page(c->map + p * TK_PAGE, c->model[p], p);
	}
}

void chain_settle(struct chain *c)
{
	const char *src = chain_name(c, c->hop - 1);

	if (!c->filling)
		return;
	c->filling = false;
	tk_ok(tp_export_del(tk_nl, src), "release");
	if (!c->by_process)
		tk_del(src);
	else if (c->proc.pid)
		proc_kill(&c->proc);
	c->by_process = false;
}

bool chain_drop(struct chain *c)
{
	tk_unmap(c->map, c->pages);
	if (c->filling && !c->abandoned) {
		int err = tp_region_abandon(tk_nl, here(c));

		/* or the last page came just now */
		if (err && err != -EINVAL)
			tk_ok(err, "abandon");
	}
	tk_del(here(c));
	chain_settle(c);
	c->there = false;
	return true;
}

bool chain_complete(struct chain *c)
{
	if (c->abandoned)
		return false;
	if (!c->filling)
		return true;
	all_up();
	chain_check(c);
	if (st.wrong)
		return false;
	if (!tk_wait_state(here(c), TELEPAGE_REGION_LOCAL))
		hung("a region of which every page was read is complete");
	chain_settle(c);
	return true;
}

void chain_abandon(struct chain *c)
{
	int err;

	c->abandoned = true;
	err = tp_region_abandon(tk_nl, here(c));
	/* the last page may have come just before, and is still being accounted for */
	if (err == -EINVAL && tk_wait_state(here(c), TELEPAGE_REGION_LOCAL))
		c->abandoned = false;
	else
		tk_ok(err, "abandon");
}

void chain_move_on(const struct chain *c, bool push)
{
	const char *src = here(c), *dst = chain_name(c, c->hop + 1);
	struct tp_export ex;
	uint32_t id;
	int err;

	if (!tk_stat(src).frozen)
		tk_ok(tp_region_freeze(tk_nl, src), "freeze");
	if (!tk_stat(src).exports)
		tk_ok(tp_export_new_region(tk_nl, src, src), "export");
	ex = tk_export_stat(src);
	id = ex.id;
	if (!ex.nr_links)
		tk_ok(tp_export_serve(tk_nl, src, st.pair.src, &id), "serve");
	err = tp_region_get(tk_nl, dst, NULL);
	if (err == -ENOENT)
		tk_new(dst, c->pages);
	else
		tk_ok(err, dst);
	if (!tk_stat(dst).importing)
		tk_ok(tp_region_import(tk_nl, dst, st.pair.dst, id, push), "import");
}

void chain_moved(struct chain *c)
{
	c->hop++;
	chain_map(c);
	c->filling = true;
	st.moved++;
}

/* ---- what can be done ---- */

bool chain_hop(struct chain *c)
{
	if (!chain_complete(c))
		return false;
	tk_unmap(c->map, c->pages);
	chain_move_on(c, below(2));
	chain_moved(c);
	return true;
}

bool chain_look(struct chain *c)
{
	struct reader r[READERS];

	all_up();
	readers_start(r, c, below(c->pages), false);
	readers_end(r);
	return true;
}

/* lanes go while tasks wait, and come back */
bool chain_flap(struct chain *c)
{
	struct reader r[READERS];
	unsigned int lane = below(2), times = 1 + below(3);

	all_up();
	readers_start(r, c, below(c->pages), false);
	while (times--) {
		lane_cut(lane);
		tk_nap_ms(below(20));
		all_up();
	}
	readers_end(r);
	return true;
}

bool chain_scribble(struct chain *c)
{
	unsigned int n = 1 + below(16);

	if (c->abandoned)
		return false;
	all_up();
	while (n--) {
		unsigned int p = below(c->pages);

		tk_page(c->map + p * TK_PAGE, st.next_seed, p);
		c->model[p] = st.next_seed++;
	}
	return true;
}

bool chain_write(struct chain *c)
{
	unsigned int p = below(c->pages);
	uint8_t page[TK_PAGE];
	int fd;

	if (c->abandoned)
		return false;
	all_up();
	fd = tk_open(here(c), O_RDWR);
	tk_page(page, st.next_seed, p);
	if (pwrite(fd, page, TK_PAGE, p * TK_PAGE) != TK_PAGE)
		tk_die("write: %m");
	c->model[p] = st.next_seed++;
	close(fd);
	return true;
}

/* with a lane or without: a discarded page needs nobody */
bool chain_punch(struct chain *c)
{
	unsigned int first = below(c->pages), n = 1 + below(c->pages - first), p;
	int fd = tk_open(here(c), O_RDWR);

	n = n > 16 ? 16 : n;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first * TK_PAGE, n * TK_PAGE))
		tk_die("punch: %m");
	for (p = first; p < first + n; p++) {
		c->model[p] = 0;
		st.wrong += !chain_page_good(c, p);
	}
	close(fd);
	return true;
}

bool chain_freeze(struct chain *c)
{
	if (!chain_complete(c))
		return false;
	tk_ok(tp_region_freeze(tk_nl, here(c)), "freeze");
	if (tk_store(c->map + below(c->pages) * TK_PAGE, 1) != -SIGBUS) {
		tap_note("%s: a store into a frozen region", here(c));
		st.wrong++;
	}
	tk_ok(tp_region_thaw(tk_nl, here(c)), "thaw");
	return true;
}

bool chain_lane_off(struct chain *c)
{
	(void)c;
	lane_cut(below(2));
	return true;
}

bool chain_give_up(struct chain *c)
{
	struct reader r[READERS];

	if (!c->filling || c->abandoned)
		return false;
	/* whoever waits for the lane that is gone is let go by this */
	lane_cut(0);
	readers_start(r, c, below(c->pages), false);
	tk_nap_ms(below(10));
	chain_abandon(c);
	readers_end(r);
	return true;
}
