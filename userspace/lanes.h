/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lanes.h - links and the sockets that become their lanes
 *
 * A plink is the agent's view of one kernel link. All that is needed to make
 * its lanes anew stands in the link's note, so that plinks_adopt() of a new
 * agent comes to the same as having made the link itself.
 */
#ifndef TELEPAGE_LANES_H
#define TELEPAGE_LANES_H

#include "agent.h"
#include "tls.h"
#include "transport.h"

struct greet;

struct plane {
	bool attached, up;
	struct greet *greet;		/* a connection being made */
	struct timer retry;
	unsigned int backoff;		/* ms, 0: first attempt */
};

struct plink {
	uint32_t id;			/* the kernel's */
	bool connects;			/* we connect the lanes, else we accept them */
	bool import;			/* of `telepage import`, else of a move */
	char token[TOKEN_LEN + 1];
	char who[TLS_WHO_MAX];		/* the peer: nobody else has a lane of it */
	struct target target;		/* only when we connect */
	unsigned int nr_lanes;
	char name[TELEPAGE_NAME_MAX + 1];	/* VM or export, for people */
	char export[TELEPAGE_NAME_MAX + 1];	/* of an import: what it is called there */
	char move[TOKEN_LEN + 1];
	struct plane lane[TELEPAGE_LANE_MAX + 1];
	char last_error[256];		/* why a lane could not be connected */
	bool used;			/* it has had a lane, of this agent */
	bool closing;			/* lost lanes are what we expect */
	struct planner *planner;	/* of an export that is served over it */
	unsigned int plans, stalls;	/* that were begun for that, and stood still */

	/* called whenever a lane comes up or is lost */
	void (*changed)(struct plink *l, void *arg);
	void *arg;
	LIST_ENTRY(plink) list;
};

struct plink_args {
	bool connects, import;
	const char *token;		/* NULL: make one */
	const char *who;
	const struct target *target;
	unsigned int nr_lanes;
	const char *name, *move, *export;
};

/* 0 or a negative errno with the words in @err */
int plink_new(struct plink **out, const struct plink_args *a, char *err, size_t len);
/* everything the kernel has; links without a note of ours are left alone */
void plinks_adopt(void);
/* every link that connects its lanes, of a new agent */
void plinks_start(void);
/* connect what is not connected, and keep it so */
void plink_start(struct plink *l);
bool plink_up(const struct plink *l);	/* every lane */
/* forget it and everything under way for it; the kernel's link stays */
void plink_forget(struct plink *l);
struct plink *plink_find(uint32_t id);
struct plink *plink_by_token(const char *token);
struct plink *plink_first(void);
/* a socket whose first line asked to be a lane; takes over @fd */
void plink_accept_lane(int fd, json_t *first, const char *from, const char *who);

#endif /* TELEPAGE_LANES_H */
