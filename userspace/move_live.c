// SPDX-License-Identifier: GPL-2.0
/*
 * move_live.c - a move's source while memory is pushed and the VM still runs
 *
 * A round pushes what was written to since it was pushed; the first one all. While it
 * lasts the VM writes on. If it goes on so, a round of half the length leaves half as
 * much: another round is worth it as long as the one before has sent at least twice
 * (hybrid) what is to be sent again, for what is left then has to be waited for by the
 * VM at the destination. With precopy it stands still for it here, so rounds go on while
 * they get shorter at all, until the rest takes no longer than STILL_MS.
 */
#include <stdio.h>

#include "move_plan.h"
#include "move_src.h"

#define LOOK_MS		100
#define SHOW_LOOKS	5		/* watchers hear of each so many looks */
#define STILL_MS	300
#define FEW_PAGES	64
#define ROUNDS_MAX	30

static const char *const mode_names[] = { "postcopy", "hybrid", "precopy" };

bool move_mode_parse(const char *name, enum move_mode *mode)
{
	for (unsigned int i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++)
		if (!strcmp(name, mode_names[i])) {
			*mode = i;
			return true;
		}
	return false;
}

const char *move_mode_name(enum move_mode mode)
{
	return mode_names[mode];
}

struct live_sum {
	uint64_t wanted, rewritten, sent;	/* pages */
	bool begun;
};

static int add_up(struct msrc *m, struct live_sum *s)
{
	struct tp_export e;

	*s = (struct live_sum){ .begun = true };
	for (unsigned int i = 0; i < m->nr_exports; i++) {
		int err = tp_export_get(agent.nl, m->export[i], &e);

		if (err)
			return err;
		s->wanted += e.wanted;
		s->rewritten += e.rewritten;
		s->sent += e.push + e.zero;
		s->begun &= e.begun;
		tp_export_clear(&e);
	}
	return 0;
}

static int begin_round(struct msrc *m, const struct live_sum *s)
{
	struct tp_export e;

	for (unsigned int i = 0; i < m->nr_exports; i++) {
		int err = tp_export_round(agent.nl, m->export[i], &e);

		if (err)
			return err;
		tp_export_clear(&e);
	}
	msrc_sample_turn(m);
	m->live.rounds++;
	m->live.again = s->rewritten;
	m->live.sent = s->sent;
	m->live.t_round = now_ms();
	m->live.quiet = 0;
	return 0;
}

static bool pays(const struct msrc *m, const struct live_sum *s)
{
	uint64_t sent = s->sent - m->live.sent, ms = now_ms() - m->live.t_round;

	if (s->rewritten <= FEW_PAGES || m->live.rounds >= ROUNDS_MAX)
		return false;
	if (m->mode == MOVE_HYBRID)
		return s->rewritten * 2 <= sent;
	return s->rewritten < sent && s->rewritten * ms > sent * STILL_MS;
}

static void show(struct msrc *m, const struct live_sum *s)
{
	watchers_tell(&m->watchers, json_pack("{s:s, s:i, s:I, s:I, s:I}", "state", "live", "round",
		(int)m->live.rounds, "left", (json_int_t)s->wanted, "again",
		(json_int_t)m->live.again, "sent", (json_int_t)s->sent));
}

static void switch_over(struct msrc *m, const struct live_sum *s)
{
	m->live.ms = now_ms() - m->live.t_begin;
	m->live.left = s->wanted + s->rewritten;
	msrc_note(m, "live: %u rounds in %llu ms, %llu pages pushed, %llu to be pushed again",
		  m->live.rounds, (unsigned long long)m->live.ms, (unsigned long long)s->sent,
		  (unsigned long long)s->rewritten);
	show(m, s);
	msrc_enter(m, SRC_STATE);
}

static void look(void *arg)
{
	struct msrc *m = arg;
	struct live_sum s;
	char words[256];
	int err = add_up(m, &s);

	if (!err && !m->live.rounds)
		err = begin_round(m, &s);
	if (err) {
		msrc_failed(m, "%s", nl_words(words, sizeof(words), err, "pushing memory live"));
		return;
	}
	if (!(m->live.looks++ % SHOW_LOOKS))
		show(m, &s);
	if (m->switch_after && now_ms() - m->live.t_begin >= m->switch_after * 1000ULL) {
		switch_over(m, &s);
		return;
	}
	/* What the peer wants it says a moment after it has heard of the round. */
	if (!s.begun || s.wanted || msrc_plan_looks(m))
		m->live.quiet = 0;
	else if (m->live.quiet++) {
		if (!pays(m, &s)) {
			switch_over(m, &s);
			return;
		}
		err = begin_round(m, &s);
		if (err) {
			msrc_failed(m, "%s", nl_words(words, sizeof(words), err,
						      "pushing memory live again"));
			return;
		}
	}
	timer_set(&m->timer, LOOK_MS, look, m);
}

void msrc_live(struct msrc *m)
{
	m->live.t_begin = now_ms();
	look(m);
}

json_t *msrc_live_summary(const struct msrc *m)
{
	return json_pack("{s:i, s:I, s:I}", "rounds", (int)m->live.rounds, "ms",
			 (json_int_t)m->live.ms, "left_pages", (json_int_t)m->live.left);
}
