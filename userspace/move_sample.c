// SPDX-License-Identifier: GPL-2.0
/*
 * move_sample.c - a move's source: what the VM uses is pushed first
 *
 * The order is made of two samples, one after the other: first what the last one has,
 * then what only the one before has. With postcopy they take --sample ms together, up to the
 * connection for the device state; the last one goes on until the VM is stopped. With hybrid one
 * begins with each live round. Whatever fails here costs time only: it is said, and the
 * move goes on without.
 *
 * A destination that finds pages in files of its own reads these first: the order says
 * nothing of them to who pushes, so it is told.
 */
#include <stdlib.h>
#include <string.h>

#include "move_src.h"
#include "sample.h"

struct msample {
	bool begun;			/* samples are under way */
	uint64_t t_begin, ms;		/* of all; until it was over */
	uint64_t pages, faults;		/* that are pushed first; that it has cost */
	struct sample_set last[MOVE_REGIONS_MAX], before[MOVE_REGIONS_MAX];
};

static bool wanted(const struct msrc *m)
{
	return m->sample_ms && m->was_running && m->mode != MOVE_PRECOPY;
}

static void forget_sets(struct msample *s)
{
	for (unsigned int i = 0; i < MOVE_REGIONS_MAX; i++) {
		sample_clear(&s->last[i]);
		sample_clear(&s->before[i]);
	}
}

/* ends what there may be in the kernel; of a region that is gone there is none */
static void end_all(struct msrc *m)
{
	for (unsigned int i = 0; i < m->ram.nr; i++)
		tp_region_sample(agent.nl, m->ram.region[i].name, 0, 0);
}

static void give_up(struct msrc *m, int err, const char *doing, const char *region)
{
	char words[256];

	msrc_note(m, "nothing is pushed first: %s",
		  nl_words(words, sizeof(words), err, "%s region %s", doing, region));
	end_all(m);
	m->sample->begun = false;
	m->sample_ms = 0;
	forget_sets(m->sample);
}

static bool take(struct msrc *m)
{
	struct msample *s = m->sample;
	struct tp_sample st;
	int err;

	for (unsigned int i = 0; i < m->ram.nr; i++) {
		sample_clear(&s->before[i]);
		s->before[i] = s->last[i];
		err = sample_read(agent.nl, m->ram.region[i].name, &s->last[i], &st);
		if (err) {
			give_up(m, err, "reading the sample of", m->ram.region[i].name);
			return false;
		}
		s->faults += st.faults;
	}
	return true;
}

void msrc_sample_turn(struct msrc *m)
{
	struct msample *s = m->sample;
	int err;

	if (!wanted(m))
		return;
	if (!s) {
		s = xcalloc(1, sizeof(*s));
		s->t_begin = now_ms();
		m->sample = s;
	}
	if (s->begun && !take(m))
		return;
	s->begun = true;
	for (unsigned int i = 0; i < m->ram.nr; i++) {
		err = tp_region_sample(agent.nl, m->ram.region[i].name, 1, 0);
		if (err) {
			give_up(m, err, "sampling", m->ram.region[i].name);
			return;
		}
	}
}

/* runs of one region, in the order that the destination is to read them in */
#define FIRST_RUNS	(4 * MOVE_FIRST_RUNS)
#define FIRST_MS	15000

static void told_first(json_t *msg, const char *err, void *arg)
{
	struct msrc *m = arg;

	(void)msg;
	if (err)
		msrc_note(m, "the pages that it uses, to be read first: %s", err);
}

static void tell_first(struct msrc *m, unsigned int i)
{
	struct msample *s = m->sample;
	struct sample_set o;

	if (sample_order(&s->last[i], &s->before[i], FIRST_RUNS, &o))
		return;
	for (size_t at = 0, end; at < o.n; at = end) {
		json_t *pages = json_array();

		for (end = at; end < o.n && end - at < MOVE_FIRST_RUNS; end++) {
			json_array_append_new(pages, json_integer(o.runs[end].start));
			json_array_append_new(pages, json_integer(o.runs[end].count));
		}
		peer_ask(m->peer, "first", json_pack("{s:s, s:i, s:o}", "move", m->id, "region",
						     (int)i, "pages", pages), FIRST_MS,
			 told_first, m);
	}
	sample_clear(&o);
}

static void order_region(struct msrc *m, unsigned int i)
{
	struct msample *s = m->sample;
	struct sample_set order;
	char words[256];
	int err;

	err = sample_order(&s->last[i], &s->before[i], SAMPLE_ORDER_MAX, &order);
	if (!err && order.n)
		err = tp_export_order(agent.nl, m->export[i], order.runs, order.n);
	if (err)
		msrc_note(m, "%s", nl_words(words, sizeof(words), err,
					    "ordering the push of region %s",
					    m->ram.region[i].name));
	for (size_t n = 0; !err && n < order.n; n++)
		s->pages += order.runs[n].count;
	sample_clear(&order);
}

void msrc_sample_finish(struct msrc *m)
{
	struct msample *s = m->sample;

	if (!s || !s->begun || !take(m))
		return;
	end_all(m);
	s->begun = false;
	s->ms = now_ms() - s->t_begin;
	for (unsigned int i = 0; i < m->ram.nr && i < m->nr_exports; i++) {
		order_region(m, i);
		if (m->first)
			tell_first(m, i);
	}
	forget_sets(s);
	msrc_note(m, "sampled for %llu ms at the cost of %llu faults: %llu pages are pushed first",
		  (unsigned long long)s->ms, (unsigned long long)s->faults,
		  (unsigned long long)s->pages);
}

void msrc_sample_drop(struct msrc *m)
{
	/* what an agent before us began we do not know of */
	if (m->restored || (m->sample && m->sample->begun))
		end_all(m);
	if (m->sample)
		forget_sets(m->sample);
	free(m->sample);
	m->sample = NULL;
}

json_t *msrc_sample_summary(const struct msrc *m)
{
	const struct msample *s = m->sample;

	if (!s || !s->ms)
		return NULL;
	return json_pack("{s:I, s:I, s:I}", "ms", (json_int_t)s->ms, "pages",
			 (json_int_t)s->pages, "faults", (json_int_t)s->faults);
}

/* the state behind START */

static void over(void *arg)
{
	struct msrc *m = arg;

	msrc_enter(m, m->warm.on ? SRC_WARM : SRC_STATE);
}

static void half_over(void *arg)
{
	struct msrc *m = arg;

	msrc_sample_turn(m);
	timer_set(&m->timer, m->sample_ms - m->sample_ms / 2, over, m);
}

void msrc_sample(struct msrc *m)
{
	msrc_sample_turn(m);
	if (m->sample && m->sample->begun)
		timer_set(&m->timer, m->sample_ms / 2, half_over, m);
	else
		over(m);
}
