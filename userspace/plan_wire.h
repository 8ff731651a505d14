/* SPDX-License-Identifier: GPL-2.0 */
/*
 * plan_wire.h - what two workers say to each other (Documentation/plan.md)
 *
 * Blocking, in turns. What comes is another host's: lengths and ranges are checked here.
 */
#ifndef TELEPAGE_PLAN_WIRE_H
#define TELEPAGE_PLAN_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"

#define PLAN_PAGES_MAX	8192U		/* of one message */
#define PLAN_TURN_MAX	(2 * PLAN_PAGES_MAX)	/* named, or asked about, in one turn */
#define PLAN_RUNS_MAX	4096U		/* of one STALE or UNCHANGED */
#define PLAN_PREFIX	8		/* bytes of a digest that find a page */

enum plan_msg {
	PLAN_TURN = 1,
	PLAN_PAGES,
	PLAN_ASK,
	PLAN_SAME,
	PLAN_DIGESTS,
	PLAN_LOOKED,
	PLAN_STALE,
	PLAN_FENCE,
	PLAN_DONE,
	PLAN_KNOWN,
	PLAN_HAVE,
	PLAN_UNCHANGED,
};

/* what PAGES and ASK begin with */
struct plan_head {
	uint32_t region, count;
	uint64_t first;
};

struct plan_run {
	uint64_t first, count;
};

/* what KNOWN, HAVE, STALE and UNCHANGED begin with */
struct plan_list {
	uint32_t region, nr;
};

struct plan_wire {
	int fd;
	uint8_t *out;			/* the turn that is being made */
	size_t out_len, out_size;
	uint8_t *in;			/* the message that has come */
	size_t in_size;
	uint64_t sent, got;		/* bytes */
	bool broken;			/* the connection has failed, not what was said over it */
};

void plan_wire_init(struct plan_wire *w, int fd);
void plan_wire_free(struct plan_wire *w);

/* nothing is sent before the turn ends */
void plan_put(struct plan_wire *w, enum plan_msg type, const void *head, size_t head_len,
	      const void *body, size_t len);
int plan_end_turn(struct plan_wire *w);	/* 0 or a negative errno */

/* the next message of the other side's turn: its type, or a negative errno */
int plan_get(struct plan_wire *w, const uint8_t **body, size_t *len);

/*
 * STALE and UNCHANGED: a list of runs, all of them within @pages[@nr]; to be freed. NULL:
 * it is not.
 */
struct plan_run *plan_runs(const uint8_t *body, size_t len, const uint64_t *pages,
			   unsigned int nr, struct plan_list *l);
void plan_put_runs(struct plan_wire *w, enum plan_msg type, unsigned int region,
		   const struct plan_run *runs, size_t nr);

/* the head of PAGES, ASK; false: it is not within regions of @pages[@nr] */
bool plan_head(const uint8_t *body, size_t len, const uint64_t *pages, unsigned int nr,
	       struct plan_head *h);

#endif /* TELEPAGE_PLAN_WIRE_H */
