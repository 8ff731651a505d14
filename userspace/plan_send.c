// SPDX-License-Identifier: GPL-2.0
/*
 * plan_send.c - the source's worker: what its pages are, by their digests
 *
 * It hashes while the VM still runs. Before the first page its dirty bits are cleared, and
 * when the region is frozen those that are set then say what was hashed too early.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "plan_dirty.h"
#include "plan_job.h"
#include "worker.h"

#define BLOCK_MIN	256U		/* pages hashed in one turn, by how long it takes: */
#define PIECES		256U		/* runs of them */
#define BLOCK_SHORT_MS	10
#define BLOCK_LONG_MS	40		/* a freeze is seen as late as this */
#define LOOK_MS		50		/* between looks at whether the regions are frozen */

struct sent {
	int fd;
	uint64_t pages;
	uint64_t hashed;		/* pages before this one were looked at, */
	uint64_t named;			/* and before this one were named to the other side */
	uint64_t harvests;		/* of the region when its dirty bits were cleared */
	bool still;			/* it was frozen from the start */
	digest_t *digests;		/* of all pages */
	uint8_t *changed;		/* since the region came here; NULL: that is not known */
	digest_t sum;			/* of the digests that it came with */
	bool had;			/* the other side has these pages, or had them named */
	struct plan_runs todo;		/* to be hashed and named: all, then what was stale */
	size_t at;			/* in it */
	struct plan_runs stale;
};

struct piece {
	unsigned int region;
	struct plan_run run;
};

struct sender {
	const struct plan_job *job;
	int ctl;
	struct tp_nl *nl;
	struct plan_wire wire;
	struct sent r[MOVE_REGIONS_MAX];
	uint64_t pages[MOVE_REGIONS_MAX];
	unsigned int block;
	uint64_t turn_ms;		/* the last one's, until it was answered */
	struct piece ahead[PIECES];	/* hashed, to be named in our next turn */
	unsigned int nr_ahead;
	bool looked, fenced, told;
	uint64_t named, unchanged, stale_pages, again;
};

/* --- what was written to ------------------------------------------------------- */

/* has the other side heard of the page's content? */
static bool was_told(const struct sent *r, uint64_t p)
{
	return p < r->hashed || (r->had && !plan_bit(r->changed, p));
}

/* what was told and then written to is what is to be done next */
static int find_stale(struct sender *s, unsigned int i)
{
	struct sent *r = &s->r[i];
	struct tp_region now;
	uint64_t p, clears;
	uint8_t *bits;
	int err;

	if (r->still)
		return 0;
	bits = xcalloc(1, r->pages / 8 + 8);
	/* Waits for the freeze to be over; one that has failed is no fence. */
	err = plan_dirty(s->nl, s->job->region[i].name, r->pages, bits, false, &clears);
	if (!err)
		err = tp_region_get(s->nl, s->job->region[i].name, &now);
	if (!err && !now.frozen)
		err = -EAGAIN;
	/* somebody else has cleared dirty bits, and we do not know which */
	if (!err && now.harvests != r->harvests)
		memset(bits, 0xff, r->pages / 8 + 8);
	for (p = 0; p < r->pages && !err; p++)
		if (!was_told(r, p))
			bits[p / 8] &= ~(1 << p % 8);
	r->stale.nr = 0;
	if (!err)
		plan_runs_of(&r->stale, bits, r->pages, true);
	free(bits);
	return err;
}

static bool all_frozen(struct sender *s)
{
	struct tp_region r;

	for (unsigned int i = 0; i < s->job->nr; i++)
		if (!s->r[i].still &&
		    (tp_region_get(s->nl, s->job->region[i].name, &r) || !r.frozen))
			return false;
	return true;
}

static void put_stale(struct sender *s, unsigned int i)
{
	struct sent *r = &s->r[i];

	for (size_t k = 0; k < r->stale.nr; k++) {
		s->stale_pages += r->stale.v[k].count;
		/* one that was named just now is asked about before it is hashed again */
		memset(r->digests + r->stale.v[k].first, 0,
		       r->stale.v[k].count * sizeof(*r->digests));
	}
	plan_put_runs(&s->wire, PLAN_STALE, i, r->stale.v, r->stale.nr);
}

/* 1: no page is written to any more, and that was said; 0: not yet */
static int put_fence(struct sender *s)
{
	int err;

	if (!all_frozen(s))
		return 0;
	for (unsigned int i = 0; i < s->job->nr; i++) {
		err = find_stale(s, i);
		if (err == -EAGAIN)
			return 0;
		if (err)
			return err;
	}
	for (unsigned int i = 0; i < s->job->nr; i++)
		put_stale(s, i);
	plan_put(&s->wire, PLAN_FENCE, NULL, 0, NULL, 0);
	s->fenced = true;
	return 1;
}

/* --- digests ------------------------------------------------------------------- */

static int hash(struct sender *s, unsigned int i, const struct plan_run *run)
{
	/* a few pages are not worth a thread */
	struct digest_opts o = { .threads = run->count < BLOCK_MIN, .rate = agent.plan_rate };

	return digest_pages(s->r[i].fd, run->first, run->count, s->r[i].digests + run->first, &o);
}

static void put_pages(struct sender *s, unsigned int i, uint64_t first, unsigned int n)
{
	static uint8_t body[PLAN_PAGES_MAX / 8 + PLAN_PAGES_MAX * PLAN_PREFIX];
	struct plan_head h = { htole32(i), htole32(n), htole64(first) };
	size_t bits = (n + 7) / 8, len = bits;
	unsigned int k;

	memset(body, 0, bits);
	for (k = 0; k < n; k++) {
		const uint8_t *d = s->r[i].digests[first + k];

		if (digest_is_zero(d))
			continue;
		body[k / 8] |= 1 << k % 8;
		memcpy(body + len, d, PLAN_PREFIX);
		len += PLAN_PREFIX;
	}
	plan_put(&s->wire, PLAN_PAGES, &h, sizeof(h), body, len);
}

/* the next run that is to be hashed, up to @max pages of it */
static bool next_piece(struct sender *s, uint64_t max, struct piece *p)
{
	for (unsigned int i = 0; i < s->job->nr; i++) {
		struct sent *r = &s->r[i];
		struct plan_run *run;

		if (r->at == r->todo.nr)
			continue;
		run = &r->todo.v[r->at];
		*p = (struct piece){ i, { run->first, run->count < max ? run->count : max } };
		run->first += p->run.count;
		run->count -= p->run.count;
		if (!run->count)
			r->at++;
		return true;
	}
	return false;
}

/* whoever is told to be slow has a word for the other side each second nevertheless */
static void slow_down(struct sender *s)
{
	uint64_t max = agent.plan_rate / TELEPAGE_PAGE_SIZE;

	if (agent.plan_rate && s->block > max)
		s->block = max ? max : 1;
}

/* what our next turn names gets its digests, if that has nothing yet */
static int hash_ahead(struct sender *s)
{
	uint64_t left = s->block, begin = now_ms(), took;
	struct piece p;
	int err = 0;

	if (s->nr_ahead)
		return 0;
	while (!err && left && s->nr_ahead < PIECES && next_piece(s, left, &p)) {
		/* what is written to from here on is stale */
		if (!s->fenced)
			s->r[p.region].hashed = p.run.first + p.run.count;
		err = hash(s, p.region, &p.run);
		s->ahead[s->nr_ahead++] = p;
		left -= p.run.count;
	}
	took = now_ms() - begin;
	/* On a long line most of a turn is waiting: then more goes into one. */
	if ((took < BLOCK_SHORT_MS || 2 * took < s->turn_ms) && s->block < PLAN_PAGES_MAX)
		s->block *= 2;
	else if (took > BLOCK_LONG_MS && took > s->turn_ms / 2 && s->block > BLOCK_MIN)
		s->block /= 2;
	slow_down(s);
	return err;
}

static bool put_hashed(struct sender *s)
{
	unsigned int n = s->nr_ahead;

	for (unsigned int k = 0; k < n; k++) {
		const struct piece *p = &s->ahead[k];
		struct sent *r = &s->r[p->region];

		put_pages(s, p->region, p->run.first, p->run.count);
		if (p->run.first + p->run.count > r->named)
			r->named = p->run.first + p->run.count;
		*(s->looked ? &s->again : &s->named) += p->run.count;
	}
	s->nr_ahead = 0;
	return n;
}

/* the first pass is over: then what was stale */
static void todo_is_stale(struct sender *s)
{
	for (unsigned int i = 0; i < s->job->nr; i++) {
		struct sent *r = &s->r[i];

		free(r->todo.v);
		r->todo = r->stale;
		r->stale = (struct plan_runs){ 0 };
		r->at = 0;
	}
}

/* --- the conversation ------------------------------------------------------------ */

static bool same(const uint8_t *sum, const digest_t *d, unsigned int n)
{
	digest_t ours;

	return !digest_is_zero(sum) &&
	       !plan_sum(d, n, ours) && !memcmp(ours, sum, sizeof(ours));
}

/* an offer is taken: what is unchanged need not be hashed */
static bool they_have(struct sender *s, const uint8_t *body, size_t len)
{
	struct plan_list l;
	struct plan_run *none = plan_runs(body, len, s->pages, s->job->nr, &l);
	struct plan_runs clean = { 0 };
	struct sent *r;

	free(none);
	if (!none || l.nr || !s->r[l.region].changed || s->r[l.region].had ||
	    s->r[l.region].hashed)
		return false;
	r = &s->r[l.region];
	r->had = true;
	plan_runs_of(&clean, r->changed, r->pages, false);
	for (size_t k = 0; k < clean.nr; k++)
		s->unchanged += clean.v[k].count;
	plan_put_runs(&s->wire, PLAN_UNCHANGED, l.region, clean.v, clean.nr);
	free(clean.v);
	r->todo.nr = 0;
	plan_runs_of(&r->todo, r->changed, r->pages, true);
	return true;
}

/* their turn: questions, whose answers go into our next one */
static int answer(struct sender *s)
{
	uint64_t asked = 0;

	for (;;) {
		const uint8_t *body;
		struct plan_head h;
		const digest_t *d;
		size_t len;
		int type = plan_get(&s->wire, &body, &len);

		if (type == PLAN_TURN)
			return 0;
		if (type < 0)
			return type;
		if (type == PLAN_HAVE) {
			if (!they_have(s, body, len))
				return -EPROTO;
			continue;
		}
		if (type != PLAN_ASK || len != sizeof(h) + DIGEST_SIZE ||
		    !plan_head(body, len, s->pages, s->job->nr, &h) ||
		    h.first + h.count > s->r[h.region].named)
			return -EPROTO;
		asked += h.count;
		if (asked > PLAN_TURN_MAX)
			return -EPROTO;
		d = s->r[h.region].digests + h.first;
		if (same(body + sizeof(h), d, h.count))
			plan_put(&s->wire, PLAN_SAME, NULL, 0, NULL, 0);
		else
			plan_put(&s->wire, PLAN_DIGESTS, NULL, 0, d, h.count * sizeof(*d));
	}
}

/* nothing is left to be said before the regions are frozen */
static int wait_for_fence(struct sender *s)
{
	struct pollfd p[2] = { { .fd = s->ctl, .events = POLLIN },
			       { .fd = s->wire.fd, .events = POLLIN | POLLRDHUP } };

	if (!s->told) {
		s->told = true;
		worker_say(s->ctl, json_pack("{s:b}", "looked", 1));
	}
	pulse_beat();
	if (poll(p, 2, LOOK_MS) < 0 && errno != EINTR)
		return -errno;
	/* it is our turn: what comes is the end, of it, or of our agent, which may come again */
	if (!p[1].revents && worker_heard(s->ctl, false) >= 0)
		return 0;
	s->wire.broken = true;
	return p[1].revents ? -ECONNRESET : -EPIPE;
}

/* do they have what a region came with? Then that is said before anything is hashed */
static int offer(struct sender *s)
{
	bool any = false;
	int err;

	for (unsigned int i = 0; i < s->job->nr; i++) {
		struct plan_list l = { htole32(i), 0 };

		if (!s->r[i].changed)
			continue;
		plan_put(&s->wire, PLAN_KNOWN, &l, sizeof(l), s->r[i].sum, sizeof(s->r[i].sum));
		any = true;
	}
	if (!any)
		return 0;
	err = plan_end_turn(&s->wire);
	return err ? err : answer(s);
}

static int converse(struct sender *s)
{
	int err = offer(s);
	uint64_t begin;

	if (!err)
		err = hash_ahead(s);
	while (!err) {
		bool said = put_hashed(s);

		if (!said && !s->looked) {
			plan_put(&s->wire, PLAN_LOOKED, NULL, 0, NULL, 0);
			s->looked = true;
			said = true;
			if (s->fenced)
				todo_is_stale(s);
		}
		if (!s->fenced) {
			err = put_fence(s);
			if (err < 0)
				return err;
			if (err && s->looked)
				todo_is_stale(s);
			said |= err;
		} else if (!said) {
			plan_put(&s->wire, PLAN_DONE, NULL, 0, NULL, 0);
			return plan_end_turn(&s->wire);
		}
		if (!said) {
			err = wait_for_fence(s);
			continue;
		}
		begin = now_ms();
		err = plan_end_turn(&s->wire);
		/* while the other side looks for what we have named */
		if (!err)
			err = hash_ahead(s);
		if (!err)
			err = answer(s);
		s->turn_ms = now_ms() - begin;
	}
	return err;
}

/* Clears the dirty bits. If nobody has before, they tell what has changed since it came. */
static int begin_dirty(struct sender *s, unsigned int i, struct tp_region *now)
{
	const char *name = s->job->region[i].name;
	struct sent *r = &s->r[i];
	uint64_t clears;
	int err;

	r->changed = xcalloc(1, r->pages / 8 + 8);
	err = plan_dirty(s->nl, name, r->pages, r->changed, !r->still, &clears);
	if (!err)
		err = tp_region_get(s->nl, name, now);
	if (err)
		return err;
	r->harvests = now->harvests;
	if (now->harvests != clears || !now->importing ||
	    !plan_known(now->name, now->id, r->sum)) {
		free(r->changed);
		r->changed = NULL;
	}
	return 0;
}

static int begin(struct sender *s)
{
	int err;

	for (unsigned int i = 0; i < s->job->nr; i++) {
		struct sent *r = &s->r[i];
		struct tp_region now;

		r->pages = s->job->region[i].pages;
		s->pages[i] = r->pages;
		r->fd = region_open(s->job->region[i].name);
		if (r->fd < 0)
			return r->fd;
		err = plan_still(s->nl, s->job->region[i].name, &now, &r->still);
		if (err)
			return err;
		if (now.absent || now.size / TELEPAGE_PAGE_SIZE != r->pages)
			return -EBUSY;
		r->digests = calloc(r->pages, sizeof(*r->digests));
		if (!r->digests)
			return -ENOMEM;
		plan_runs_add(&r->todo, 0, r->pages);
		err = begin_dirty(s, i, &now);
		if (err)
			return err;
	}
	return 0;
}

/* --- images that stay -------------------------------------------------------------- */

/* "kept": for each region the sum of its digests, by which it is known when it comes back */
static void keep_all(struct sender *s, bool planned)
{
	json_t *kept = json_array(), *why = NULL;

	for (unsigned int i = 0; i < s->job->nr; i++) {
		const char *name = s->job->region[i].name;
		char hex[2 * DIGEST_SIZE + 1];
		digest_t sum;
		int err = plan_keep(s->job, i, planned && !s->r[i].had ? s->r[i].digests : NULL, sum);

		if (!err) {
			for (unsigned int k = 0; k < sizeof(sum); k++)
				snprintf(hex + 2 * k, 3, "%02x", sum[k]);
			json_array_append_new(kept, json_string(hex));
			continue;
		}
		json_array_append_new(kept, json_null());
		json_decref(why);
		why = json_sprintf("%s: %s", name, err == -EFBIG ?
				   "it does not fit into --keep-images, with its index" : strerror(-err));
	}
	worker_say(s->ctl, json_pack("{s:o, s:o*}", "kept", kept, "error", why));
}

/* another plan would end like this: the other side need not wait for it */
static void give_up(struct sender *s)
{
	const struct timeval soon = { .tv_sec = 1 };

	/* maybe it does not listen */
	setsockopt(s->wire.fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	s->wire.out_len = 0;
	plan_put(&s->wire, PLAN_DONE, NULL, 0, NULL, 0);
	plan_end_turn(&s->wire);
	s->wire.broken = false;
}

int plan_send_main(int ctl, void *work)
{
	const struct plan_work *w = work;
	struct sender s = { .job = &w->job, .ctl = ctl, .block = BLOCK_MIN };
	uint64_t begun = now_ms();
	int err = tp_nl_open(&s.nl), what;

	pulse_use(w->pulse);
	slow_down(&s);
	plan_wire_init(&s.wire, w->fd);
	if (!err && w->refuse)
		err = -ECANCELED;
	if (!err && w->fd >= 0)
		err = begin(&s);
	if (!err && w->fd >= 0)
		err = converse(&s);
	if (err && !s.wire.broken && w->fd >= 0)
		give_up(&s);
	if (w->fd >= 0)
		shutdown(w->fd, SHUT_WR);
	worker_say(ctl, json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"side", "source", "error", err ? strerror(-err) : "",
		"broken", err && s.wire.broken, "named", (json_int_t)s.named,
		"unchanged", (json_int_t)s.unchanged, "stale", (json_int_t)s.stale_pages,
		"again", (json_int_t)s.again,
		"sent_bytes", (json_int_t)s.wire.sent, "received_bytes", (json_int_t)s.wire.got,
		"ms", (json_int_t)(now_ms() - begun)));
	while ((what = worker_heard(ctl, true)) >= 0)
		if (what == 'K')
			keep_all(&s, !err && w->fd >= 0);
	for (unsigned int i = 0; i < s.job->nr; i++) {
		free(s.r[i].digests);
		free(s.r[i].changed);
		free(s.r[i].todo.v);
		free(s.r[i].stale.v);
	}
	plan_wire_free(&s.wire);
	tp_nl_close(s.nl);
	return 0;
}
