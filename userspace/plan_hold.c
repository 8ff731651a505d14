// SPDX-License-Identifier: GPL-2.0
/*
 * plan_hold.c - regions that wait for what a plan finds
 *
 * Whether there is anything here that a plan could find a worker looks: a disk that does not
 * answer, or a store on one, must hold up neither the agent nor, for long, who asks.
 */
#include <errno.h>
#include <string.h>

#include "images.h"
#include "plan_job.h"
#include "worker.h"

#define LOOK_MS		5000		/* at images; whoever waits is told no then */

/* --- the look ------------------------------------------------------------------------ */

static int look(int ctl, void *work)
{
	const struct plan_job *job = work;
	struct images_entry *v = NULL;
	bool useful = false;
	size_t n = 0, i;

	if (!images_list(agent.images, job->group, &v, &n))
		for (i = 0; i < n; i++)
			useful |= images_useful(&v[i]);
	worker_say(ctl, json_pack("{s:b}", "useful", useful));
	/* or the agent might see our end before it has read that */
	while (worker_heard(ctl, true) >= 0)
		;
	return 0;
}

static void hold(struct plan_hold *h)
{
	const struct plan_job *job = &h->job;

	h->seen = plan_seen_new(job);
	if (!h->seen)
		return;
	h->held = true;
	for (unsigned int i = 0; i < job->nr; i++)
		if (tp_plan_hold(agent.nl, job->region[i].name)) {
			note("region %s: its plan is given up: %s", job->region[i].name,
			     tp_nl_error(agent.nl));
			planner_let_go(h);
			return;
		}
}

static void drop_look(struct plan_hold *h)
{
	timer_clear(&h->late);
	worker_kill(h->look);
	h->look = NULL;
}

static void decided(struct plan_hold *h, bool useful)
{
	drop_look(h);
	if (useful)
		hold(h);
	h->fn(h->arg);
}

static void line(struct worker *w, json_t *msg, void *arg)
{
	(void)w;
	decided(arg, json_is_true(json_object_get(msg, "useful")));
}

static void ended(struct worker *w, int status, void *arg)
{
	struct plan_hold *h = arg;

	(void)w;
	h->look = NULL;
	note("plan of %s: none: who looks for images died (%d)", h->job.region[0].name, status);
	decided(h, false);
}

static void late(void *arg)
{
	struct plan_hold *h = arg;

	note("plan of %s: none: a store of images, or an image, does not answer for %d s",
	     h->job.region[0].name, LOOK_MS / 1000);
	decided(h, false);
}

static const struct worker_ops look_ops = {
	.name = "telepage-look", .main = look, .line = line, .ended = ended,
};

void planner_hold(struct plan_hold *h, void (*fn)(void *arg), void *arg)
{
	h->fn = fn;
	h->arg = arg;
	/* of several VMs those to come will find it, even if there is nothing to be found yet */
	if (h->job.common) {
		decided(h, true);
		return;
	}
	h->look = worker_start(&look_ops, &h->job, -1, h);
	if (h->look) {
		timer_set(&h->late, LOOK_MS, late, h);
		return;
	}
	note("plan of %s: none: no worker: %s", h->job.region[0].name, strerror(errno));
	decided(h, false);
}

/* --- no plan is to come any more -------------------------------------------------------- */

static void let_go(const struct plan_job *job)
{
	/* one that was not held, is complete or was deleted waits for nothing either */
	for (unsigned int i = 0; i < job->nr; i++)
		tp_plan_planned(agent.nl, job->region[i].name, job->region[i].pages);
}

/* What is held for good is not used, so it has to come from the peer. */
static void forget(const struct plan_job *job)
{
	for (unsigned int i = 0; i < job->nr; i++) {
		const struct tp_extent all = { .count = job->region[i].pages };

		tp_plan_drop(agent.nl, job->region[i].name, &all, 1);
	}
}

void planner_let_go(struct plan_hold *h)
{
	drop_look(h);
	if (!h->held)
		return;
	planner_end(h->planner);
	h->planner = NULL;
	if (!h->seen->ready)
		forget(&h->job);
	let_go(&h->job);
	plan_seen_free(h->seen);
	h->seen = NULL;
	h->held = false;
}
