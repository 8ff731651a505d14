/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pulse.h - signs of life of a worker, for the agent that watches it
 *
 * A worker gives one with each thing that it has done: a piece that was read, an entry that was
 * looked at, a message. So one that is only slow, or told to be, is not taken for one that stands
 * still. Who has no pulse gives none: that costs nothing, and needs no condition.
 */
#ifndef TELEPAGE_PULSE_H
#define TELEPAGE_PULSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum pulse_state {
	PULSE_WORKS,
	PULSE_RECEIVES,			/* waits for what its peer says, */
	PULSE_SENDS,			/* or for it to listen */
};

/* shared memory of both; the agent only reads */
struct pulse {
	_Atomic uint32_t beats;
	_Atomic uint32_t state;
	_Atomic bool idle;		/* its peer may have nothing to say for any time */
};

struct pulse *pulse_new(void);		/* NULL: no memory */
void pulse_free(struct pulse *p);	/* NULL is fine */

/* in the worker, whose pulse @p is from here on; NULL: none */
void pulse_use(struct pulse *p);
void pulse_beat(void);			/* any thread */
void pulse_is(enum pulse_state state);	/* which is a beat */
void pulse_idle(bool idle);

#endif /* TELEPAGE_PULSE_H */
