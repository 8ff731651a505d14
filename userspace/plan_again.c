// SPDX-License-Identifier: GPL-2.0
/*
 * plan_again.c - a plan's connection, made anew when a plan broke off
 *
 * Who has connected the link connects, as for a lane that is lost, but not for ever: with
 * all lanes up it is no use after a few tries. An agent that is being restarted, on a host
 * that is busy besides, is there again before. The other side waits for it with what it
 * holds back, and gives up when it could have come.
 */
#include <stdio.h>
#include <unistd.h>

#include "lanes.h"
#include "planner.h"

#define BACKOFF_MIN	100
#define BACKOFF_MAX	5000
#define VAIN_MAX	12		/* tries without a plan, all lanes up: 36 s */
#define LOOK_MS		1000
#define WAIT_S		15		/* with all lanes up; the longest pause is 5 s */

/* --- who connects --------------------------------------------------------------------- */

static void try_now(void *arg);

static void give_up(void *arg)
{
	struct plan_dial *d = arg;

	note("plan of %s: given up%s%s", d->link->name, *d->last_error ? ": " : "", d->last_error);
	d->over = now_ms();
	d->ops->over(d->arg);
}

void plan_dial_again(struct plan_dial *d)
{
	/* from the loop: whoever calls this may be on his way to end it */
	if (d->tries >= PLAN_TRIES || d->vain >= VAIN_MAX || d->link->closing) {
		timer_set(&d->timer, 0, give_up, d);
		return;
	}
	d->backoff = d->backoff ? d->backoff * 2 : BACKOFF_MIN;
	if (d->backoff > BACKOFF_MAX)
		d->backoff = BACKOFF_MAX;
	timer_set(&d->timer, d->backoff, try_now, d);
}

static void connected(int fd, const char *addr, const char *who, const char *err, void *arg)
{
	struct plan_dial *d = arg;

	(void)addr;
	d->greet = NULL;
	if (fd >= 0 && strcmp(who, d->link->who) != 0) {
		close(fd);
		fd = -1;
		err = "somebody else answers";
	}
	if (fd < 0) {
		/* without its lanes nothing could cross the link anyway: nobody has lost by it */
		if (plink_up(d->link))
			d->vain++;
		if (strcmp(d->last_error, err) != 0)
			note("plan of %s: %s", d->link->name, err);
		copy_str(d->last_error, err);
		plan_dial_again(d);
		return;
	}
	d->last_error[0] = 0;
	d->vain = 0;
	if (++d->tries > 1)
		note("plan of %s: begun anew, try %u of %u", d->link->name, d->tries, PLAN_TRIES);
	d->ops->reached(fd, d->arg);
}

static void try_now(void *arg)
{
	struct plan_dial *d = arg;
	json_t *first = transport_hello("plan");

	json_object_set_new(first, "link", json_string(d->link->token));
	d->greet = transport_connect(&d->link->target, first, connected, d);
}

void plan_dial_begin(struct plan_dial *d, struct plink *l, const struct plan_dial_ops *ops,
		     void *arg)
{
	d->link = l;
	d->ops = ops;
	d->arg = arg;
	try_now(d);
}

bool plan_dial_goes_on(const struct plan_dial *d)
{
	return d->greet || d->timer.set;
}

bool plan_dial_pending(const struct plan_dial *d)
{
	return plan_dial_goes_on(d) ||
	       (d->over && now_ms() - d->over < (WAIT_S + 1) * 1000);
}

void plan_dial_end(struct plan_dial *d)
{
	timer_clear(&d->timer);
	transport_cancel(d->greet);
	d->greet = NULL;
}

/* --- who waits -------------------------------------------------------------------------- */

static void look(void *arg)
{
	struct plan_wait *w = arg;

	if (!plink_up(w->link) && !w->link->closing) {
		w->left = WAIT_S;
	} else if (!--w->left) {
		note("plan of %s: nobody has begun one for %u s: given up", w->link->name, WAIT_S);
		w->fn(w->arg);
		return;
	}
	timer_set(&w->timer, LOOK_MS, look, w);
}

void plan_wait_begin(struct plan_wait *w, struct plink *l, void (*fn)(void *arg), void *arg)
{
	w->link = l;
	w->fn = fn;
	w->arg = arg;
	w->left = WAIT_S;
	timer_set(&w->timer, LOOK_MS, look, w);
}

void plan_wait_end(struct plan_wait *w)
{
	timer_clear(&w->timer);
}
