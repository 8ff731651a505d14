// SPDX-License-Identifier: GPL-2.0
/*
 * plan_receive.c - the destination's worker: which of the source's pages are here
 */
#include <endian.h>
#include <errno.h>

#include "plan_job.h"
#include "worker.h"

/* pages that follow each other in a region and in a file, with the question about them */
struct run {
	unsigned int region;
	uint64_t first, count;
	struct plan_place place;
	digest_t *known;		/* their digests, or NULL */
};

/* One that is found: a message takes many, so they wait for the end of a turn. */
struct found {
	unsigned int region, file;
	uint64_t first, count, offset;
	const digest_t *digests;	/* in @digests of the receiver */
};

#define FOUND_MAX	4096		/* that wait, */
#define DIGESTS_MAX	PLAN_TURN_MAX	/* and their pages */

struct receiver {
	const struct plan_job *job;
	struct tp_nl *nl;
	struct plan_wire wire;
	struct plan_finder *finder;
	uint64_t pages[MOVE_REGIONS_MAX];
	uint64_t looked[MOVE_REGIONS_MAX];	/* pages before it were looked for */
	struct plan_seen *seen;		/* what the module was told */
	bool over[MOVE_REGIONS_MAX];	/* it is complete: nothing more to find */
	bool fenced, looked_all;
	/* the digests of regions whose image is here still, else NULL, and where it is */
	digest_t *kept_digests[MOVE_REGIONS_MAX];
	unsigned int kept[MOVE_REGIONS_MAX];
	/* in the order of their answers: those from @sent_nr on are still to be asked */
	struct run *asked;
	size_t nr_asked, sent_nr, answered, room;
	uint64_t found[PLAN_KINDS], named, zero, runs;
	uint64_t turn;			/* pages that were named in this turn */
	/* found, and not told to the module yet */
	struct found *queue;
	digest_t *digests;
	size_t nr_queued, nr_digests;
};

/* --- questions ------------------------------------------------------------------------ */

static struct run *new_run(struct receiver *v)
{
	if (v->nr_asked == v->room) {
		v->room = v->room ? v->room * 2 : 256;
		v->asked = realloc(v->asked, v->room * sizeof(*v->asked));
		if (!v->asked)
			abort();
	}
	return &v->asked[v->nr_asked++];
}

static void found_page(struct receiver *v, unsigned int region, uint64_t page,
		       const struct plan_place *place)
{
	struct run *last = v->nr_asked ? &v->asked[v->nr_asked - 1] : NULL;

	if (last && last->region == region && last->first + last->count == page &&
	    last->place.file == place->file && last->place.block + last->count == place->block &&
	    last->count < PLAN_PAGES_MAX) {
		last->count++;
		return;
	}
	*new_run(v) = (struct run){ .region = region, .first = page, .count = 1, .place = *place };
}

static int look_for(struct receiver *v, const uint8_t *body, size_t len)
{
	static const uint8_t zero[PLAN_PREFIX];
	struct plan_place place, *last = NULL;
	const uint8_t *bits = body + sizeof(struct plan_head), *prefix, *end = body + len;
	struct plan_head h;
	uint32_t i;

	if (!plan_head(body, len, v->pages, v->job->nr, &h) ||
	    len < sizeof(h) + (h.count + 7) / 8)
		return -EPROTO;
	v->turn += h.count;
	if (v->turn > PLAN_TURN_MAX)
		return -EPROTO;
	prefix = bits + (h.count + 7) / 8;
	for (i = 0; i < h.count; i++) {
		/* each may be looked up in an index on a slow disk */
		pulse_beat();
		if (!(bits[i / 8] >> i % 8 & 1)) {
			plan_finder_add(v->finder, h.region, h.first + i, zero);
			v->zero++;
			last = NULL;
			continue;
		}
		if (end - prefix < PLAN_PREFIX)
			return -EPROTO;
		plan_finder_add(v->finder, h.region, h.first + i, prefix);
		/* one that has a file already, maybe by a plan before this one, keeps it */
		if (plan_seen_has(v->seen, h.region, h.first + i)) {
			last = NULL;
		} else if (plan_find(v->finder, h.region, h.first + i, prefix, last, &place)) {
			found_page(v, h.region, h.first + i, &place);
			last = &place;
		} else {
			last = NULL;
		}
		prefix += PLAN_PREFIX;
	}
	v->named += h.count;
	/* in the first pass what is left out was said to be unchanged */
	if (!v->looked_all && h.first + h.count > v->looked[h.region])
		v->looked[h.region] = h.first + h.count;
	return prefix == end ? 0 : -EPROTO;
}

static void ask(struct receiver *v)
{
	for (; v->sent_nr < v->nr_asked; v->sent_nr++) {
		struct run *run = &v->asked[v->sent_nr];
		struct plan_head h = { htole32(run->region), htole32(run->count),
				       htole64(run->first) };
		digest_t sum = { 0 };

		run->known = plan_file_digests(v->finder, &run->place, run->count);
		if (run->known && plan_sum(run->known, run->count, sum))
			memset(sum, 0, sizeof(sum));
		plan_put(&v->wire, PLAN_ASK, &h, sizeof(h), sum, sizeof(sum));
	}
}

/* --- answers -------------------------------------------------------------------------- */

/*
 * @nr of one region and one file into the module. -EBUSY: the region is complete, -EEXIST,
 * -EINVAL: the module will not have one of them; which one is seen when each goes alone.
 */
static int load(struct receiver *v, const struct found *q, size_t nr)
{
	const char *region = v->job->region[q->region].name;
	int fd = plan_file(v->finder, q->file), err = 0;
	struct tp_extent *e;

	pulse_beat();
	if (v->over[q->region] || fd < 0)
		return 0;
	e = xcalloc(nr, sizeof(*e));
	for (size_t i = 0; i < nr; i++)
		e[i] = (struct tp_extent){ q[i].first, q[i].count, q[i].offset, q[i].digests[0] };
	err = tp_region_origin(v->nl, region, fd, e, nr, false, false);
	free(e);
	if ((err == -EEXIST || err == -EINVAL) && nr > 1) {
		for (size_t i = 0; i < nr; i++) {
			err = load(v, q + i, 1);
			if (err)
				return err;
		}
		return 0;
	}
	if (err == -EBUSY)
		v->over[q->region] = true;
	for (size_t i = 0; i < nr && !err; i++) {
		v->found[plan_file_kind(v->finder, q->file)] += q[i].count;
		plan_seen_put(v->seen, q[i].region, q[i].first, q[i].count, true);
	}
	v->runs += err ? 0 : nr;
	return err == -EBUSY || err == -EEXIST || err == -EINVAL ? 0 : err;
}

static int by_file(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->region != y->region)
		return x->region < y->region ? -1 : 1;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* before anything is told to the module that these must come before */
static int load_queued(struct receiver *v)
{
	const struct found *q = v->queue, *end = q + v->nr_queued, *next;
	int err = 0;

	if (v->nr_queued)
		qsort(v->queue, v->nr_queued, sizeof(*v->queue), by_file);
	for (; q < end && !err; q = next) {
		for (next = q + 1; next < end && next->region == q->region &&
		     next->file == q->file; next++)
			;
		err = load(v, q, next - q);
	}
	v->nr_queued = 0;
	v->nr_digests = 0;
	return err;
}

static int queue(struct receiver *v, const struct run *run, uint64_t from, uint64_t count,
		 const digest_t *digests)
{
	struct found f = {
		.region = run->region,
		.file = run->place.file,
		.first = run->first + from,
		.count = count,
		.offset = (run->place.block + from) * TELEPAGE_PAGE_SIZE,
		.digests = digests + from,
	};
	int err = 0;

	if (v->nr_queued == FOUND_MAX || count > DIGESTS_MAX - v->nr_digests)
		err = load_queued(v);
	if (err)
		return err;
	if (count > DIGESTS_MAX)
		return load(v, &f, 1);
	f.digests = memcpy(v->digests + v->nr_digests, f.digests, count * sizeof(digest_t));
	v->nr_digests += count;
	v->queue[v->nr_queued++] = f;
	return 0;
}

/*
 * of the pages that are what we have the digest of, or whose digest we did not have; one
 * that has a file already keeps it
 */
static int load_matching(struct receiver *v, const struct run *run, const digest_t *theirs)
{
	uint64_t i, from;
	int err = 0;

	for (i = 0; i < run->count && !err; i++) {
		for (from = i; i < run->count; i++)
			if (digest_is_zero(theirs[i]) ||
			    plan_seen_has(v->seen, run->region, run->first + i) ||
			    (run->known &&
			     memcmp(theirs[i], run->known[i], sizeof(digest_t)) != 0))
				break;
		if (i > from)
			err = queue(v, run, from, i - from, theirs);
	}
	return err;
}

static int answered(struct receiver *v, int type, const uint8_t *body, size_t len)
{
	struct run *run;
	int err;

	if (v->answered == v->sent_nr)
		return -EPROTO;
	run = &v->asked[v->answered++];
	if (type == PLAN_SAME)
		err = run->known && !len ? load_matching(v, run, run->known) : -EPROTO;
	else
		err = len == run->count * sizeof(digest_t) ?
		      load_matching(v, run, (const digest_t *)body) : -EPROTO;
	free(run->known);
	run->known = NULL;
	return err;
}

/* what was looked for and answered may be pushed if it was not found */
static int tell_planned(struct receiver *v)
{
	for (unsigned int i = 0; i < v->job->nr; i++) {
		int err;

		/* a plan before this one may have come further */
		if (v->looked[i] <= v->seen->planned[i])
			continue;
		err = tp_plan_planned(v->nl, v->job->region[i].name, v->looked[i]);
		if (err)
			return err;
		v->seen->planned[i] = v->looked[i];
	}
	return 0;
}

/* the answers come first in a turn: before anything else all of them are there */
static int answers_end(struct receiver *v)
{
	int err;

	if (v->answered != v->sent_nr)
		return -EPROTO;
	if (!v->sent_nr)
		return 0;
	err = load_queued(v);
	if (err)
		return err;
	v->answered = 0;
	v->sent_nr = 0;
	v->nr_asked = 0;
	return tell_planned(v);
}

static int their_turn_ends(struct receiver *v)
{
	int err = v->nr_asked ? 0 : tell_planned(v);

	v->turn = 0;
	ask(v);
	return err ? err : plan_end_turn(&v->wire);
}

/* --- what has not changed since it left from here ---------------------------------------- */

/* KNOWN: is the image still here that was kept when it left? */
static int look_for_kept(struct receiver *v, const uint8_t *body, size_t len)
{
	struct plan_list l;
	unsigned int i;

	if (len != sizeof(l) + sizeof(digest_t))
		return -EPROTO;
	memcpy(&l, body, sizeof(l));
	i = le32toh(l.region);
	if (l.nr || i >= v->job->nr || v->kept_digests[i] || v->named)
		return -EPROTO;
	v->kept_digests[i] = plan_find_kept(v->finder, v->pages[i], body + sizeof(l), &v->kept[i]);
	if (v->kept_digests[i])
		plan_put(&v->wire, PLAN_HAVE, &l, sizeof(l), NULL, 0);
	return 0;
}

static int unchanged(struct receiver *v, const uint8_t *body, size_t len)
{
	struct plan_list l;
	struct plan_run *runs = plan_runs(body, len, v->pages, v->job->nr, &l);
	int err = runs && v->kept_digests[l.region] && !v->fenced ? 0 : -EPROTO;

	for (uint32_t i = 0; !err && i < l.nr; i++) {
		struct run run = { .region = l.region, .first = runs[i].first,
				   .count = runs[i].count,
				   .place = { v->kept[l.region], runs[i].first } };

		/* a zero page has no digest and no need of one */
		err = load_matching(v, &run, v->kept_digests[l.region] + run.first);
	}
	free(runs);
	return err ? err : load_queued(v);
}

/* --- the fence ------------------------------------------------------------------------ */

static int drop(struct receiver *v, const uint8_t *body, size_t len)
{
	struct plan_list l;
	struct plan_run *runs = plan_runs(body, len, v->pages, v->job->nr, &l);
	struct tp_extent *e;
	int err;

	if (!runs || v->fenced) {
		free(runs);
		return -EPROTO;
	}
	e = xcalloc(l.nr + 1, sizeof(*e));
	for (uint32_t i = 0; i < l.nr; i++) {
		e[i] = (struct tp_extent){ .start = runs[i].first, .count = runs[i].count };
		plan_seen_put(v->seen, l.region, runs[i].first, runs[i].count, false);
	}
	err = tp_plan_drop(v->nl, v->job->region[l.region].name, e, l.nr);
	free(e);
	free(runs);
	return err;
}

static int fence(struct receiver *v)
{
	int err = 0;

	if (v->fenced)
		return -EPROTO;
	v->fenced = true;
	pulse_idle(false);
	for (unsigned int i = 0; i < v->job->nr && !err; i++) {
		err = tp_plan_ready(v->nl, v->job->region[i].name);
		/* not held: a plan before this one has said it */
		if (err == -EINVAL)
			err = 0;
	}
	if (!err)
		v->seen->ready = true;
	return err;
}

/* --- a plan after one that broke off ------------------------------------------------------- */

/*
 * Before the fence what was found may have been written to since, and who knew that is gone.
 * Nothing is offered before anything is dropped, or all of it would be.
 */
static int start_over(struct receiver *v)
{
	int err = 0;

	for (unsigned int i = 0; i < v->job->nr && !err; i++) {
		const char *name = v->job->region[i].name;
		const struct tp_extent all = { .count = v->pages[i] };

		v->seen->planned[i] = 0;
		plan_seen_put(v->seen, i, 0, v->pages[i], false);
		err = tp_plan_planned(v->nl, name, 0);
		if (!err)
			err = tp_plan_drop(v->nl, name, &all, 1);
	}
	return err;
}

/* --- the conversation ------------------------------------------------------------------- */

static int converse(struct receiver *v)
{
	for (;;) {
		const uint8_t *body;
		size_t len;
		int type = plan_get(&v->wire, &body, &len), err = 0;

		if (type < 0)
			return type;
		if (type != PLAN_SAME && type != PLAN_DIGESTS)
			err = answers_end(v);
		if (err)
			return err;
		switch (type) {
		case PLAN_PAGES:
			err = look_for(v, body, len);
			break;
		case PLAN_SAME:
		case PLAN_DIGESTS:
			err = answered(v, type, body, len);
			break;
		case PLAN_LOOKED:
			plan_finder_looked(v->finder);
			v->looked_all = true;
			pulse_idle(!v->fenced);
			memcpy(v->looked, v->pages, sizeof(v->looked));
			break;
		case PLAN_KNOWN:
			err = look_for_kept(v, body, len);
			break;
		case PLAN_UNCHANGED:
			err = unchanged(v, body, len);
			break;
		case PLAN_STALE:
			err = drop(v, body, len);
			break;
		case PLAN_FENCE:
			err = fence(v);
			break;
		case PLAN_TURN:
			err = their_turn_ends(v);
			break;
		case PLAN_DONE:
			/* before the fence: it cannot go on */
			return v->fenced ? 0 : -ECANCELED;
		default:
			err = -EPROTO;
		}
		if (err)
			return err;
	}
}

int plan_receive_main(int ctl, void *work)
{
	const struct plan_work *w = work;
	struct receiver v = { .job = &w->job, .seen = w->seen };
	uint64_t begun = now_ms();
	int err = tp_nl_open(&v.nl);

	pulse_use(w->pulse);
	for (unsigned int i = 0; i < w->job.nr; i++)
		v.pages[i] = w->job.region[i].pages;
	v.queue = xcalloc(FOUND_MAX, sizeof(*v.queue));
	v.digests = xcalloc(DIGESTS_MAX, sizeof(*v.digests));
	plan_wire_init(&v.wire, w->fd);
	if (!err && w->again && !v.seen->ready)
		err = start_over(&v);
	if (!err) {
		v.finder = plan_finder_new(&w->job, v.nl);
		err = converse(&v);
	}
	worker_say(ctl, json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"side", "destination", "error", err ? strerror(-err) : "",
		"broken", err && v.wire.broken,
		"named", (json_int_t)v.named, "zero", (json_int_t)v.zero,
		"kept", (json_int_t)v.found[PLAN_KEPT], "disk", (json_int_t)v.found[PLAN_DISK],
		"shared", (json_int_t)v.found[PLAN_SHARED], "extents", (json_int_t)v.runs,
		"sent_bytes", (json_int_t)v.wire.sent, "received_bytes", (json_int_t)v.wire.got,
		"ms", (json_int_t)(now_ms() - begun)));
	while (worker_heard(ctl, true) >= 0)
		;
	for (size_t i = v.answered; i < v.nr_asked; i++)
		free(v.asked[i].known);
	free(v.asked);
	free(v.queue);
	free(v.digests);
	for (unsigned int i = 0; i < w->job.nr; i++)
		free(v.kept_digests[i]);
	if (v.finder)
		plan_finder_free(v.finder);
	plan_wire_free(&v.wire);
	tp_nl_close(v.nl);
	return 0;
}
