// SPDX-License-Identifier: GPL-2.0
/*
 * prefetch.c - which pages to ask for ahead of use: policy, nothing else
 *
 * A policy hears of each page that is needed and was not simply here, and sets which
 * pages streams ask for. It never asks itself: ahead.c does, when no demand waits and
 * the line has room.
 *
 * none	nothing.
 * fixed	the pages behind one that was absent, as many as the window has.
 * adaptive	pages needed lie on walks: three at the same distance, or two neighbours,
 *		are one, whatever was needed in between. A walk is asked ahead of, the
 *		farther the longer it has gone on, up to a window, which the region's
 *		walks share: it doubles when two windows full of pages were used, and is
 *		halved when a walk ends and more than half of what was ahead of it was in
 *		vain, or when the source pushes a page before it is answered: there the push
 *		is quicker, and to ask as well makes pages cross twice. Then it is closed
 *		at last, until some pages of walks had to be asked for. What belongs to no
 *		walk asks for nothing.
 */
#include <linux/module.h>
#include <linux/string.h>
#include "prefetch.h"
#include "telepage.h"

unsigned int tp_prefetch_window = 64;
module_param_named(prefetch_window, tp_prefetch_window, uint, 0644);
MODULE_PARM_DESC(prefetch_window, "pages to ask for ahead of a walk at most, 1 to 256 (new regions)");

bool tp_workingset = true;
module_param_named(workingset, tp_workingset, bool, 0644);
MODULE_PARM_DESC(workingset, "record which pages are needed first (new regions)");

/* Pages between where a stream is and the next that it asks for. */
static unsigned int tp_stream_asked(const struct tp_stream *s)
{
	long d = (long)(s->ask - s->last) / s->stride;

	return d > 1 ? d - 1 : 0;
}

/* A walk is over: what came ahead of it and was not touched was in vain. */
static void tp_stream_end(struct tp_region *r, struct tp_ahead *a, struct tp_stream *s)
{
	unsigned int i, asked, wasted = 0;

	if (!s->stride)
		return;
	asked = tp_stream_asked(s);
	for (i = 1; i <= asked; i++)
		wasted += tp_ahead_forget(r, s->last + i * s->stride);
	if (wasted * 2 > asked) {
		WRITE_ONCE(a->window, max(a->window / 2, 1U));
		a->hits = 0;
	}
	memset(s, 0, sizeof(*s));
}

static struct tp_stream *tp_stream_oldest(struct tp_ahead *a)
{
	struct tp_stream *s = a->streams;
	unsigned int i;

	for (i = 1; i < TP_STREAMS; i++)
		if (a->streams[i].stamp < s->stamp)
			s = &a->streams[i];
	return s;
}

/* Ask for @depth pages behind the last one of a stream, but for those that were. */
static void tp_stream_ask(struct tp_ahead *a, struct tp_stream *s, unsigned int depth)
{
	unsigned int asked = tp_stream_asked(s);

	s->stamp = ++a->clock;
	s->left = depth > asked ? depth - asked : 0;
	if (s->left)
		WRITE_ONCE(a->pending, true);
}

static void tp_fixed_needed(struct tp_region *r, struct tp_ahead *a, pgoff_t index,
			    enum tp_need how)
{
	struct tp_stream *s = tp_stream_oldest(a);

	if (how != TP_NEED_ABSENT)
		return;
	tp_stream_end(r, a, s);
	s->last = index;
	s->stride = 1;
	s->ask = index + 1;
	tp_stream_ask(a, s, READ_ONCE(r->prefetch_window));
}

/*
 * The stream that a page is on. @steps: how far ahead of the last; some pages of a walk
 * may have come another way. What came ahead may be used in another order, too.
 */
static struct tp_stream *tp_stream_at(struct tp_ahead *a, pgoff_t index, enum tp_need how,
				      long *steps)
{
	long back = how == TP_NEED_ABSENT ? 0 : a->window;
	unsigned int i;

	for (i = 0; i < TP_STREAMS; i++) {
		struct tp_stream *s = &a->streams[i];
		long d = (long)(index - s->last);

		if (!s->stride || d % s->stride)
			continue;
		d /= s->stride;
		if (d < -back || d > (long)(tp_stream_asked(s) + a->window + 1))
			continue;
		*steps = d;
		return s;
	}
	return NULL;
}

static bool tp_history_has(const struct tp_ahead *a, pgoff_t index)
{
	unsigned int i;

	for (i = 0; i < TP_HISTORY; i++)
		if (a->history[i] == index)
			return true;
	return false;
}

/* Does a page make a walk of earlier ones? Return: its stride, the shortest, or 0. */
static long tp_history_walk(const struct tp_ahead *a, pgoff_t index)
{
	long best = 0;
	unsigned int i;

	for (i = 0; i < TP_HISTORY; i++) {
		long d = (long)(index - a->history[i]);

		if (a->history[i] == ULONG_MAX || !d || abs(d) > TP_STRIDE_MAX)
			continue;
		if (best && abs(best) <= abs(d))
			continue;
		/* of small distances there are many by chance, but of one there are few */
		if (abs(d) == 1 || tp_history_has(a, index - 2 * d))
			best = d;
	}
	return best;
}

/* On a walk a page was needed. */
static void tp_adaptive_step(struct tp_region *r, struct tp_ahead *a, enum tp_need how)
{
	unsigned int window = a->window;

	if (!window) {
		/* closed, see tp_prefetch_overtaken() */
		if (how == TP_NEED_ABSENT && ++a->hits >= TP_MISSES)
			window = 1;
	} else if (how != TP_NEED_ABSENT && ++a->hits >= 2 * window) {
		window *= 2;
	}
	window = min(window, READ_ONCE(r->prefetch_window));
	if (window == a->window)
		return;
	a->hits = 0;
	WRITE_ONCE(a->window, window);
}

static void tp_adaptive_needed(struct tp_region *r, struct tp_ahead *a, pgoff_t index,
			       enum tp_need how)
{
	struct tp_stream *s;
	long steps = 1;

	s = tp_stream_at(a, index, how, &steps);
	if (!s) {
		long stride = tp_history_walk(a, index);

		a->history[a->history_at++ % TP_HISTORY] = index;
		if (!stride)
			return;
		s = tp_stream_oldest(a);
		tp_stream_end(r, a, s);
		s->stride = stride;
		s->ask = index + stride;
	}
	if (steps <= 0)
		return;
	if (how == TP_NEED_ABSENT || steps > tp_stream_asked(s))
		/* What was asked for went with a lane, or the walk is ahead of it. */
		s->ask = index + s->stride;
	tp_adaptive_step(r, a, how);
	s->last = index;
	if (s->steps < 8)
		s->steps++;
	tp_stream_ask(a, s, min(a->window, 1U << s->steps));
}

static const struct tp_prefetch_ops tp_prefetch_none = { .name = "none" };
static const struct tp_prefetch_ops tp_prefetch_fixed = {
	.name = "fixed", .needed = tp_fixed_needed,
};

static const struct tp_prefetch_ops tp_prefetch_adaptive = {
	.name = "adaptive", .needed = tp_adaptive_needed,
};

const struct tp_prefetch_ops *const tp_prefetch_policies[] = {
	&tp_prefetch_none, &tp_prefetch_fixed, &tp_prefetch_adaptive, NULL
};

static const struct tp_prefetch_ops *tp_prefetch_new = &tp_prefetch_adaptive;

/**
 * tp_prefetch_find - a policy by its name
 * @name: perhaps with a newline behind it
 *
 * Context: any.
 * Return: the policy or NULL.
 */
const struct tp_prefetch_ops *tp_prefetch_find(const char *name)
{
	const struct tp_prefetch_ops *const *p;

	for (p = tp_prefetch_policies; *p; p++)
		if (sysfs_streq((*p)->name, name))
			return *p;
	return NULL;
}

static int tp_prefetch_set(const char *val, const struct kernel_param *kp)
{
	const struct tp_prefetch_ops *p = tp_prefetch_find(val);

	if (!p)
		return -EINVAL;
	WRITE_ONCE(tp_prefetch_new, p);
	return 0;
}

static int tp_prefetch_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", READ_ONCE(tp_prefetch_new)->name);
}

static const struct kernel_param_ops tp_prefetch_param_ops = {
	.set = tp_prefetch_set,
	.get = tp_prefetch_get,
};

module_param_cb(prefetch, &tp_prefetch_param_ops, NULL, 0644);
MODULE_PARM_DESC(prefetch, "what to ask for ahead of use: none, fixed, adaptive (new regions)");

/**
 * tp_prefetch_default - the policy of a new region
 */
const struct tp_prefetch_ops *tp_prefetch_default(void)
{
	return READ_ONCE(tp_prefetch_new);
}

/**
 * tp_prefetch_init - nothing was needed yet
 * @a: new
 */
void tp_prefetch_init(struct tp_ahead *a)
{
	memset(a->history, 0xff, sizeof(a->history));
	a->window = TP_WINDOW_START;
}

/**
 * tp_prefetch_needed - a page is needed
 * @r: the region
 * @a: its state, locked, not ended
 * @index: the page
 * @how: how it was found
 */
void tp_prefetch_needed(struct tp_region *r, struct tp_ahead *a, pgoff_t index,
			enum tp_need how)
{
	const struct tp_prefetch_ops *policy = READ_ONCE(r->prefetch);

	lockdep_assert_held(&a->lock);
	if (policy->needed)
		policy->needed(r, a, index, how);
}

/**
 * tp_prefetch_overtaken - a page came by a push, and had been asked for ahead
 * @a: the region's state, locked
 */
void tp_prefetch_overtaken(struct tp_ahead *a)
{
	lockdep_assert_held(&a->lock);
	WRITE_ONCE(a->window, a->window / 2);
	a->hits = 0;
}

/**
 * tp_prefetch_next - the next page to ask for
 * @r: the region
 * @a: its state, locked
 * @index: where to; ULONG_MAX: none was met yet, let go of the lock and ask again
 *
 * Streams take turns; a replay comes behind them.
 *
 * Return: is there one, or may there be? It may be here already, or under way.
 */
bool tp_prefetch_next(struct tp_region *r, struct tp_ahead *a, pgoff_t *index)
{
	unsigned int i, nr = 1;

	lockdep_assert_held(&a->lock);
	for (i = 0; i < TP_STREAMS; i++) {
		struct tp_stream *s = &a->streams[a->turn++ % TP_STREAMS];

		/* also of those that went below the first page */
		if (s->ask >= r->nr_pages)
			s->left = 0;
		if (!s->left)
			continue;
		s->left--;
		*index = s->ask;
		s->ask += s->stride;
		return true;
	}
	if (tp_replay_next(&a->replay, r->remote, r->remote, index, &nr)) {
		if (!nr)
			*index = ULONG_MAX;
		return true;
	}
	WRITE_ONCE(a->pending, false);
	return false;
}

/**
 * tp_prefetch_switch - give a region another policy
 * @r: the region
 * @policy: the policy
 *
 * Context: any but interrupts.
 */
void tp_prefetch_switch(struct tp_region *r, const struct tp_prefetch_ops *policy)
{
	/* Pairs with smp_store_release() in tp_import_start(). */
	struct tp_ahead *a = smp_load_acquire(&r->ahead);
	unsigned int i;

	if (!a) {
		WRITE_ONCE(r->prefetch, policy);
		return;
	}
	spin_lock(&a->lock);
	WRITE_ONCE(r->prefetch, policy);
	for (i = 0; i < TP_STREAMS; i++)
		tp_stream_end(r, a, &a->streams[i]);
	tp_prefetch_init(a);
	spin_unlock(&a->lock);
}
