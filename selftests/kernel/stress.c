// SPDX-License-Identifier: GPL-2.0
/*
 * stress.c - anything that can happen to regions, against a model of every page
 *
 *	tk-stress [SECONDS]	60
 *
 * What a user would lose: a page, or a task that waits though its cause has ended.
 * SEED= in the environment repeats what is done; when tasks get to run is the
 * kernel's matter.
 */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "stress.h"

struct stress st = { .next_seed = 1 };

static uint64_t state;

static struct act {
	const char *name;
	unsigned int often;
	bool (*chain)(struct chain *c);
	bool (*bridge)(struct bridge *b);
	unsigned int tried, done;
} acts[] = {
	{ "a chain moves on", 6, .chain = chain_hop },
	{ "pages are read", 6, .chain = chain_look },
	{ "lanes come and go", 4, .chain = chain_flap },
	{ "pages are written", 5, .chain = chain_scribble },
	{ "write()", 4, .chain = chain_write },
	{ "pages are discarded", 5, .chain = chain_punch },
	{ "frozen and thawed", 2, .chain = chain_freeze },
	{ "a lane goes", 3, .chain = chain_lane_off },
	{ "a chain is given up", 1, .chain = chain_give_up },
	{ "a chain is deleted", 1, .chain = chain_drop },
	{ "a VMM that maps a region is killed", 4, .chain = kill_vmm },
	{ "an agent is killed", 4, .chain = kill_agent },
	{ "a process that is exported is killed", 4, .chain = kill_source },
	{ "a bridged VMM reads", 4, .bridge = bridge_look },
	{ "a bridged VMM reads as lanes come and go", 2, .bridge = bridge_flap },
	{ "a bridged VMM writes", 3, .bridge = bridge_write },
	{ "a bridged VMM discards", 3, .bridge = bridge_discard },
	{ "the agent that attached a VMM is killed", 3, .bridge = bridge_kill_agent },
	{ "a bridged VMM is killed", 2, .bridge = bridge_kill_vmm },
	{ "a bridged VMM is given up", 1, .bridge = bridge_give_up },
	{ "a bridged VMM ends", 1, .bridge = bridge_end },
};

#define NR_ACTS	(sizeof(acts) / sizeof(*acts))

uint32_t below(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state * 0x2545f4914f6cdd1d) >> 32) % n;
}

void hung(const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	tap_ok(false, "%s", what);
	exit(tap_done());
}

void lane_cut(unsigned int lane)
{
	if (!st.cut[lane])
		tk_pair_detach(&st.pair, lane);
	st.cut[lane] = true;
}

void all_up(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (st.cut[i])
			tk_pair_attach(&st.pair, i);
	memset(st.cut, 0, sizeof(st.cut));
}

static bool to_chain(struct act *a)
{
	struct chain *c = &st.chains[below(CHAINS)];

	if (!c->there)
		chain_make(c, !below(3));
	/* there is not much left to do with one that was given up */
	if (c->abandoned && !below(4)) {
		chain_drop(c);
		return false;
	}
	return a->chain(c);
}

static bool to_bridge(struct act *a)
{
	struct bridge *b = bridge_nr(below(BRIDGES));

	if (!bridge_there(b))
		bridge_make(b);
	return a->bridge(b);
}

static void act(struct act *a, unsigned int step)
{
	tk_busy(a->name, step);
	a->tried++;
	a->done += a->chain ? to_chain(a) : to_bridge(a);
	tk_busy(NULL, 0);
	if (st.wrong)
		tap_note("step %u: %s: %u pages wrong", step, a->name, st.wrong);
}

/* by how often each of them is to be, and now and then what was done least */
static struct act *next_act(void)
{
	unsigned int all = 0, i;
	struct act *least = acts;

	if (!below(4)) {
		for (i = 1; i < NR_ACTS; i++)
			if (acts[i].tried < least->tried)
				least = &acts[i];
		return least;
	}
	for (i = 0; i < NR_ACTS; i++)
		all += acts[i].often;
	all = below(all);
	for (i = 0; all >= acts[i].often; i++)
		all -= acts[i].often;
	return &acts[i];
}

int main(int argc, char **argv)
{
	const char *given = getenv("SEED");
	uint64_t seed = given && *given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL), end;
	unsigned int steps = 0, idle = 0, tries, i;

	tk_init();
	tap_note("SEED=%llu", (unsigned long long)seed);
	state = seed * 0x9e3779b97f4a7c15 | 1;
	tk_pair_open(&st.pair, 1, false);
	tk_watch();
	end = tk_now_ms() + (argc > 1 ? atoi(argv[1]) : 60) * 1000;
	while (tk_now_ms() < end && !st.wrong)
		act(next_act(), steps++);
	/* what there was no time for, or nothing to do it to: others bring that about */
	for (i = 0; i < NR_ACTS; i++) {
		for (tries = 0; tries < 100 && !acts[i].done && !st.wrong; tries++) {
			act(&acts[i], steps++);
			if (!acts[i].done)
				act(next_act(), steps++);
		}
	}
	all_up();
	for (i = 0; i < CHAINS; i++) {
		struct chain *c = &st.chains[i];

		if (!c->there)
			continue;
		chain_check(c);
		chain_drop(c);
	}
	for (i = 0; i < BRIDGES; i++)
		if (bridge_there(bridge_nr(i)))
			bridge_end(bridge_nr(i));
	tap_note("%u steps, %u moves, %u pages written, memory of %u that were killed taken away",
		 steps, st.moved, st.next_seed, st.reaped);
	tap_ok(!st.wrong, "every page was what it had to be at every step, and every wait ended");
	for (i = 0; i < NR_ACTS; i++) {
		tap_note("%3u times: %s", acts[i].done, acts[i].name);
		idle += !acts[i].done;
	}
	tap_ok(!idle, "everything was done that can be done");
	tk_pair_close(&st.pair);
	return tap_done();
}
