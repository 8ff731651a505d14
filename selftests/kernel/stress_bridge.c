// SPDX-License-Identifier: GPL-2.0
/*
 * stress_bridge.c - VMMs whose memory is their own, and agents that attach them
 *
 * The model is of blocks: each holds the pages of one seed, or is zero.
 */
#include <stdio.h>
#include <sys/prctl.h>

#include "stress.h"
#include "uffd_vmm.h"

#define BLOCK		64U		/* pages; threads look at a power of two */
#define BLOCKS_MAX	6U

struct bridge {
	bool there;
	unsigned int nr;		/* how many there were, names its regions */
	unsigned int blocks;
	uint32_t source[BLOCKS_MAX];	/* what the peer has */
	uint32_t model[BLOCKS_MAX];	/* what the VMM must see */
	enum vmm_kind kind;
	struct vmm v;
	pid_t agent;			/* who attached it and lives on, or 0 */
};

static struct bridge bridges[BRIDGES];

struct bridge *bridge_nr(unsigned int i)
{
	return &bridges[i];
}

bool bridge_there(const struct bridge *b)
{
	return b->there;
}

static const char *name(const struct bridge *b, const char *which)
{
	static char buf[4][32];
	static unsigned int at;
	char *s = buf[at++ % 4];

	snprintf(s, sizeof(*buf), "b%d.%u.%s", (int)(b - bridges), b->nr, which);
	return s;
}

static bool detached(const struct bridge *b)
{
	return tp_uffd_get(tk_nl, name(b, "dst"), NULL) == -ENOENT;
}

/* ---- agents ---- */

static int agent(void *arg)
{
	const struct bridge *b = arg;
	struct tp_uffd_range r = { .addr = b->v.addr, .len = b->v.pages * TK_PAGE,
				   .page_size = b->v.page_size };
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (tp_nl_open(&tk_nl))
		tk_die("netlink: %s", tp_nl_error(NULL));
	err = tp_uffd_attach(tk_nl, name(b, "dst"), b->v.fd, b->v.pid, b->v.memfd, true, &r, 1);
	if (err)
		tk_die("attach: %s (%s)", strerror(-err), tp_nl_error(tk_nl));
	for (;;)
		pause();
	return 0;
}

/* one of them may be killed at any moment of it; then the next one does it */
static void attach(struct bridge *b)
{
	if (below(2)) {
		pid_t pid = tk_fork(agent, b);

		usleep(below(10000));
		kill_hard(pid);
		ends_killed(pid, "an agent that attaches a VMM");
		if (!detached(b))
			return;
	}
	b->agent = tk_fork(agent, b);
	if (!tk_until(!detached(b)))
		hung("a VMM is attached after an agent was killed that tried");
}

static void agent_gone(struct bridge *b)
{
	if (!b->agent)
		return;
	kill_hard(b->agent);
	ends_killed(b->agent, "an agent that has attached a VMM");
	b->agent = 0;
}

/* ---- from its making to its end ---- */

void bridge_make(struct bridge *b)
{
	static const enum vmm_kind kinds[] = { VMM_ANON, VMM_MEMFD, VMM_SHMEM, VMM_PRIVATE };
	unsigned int i;

	b->there = true;
	b->nr++;
	b->blocks = 1 + below(BLOCKS_MAX);
	b->kind = kinds[below(4)];
	if (!vmm_start(&b->v, b->kind, b->blocks * BLOCK, UFFD_FEATURE_EVENT_REMOVE))
		tk_die("no memory of kind %d", b->kind);
	tk_new(name(b, "src"), b->blocks * BLOCK);
	for (i = 0; i < b->blocks; i++) {
		b->source[i] = below(4) ? st.next_seed++ : 0;
		b->model[i] = b->source[i];
		if (b->source[i])
			tk_fill(name(b, "src"), i * BLOCK, BLOCK, b->source[i]);
	}
	tk_ok(tp_region_freeze(tk_nl, name(b, "src")), "freeze");
	tk_import(&st.pair, name(b, "src"), name(b, "dst"), below(2));
	attach(b);
}

/* the source is no less there */
static void check_source(const struct bridge *b)
{
	const char *src = name(b, "src");
	uint8_t *map = tk_map(src, b->blocks * BLOCK, PROT_READ, MAP_SHARED);
	unsigned int p;

	for (p = 0; p < b->blocks * BLOCK; p++) {
		uint32_t seed = b->source[p / BLOCK];

		st.wrong += seed ? !tk_is_page(map + p * TK_PAGE, seed, p) :
				   !tk_is_zero(map + p * TK_PAGE, TK_PAGE);
	}
	tk_unmap(map, b->blocks * BLOCK);
}

/* its VMM has ended, or ends now */
static void gone(struct bridge *b, int want)
{
	int status = vmm_stop(&b->v);

	if (status != want)
		hung("a bridged VMM ends with %d: %d", want, status);
	if (!tk_until(detached(b)))
		hung("a VMM that has ended is detached");
	agent_gone(b);
	check_source(b);
	tk_import_end(name(b, "src"), name(b, "dst"));
	b->there = false;
}

static void tell(const struct bridge *b, unsigned int block)
{
	vmm_tell(&b->v, b->model[block] ? VMM_THREADS : VMM_NONZERO, block * BLOCK, BLOCK,
		 b->model[block]);
}

static void hear(const struct bridge *b)
{
	int64_t n = vmm_hear(&b->v);

	if (n < 0)
		hung("a bridged VMM gets its pages");
	if (n)
		tap_note("%s: %lld pages wrong", name(b, "dst"), (long long)n);
	st.wrong += n;
}

static void look(const struct bridge *b, unsigned int block)
{
	tell(b, block);
	hear(b);
}

static void look_all(const struct bridge *b)
{
	unsigned int i;

	for (i = 0; i < b->blocks; i++)
		look(b, i);
}

/* with a lane or without, as in a region */
bool bridge_discard(struct bridge *b)
{
	bool file = b->kind == VMM_MEMFD || b->kind == VMM_SHMEM;
	unsigned int block = below(b->blocks);

	if (vmm_do(&b->v, file ? VMM_PUNCH : VMM_DISCARD, block * BLOCK, BLOCK, 0))
		hung("a bridged VMM discards");
	b->model[block] = 0;
	look(b, block);
	return true;
}

/* it ends, or keeps its memory for itself first */
bool bridge_end(struct bridge *b)
{
	bool keeps = below(2);

	all_up();
	look_all(b);
	if (keeps) {
		if (!tk_until(!tp_uffd_detach(tk_nl, name(b, "dst"))))
			hung("a VMM that has all its pages is detached: %s", tp_nl_error(tk_nl));
		agent_gone(b);
		/* there is nobody any more who would be asked */
		bridge_discard(b);
		look_all(b);
	}
	gone(b, 0);
	return true;
}

/* ---- what can be done ---- */

bool bridge_look(struct bridge *b)
{
	all_up();
	look(b, below(b->blocks));
	return true;
}

bool bridge_flap(struct bridge *b)
{
	unsigned int times = 1 + below(3), lane = below(2);

	all_up();
	tell(b, below(b->blocks));
	while (times--) {
		lane_cut(lane);
		tk_nap_ms(below(20));
		all_up();
	}
	hear(b);
	return true;
}

bool bridge_write(struct bridge *b)
{
	unsigned int block = below(b->blocks);

	all_up();
	b->model[block] = st.next_seed++;
	if (vmm_do(&b->v, VMM_WRITE, block * BLOCK, BLOCK, b->model[block]))
		hung("a bridged VMM writes");
	look(b, block);
	return true;
}

/* nobody needs it any more */
bool bridge_kill_agent(struct bridge *b)
{
	if (!b->agent)
		return false;
	if (below(2))
		lane_cut(0);
	tell(b, below(b->blocks));
	usleep(below(10000));
	agent_gone(b);
	all_up();
	hear(b);
	look_all(b);
	return true;
}

bool bridge_kill_vmm(struct bridge *b)
{
	if (below(2))
		lane_cut(0);
	tell(b, below(b->blocks));
	usleep(below(20000));
	/* its agent before, after, or never */
	if (below(2))
		agent_gone(b);
	kill_hard(b->v.pid);
	gone(b, 128 + SIGKILL);
	return true;
}

/* what it waits for is SIGBUS, and so its end; what has come is right */
bool bridge_give_up(struct bridge *b)
{
	unsigned int i, block = below(b->blocks);
	int64_t n = 0;
	int err;

	lane_cut(0);
	tell(b, block);
	usleep(below(10000));
	err = tp_region_abandon(tk_nl, name(b, "dst"));
	/* nothing is absent any more: then it goes on */
	if (err == -EINVAL && tk_wait_state(name(b, "dst"), TELEPAGE_REGION_LOCAL)) {
		hear(b);
		return false;
	}
	tk_ok(err, "abandon");
	for (i = 0; i < b->blocks && n >= 0; i++) {
		if (i)
			tell(b, (block + i) % b->blocks);
		n = vmm_hear(&b->v);
		st.wrong += n > 0 ? n : 0;
	}
	gone(b, n < 0 ? 128 + SIGBUS : 0);
	return true;
}
