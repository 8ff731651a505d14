// SPDX-License-Identifier: GPL-2.0
/*
 * stress_kill.c - who uses a region, moves it or is its source is killed
 *
 * What has come stays, what was written is what it was or what it was to be, word by
 * word, and nobody else waits for who has ended.
 */
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "stress.h"

#define USERS	3		/* threads of a VMM that read */
#define WRITES	8U		/* pages that it is to write, at most */

void kill_hard(pid_t pid)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);
	bool reap = below(2);

	if (fd < 0)
		tk_die("pidfd: %m");
	kill(pid, SIGKILL);
	/* what the kernel does when memory is short; too late, if it has ended already */
	if (reap && !syscall(SYS_process_mrelease, fd, 0))
		st.reaped++;
	close(fd);
}

void ends_killed(pid_t pid, const char *who)
{
	if (tk_reap(pid) != 128 + SIGKILL)
		hung("%s that is killed ends", who);
}

/* ---- a VMM that has mapped the region ---- */

struct vmm_work {
	struct chain *c;
	unsigned int n, page[WRITES];
	uint32_t seed[WRITES];
	unsigned int first, random;	/* what is read first, and what then */
	atomic_uint *wrong;		/* where the test sees it */
};

static bool file_good(const struct chain *c, int fd, unsigned int p)
{
	uint8_t page[TK_PAGE];

	if (c->busy[p])
		return true;
	if (pread(fd, page, TK_PAGE, p * TK_PAGE) != (ssize_t)TK_PAGE)
		return false;
	return c->model[p] ? tk_is_page(page, c->model[p], p) : tk_is_zero(page, TK_PAGE);
}

/* its memory, and now and then its file */
static void *vmm_reads(void *arg)
{
	const struct vmm_work *w = arg;
	const struct chain *c = w->c;
	int fd = tk_open(chain_name(c, c->hop), O_RDONLY);
	unsigned int random = w->random + gettid(), p = w->first;

	for (;;) {
		*w->wrong += !(rand_r(&random) % 4 ? chain_page_good(c, p) : file_good(c, fd, p));
		p = rand_r(&random) % c->pages;
	}
	return NULL;
}

static int vmm(void *arg)
{
	struct vmm_work *w = arg;
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	chain_map(w->c);
	for (i = 0; i < USERS; i++)
		tk_thread(vmm_reads, w);
	for (i = 0; i < w->n; i++)
		tk_page(w->c->map + w->page[i] * TK_PAGE, w->seed[i], w->page[i]);
	for (;;)
		pause();
	return 0;
}

/* The words of a page come one after the other: new ones, then old ones. */
static bool half_written(const uint8_t *page, uint32_t was, uint32_t is, unsigned int p)
{
	uint64_t old[TK_PAGE / 8] = { 0 }, new[TK_PAGE / 8];
	const uint64_t *now = (const uint64_t *)page;
	unsigned int i = 0;

	if (was)
		tk_page(old, was, p);
	tk_page(new, is, p);
	while (i < TK_PAGE / 8 && now[i] == new[i])
		i++;
	return !memcmp(now + i, old + i, TK_PAGE - i * 8);
}

/* what of its writes has become true is for whoever looks to say; one that began is ended */
static void take_over(struct chain *c, const struct vmm_work *w)
{
	unsigned int i;

	for (i = 0; i < w->n; i++) {
		unsigned int p = w->page[i];
		uint8_t *page = c->map + p * TK_PAGE;

		c->busy[p] = false;
		if (!half_written(page, c->model[p], w->seed[i], p)) {
			tap_note("a page that a killed VMM was to write is neither old nor new");
			st.wrong++;
		}
		if (chain_page_good(c, p))
			continue;
		tk_page(page, w->seed[i], p);
		c->model[p] = w->seed[i];
	}
}

bool kill_vmm(struct chain *c)
{
	struct vmm_work w = { .c = c, .first = below(c->pages), .random = below(1 << 30) };
	struct reader r[READERS];
	unsigned int i, n = below(WRITES + 1);
	pid_t pid;

	if (c->abandoned)
		return false;
	if (below(2))
		lane_cut(0);
	/* so that there is something to wait for */
	if (!c->filling && below(4))
		chain_hop(c);
	w.wrong = mmap(NULL, TK_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w.wrong == MAP_FAILED)
		tk_die("mmap: %m");
	for (i = 0; i < n; i++) {
		unsigned int p = below(c->pages);

		if (c->busy[p] || p == w.first)
			continue;
		c->busy[p] = true;
		w.page[w.n] = p;
		w.seed[w.n++] = st.next_seed++;
	}
	pid = tk_fork(vmm, &w);
	/* others wait for the same page, and go on waiting */
	readers_start(r, c, w.first, false);
	usleep(below(20000));
	kill_hard(pid);
	ends_killed(pid, "a VMM whose threads wait for pages");
	all_up();
	readers_end(r);
	take_over(c, &w);
	st.wrong += *w.wrong;
	munmap(w.wrong, TK_PAGE);
	return true;
}

/* ---- an agent that moves the region on ---- */

struct errand {
	const struct chain *c;
	bool push;
};

static int agent(void *arg)
{
	const struct errand *e = arg;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (tp_nl_open(&tk_nl))
		tk_die("netlink: %s", tp_nl_error(NULL));
	chain_move_on(e->c, e->push);
	all_up();
	for (;;)
		pause();
	return 0;
}

/* at any moment of a move; another one looks how far it came, and goes on from there */
bool kill_agent(struct chain *c)
{
	struct errand e = { c, below(2) };
	unsigned int i, lane = below(3), us = below(15000);
	pid_t pid;

	if (!chain_complete(c))
		return false;
	if (lane < 2)
		lane_cut(lane);
	tk_unmap(c->map, c->pages);
	pid = tk_fork(agent, &e);
	usleep(us);
	kill_hard(pid);
	ends_killed(pid, "an agent");
	/* what it had connected may be one end, both, or none */
	for (i = 0; i < 2; i++)
		if (st.cut[i])
			tk_pair_detach(&st.pair, i);
	chain_move_on(c, e.push);
	chain_moved(c);
	return true;
}

/* ---- a process whose memory is exported ---- */

/* what has come is right, the rest an error and no zeros, and who asks is told */
bool kill_source(struct chain *c)
{
	struct reader r[READERS];
	const char *src;
	enum telepage_region_state state;

	if (!c->by_process || c->abandoned) {
		chain_drop(c);
		chain_make(c, true);
	}
	src = chain_name(c, c->hop - 1);
	if (!below(4))
		lane_cut(0);
	else
		all_up();
	readers_start(r, c, below(c->pages), true);
	usleep(below(10000));
	kill_hard(c->proc.pid);
	ends_killed(c->proc.pid, "a process that is exported");
	close(c->proc.sock);
	c->proc.pid = 0;
	all_up();
	if (!tk_until(tk_export_stat(src).lost))
		hung("an export whose process has ended is lost");
	if (!tk_until(tk_stat(chain_name(c, c->hop)).state != TELEPAGE_REGION_FILLING))
		hung("who needs a page of a process that has ended is told so");
	state = tk_stat(chain_name(c, c->hop)).state;
	if (state != TELEPAGE_REGION_LOCAL)
		chain_abandon(c);
	readers_end(r);
	if (!c->abandoned)
		chain_settle(c);
	return true;
}
