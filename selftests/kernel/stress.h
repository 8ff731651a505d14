/* SPDX-License-Identifier: GPL-2.0 */
/*
 * stress.h - what is stressed, and what each page of it must be
 *
 * A chain is a region that moves on and on (stress_chain.c); its users, its movers and
 * the process that it fills from are killed (stress_kill.c). A bridge is a VMM with
 * memory of its own that is served from a region (stress_bridge.c). What is done, to
 * which of them and for how long all comes from below(), so from the seed.
 */
#ifndef TELEPAGE_STRESS_H
#define TELEPAGE_STRESS_H

#include <stdatomic.h>

#include "proc.h"
#include "tk.h"

#define CHAINS		4
#define BRIDGES		2
#define PAGES_MAX	256U
#define READERS		3

struct chain {
	bool there, filling;
	atomic_bool abandoned;		/* its pages are right or not to be had */
	unsigned int hop;		/* how often it moved; names its regions */
	unsigned int pages;
	uint32_t model[PAGES_MAX];	/* seed of a page, 0: zero */
	bool busy[PAGES_MAX];		/* somebody writes to it: nobody looks */
	uint8_t *map;			/* ours alone, a child has to map the region itself */
	bool by_process;		/* it fills from the memory of a process */
	struct proc proc;		/* pid 0: it was killed */
};

struct bridge;

extern struct stress {
	struct tk_pair pair;
	bool cut[2];			/* lanes */
	uint32_t next_seed;		/* of a page that is written */
	unsigned int wrong, moved;
	unsigned int reaped;		/* times that memory was taken from who was killed */
	struct chain chains[CHAINS];
} st;

/* what comes of the seed: 0 to @n - 1 */
uint32_t below(uint32_t n);

/* lanes */
void all_up(void);
void lane_cut(unsigned int lane);

/* chains; what cannot be done to one as it is returns false */
void chain_make(struct chain *c, bool by_process);
bool chain_drop(struct chain *c);
bool chain_hop(struct chain *c);
bool chain_look(struct chain *c);
bool chain_flap(struct chain *c);
bool chain_scribble(struct chain *c);
bool chain_write(struct chain *c);
bool chain_punch(struct chain *c);
bool chain_freeze(struct chain *c);
bool chain_lane_off(struct chain *c);
bool chain_give_up(struct chain *c);
/* is each page what it has to be? */
void chain_check(struct chain *c);

/* their parts */
const char *chain_name(const struct chain *c, unsigned int hop);
void chain_map(struct chain *c);
bool chain_page_good(const struct chain *c, unsigned int p);
/* all pages have come, or will; false: given up, or the test has failed */
bool chain_complete(struct chain *c);
/* what the chain filled from is needed no more */
void chain_settle(struct chain *c);
/* begins the next hop, or goes on where an agent that was killed left it */
void chain_move_on(const struct chain *c, bool push);
/* the next hop was begun */
void chain_moved(struct chain *c);
/* what is absent is given up; nothing is when the last page came just now */
void chain_abandon(struct chain *c);

/* tasks that wait as long as a lane is cut */
struct reader {
	const struct chain *c;
	unsigned int n, page[PAGES_MAX], wrong;
	pthread_t thread;
};

/* they begin with page @first; @all: one of them reads every page, in order */
void readers_start(struct reader r[READERS], const struct chain *c, unsigned int first, bool all);
void readers_end(struct reader r[READERS]);

/* who holds something is killed */
bool kill_vmm(struct chain *c);
bool kill_agent(struct chain *c);
bool kill_source(struct chain *c);
/* its memory may be taken away before it has ended, as when there is none; not reaped */
void kill_hard(pid_t pid);
/* a process that was killed has ended in time */
void ends_killed(pid_t pid, const char *who);

/* bridges */
struct bridge *bridge_nr(unsigned int i);
bool bridge_there(const struct bridge *b);
void bridge_make(struct bridge *b);
bool bridge_end(struct bridge *b);
bool bridge_look(struct bridge *b);
bool bridge_flap(struct bridge *b);
bool bridge_write(struct bridge *b);
bool bridge_discard(struct bridge *b);
bool bridge_kill_agent(struct bridge *b);
bool bridge_kill_vmm(struct bridge *b);
bool bridge_give_up(struct bridge *b);

/* something waits though its cause has ended; the program ends */
__attribute__((format(printf, 1, 2), noreturn))
void hung(const char *fmt, ...);

#endif /* TELEPAGE_STRESS_H */
