// SPDX-License-Identifier: GPL-2.0
/*
 * failnth.c - whatever fails for want of memory leaves everything as it was
 *
 * Each operation of the netlink interface and each that is done to a region as a file
 * is tried with its first allocation failing, then with its second, and so on until it
 * goes through. What a user would lose otherwise: a region that an agent made and was
 * told it did not make, a guest that dies of SIGBUS, a page with wrong content.
 *
 *	tk-failnth [PART]	of the name of an operation: only those
 *
 * Only what the task that asks does itself can be made to fail like this; the threads
 * and workers of lanes, bridges and fills cannot.
 */
#include <stdio.h>

#include "failnth.h"

#define STATE	16384		/* bytes of text */

static struct fz_msg msg;
static struct tp_nl *events;

/* ---- results ---- */

bool fn_ok(bool good, const char *what)
{
	return tap_ok(good, "%s", what);
}

void fn_note(const char *fmt, ...)
{
	char words[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	tap_note("%s", words);
}

void fn_report(const char *what, const struct fn_count *c, bool can_fail)
{
	bool good = c->ended && !c->strange && !c->changed && !c->wrong && !c->undone &&
		    (c->failures || !can_fail);

	tap_ok(good, "%s: %u failures, %u refused, %u done all the same, %u not answered; %s",
	       what, c->failures, c->refused, c->taken, c->unknown,
	       "refused is undone, and no page wrong");
	if (!good)
		tap_note("%s: %u strange errors, %u changes by a refusal, %u times wrong pages, "
			 "%u times not to be undone%s", what, c->strange, c->changed, c->wrong,
			 c->undone, c->ended ? "" : ", never through");
}

/* ---- what there is ---- */

static char *text;
static size_t text_len, text_room;

__attribute__((format(printf, 1, 2)))
static void put(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_len += vsnprintf(text + text_len, text_room - text_len, fmt, ap);
	va_end(ap);
	if (text_len >= text_room)
		tk_die("more state than there is room for");
}

static void put_regions(void)
{
	struct tp_region_list l;
	size_t i;

	tk_ok(tp_region_dump(tk_nl, &l), "dump");
	for (i = 0; i < l.n; i++) {
		const struct tp_region *r = &l.v[i];

		if (!strncmp(r->name, "witness", 7))
			continue;
		put("region %s %llu %o %u:%u %s%s %llu of %llu open %u exports %u",
		    r->name, (unsigned long long)r->size, r->mode, r->uid, r->gid,
		    tp_region_state_name(r->state), r->frozen ? " frozen" : "",
		    (unsigned long long)r->resident, (unsigned long long)r->absent,
		    r->openers, r->exports);
		put(" import %d %d from %u %u\n", r->importing, r->live, r->link, r->export_id);
	}
	tp_region_list_free(&l);
}

static void put_exports(void)
{
	struct tp_export_list l;
	size_t i;

	tk_ok(tp_export_dump(tk_nl, &l), "dump");
	for (i = 0; i < l.n; i++) {
		put("export %s %u of '%s' %u '%s' %llu %llu", l.v[i].name, l.v[i].id,
		    l.v[i].region, l.v[i].pid, l.v[i].peer, (unsigned long long)l.v[i].offset,
		    (unsigned long long)l.v[i].size);
		put(" ranges %zu links %zu open %d round %u\n", l.v[i].nr_ranges,
		    l.v[i].nr_links, l.v[i].open, l.v[i].round);
	}
	tp_export_list_free(&l);
}

static void put_links(void)
{
	struct tp_link_list l;
	size_t i, j;

	tk_ok(tp_link_dump(tk_nl, &l), "dump");
	for (i = 0; i < l.n; i++) {
		put("link %u '%s' imports %u serves %u lanes", l.v[i].id, l.v[i].peer,
		    l.v[i].imports, l.v[i].serves);
		for (j = 0; j < l.v[i].nr_lanes; j++)
			put(" %u%s", l.v[i].lanes[j].lane, l.v[i].lanes[j].up ? " up" : "");
		put("\n");
	}
	tp_link_list_free(&l);
}

static void put_bridges(void)
{
	struct tp_uffd_list l;
	size_t i;

	tk_ok(tp_uffd_dump(tk_nl, &l), "dump");
	for (i = 0; i < l.n; i++)
		put("bridge %s %u descriptors %u fill %d ranges %zu\n", l.v[i].region, l.v[i].pid,
		    l.v[i].descriptors, l.v[i].fill, l.v[i].nr_ranges);
	tp_uffd_list_free(&l);
}

const char *fn_state(void)
{
	static char texts[2][STATE];
	static unsigned int turn;

	text = texts[turn++ % 2];
	text_room = sizeof(texts[0]);
	text_len = 0;
	*text = 0;
	put_regions();
	put_exports();
	put_links();
	put_bridges();
	return text;
}

/* ---- the netlink interface ---- */

/* pages of "fz-new" that have content when the operation is done */
static uint32_t new_pages(const char *name)
{
	static const struct {
		const char *name;
		uint32_t pages;
	} of[] = {
		{ "region-import", 0xffff }, { "region-import, live", 0x00ff },
		{ "region-origin", 0x030f }, { "region-origin, planned", 0x000f },
	};
	unsigned int i;

	for (i = 0; i < sizeof(of) / sizeof(*of); i++)
		if (!strcmp(of[i].name, name))
			return of[i].pages;
	return 0;
}

/* Events are of these; others come when they come. */
static bool is_told(uint8_t cmd)
{
	return cmd == TELEPAGE_CMD_REGION_NEW || cmd == TELEPAGE_CMD_REGION_DEL ||
	       cmd == TELEPAGE_CMD_REGION_ABANDON;
}

static bool is_look(const struct fz_good *g)
{
	return g->dump || g->cmd == TELEPAGE_CMD_REGION_GET || g->cmd == TELEPAGE_CMD_EXPORT_GET ||
	       g->cmd == TELEPAGE_CMD_LINK_GET || g->cmd == TELEPAGE_CMD_UFFD_GET;
}

static void count_event(const struct tp_event *ev, void *arg)
{
	++*(unsigned int *)arg;
}

/* Has somebody who listens heard of it, or that he missed something? */
static bool events_told(void)
{
	unsigned int n = 0;

	return tp_nl_events_read(events, count_event, &n) == -ENOBUFS || n;
}

static void show(const struct fz_good *g, unsigned int nth, const char *what, int err)
{
	tap_note("%s, failure %u: %s (%d %s)", g->name, nth, what, err,
		 err < 0 ? strerror(-err) : "");
}

/* true: it went through without a failure */
static bool attempt(const struct fz_good *g, unsigned int nth, struct fn_count *c)
{
	static char before[STATE];
	struct fz_answer a = { };
	int fd = fz_open(), err;
	bool spent = false;

	events_told();
	snprintf(before, sizeof(before), "%s", fn_state());
	fn_start(g->name, nth);
	err = fz_say(fd, &msg);
	if (!g->dump)
		spent = fn_end();
	if (err)
		a.error = err;
	else
		a = fz_hear(fd);
	if (g->dump)
		spent = fn_end();
	fz_close(fd);
	c->failures += spent;
	if (!spent && a.error) {
		show(g, nth, "without a failure", a.error == FZ_SILENT ? -a.lost : a.error);
		c->strange++;
		return true;
	}
	if (a.error == FZ_SILENT) {
		/* the answer itself had no room, which the socket says at once */
		c->unknown++;
		if (!fn_honest(-a.lost)) {
			show(g, nth, "no answer", -a.lost);
			c->strange++;
		}
	} else if (a.error) {
		c->refused++;
		if (!fn_honest(a.error)) {
			show(g, nth, a.why, a.error);
			c->strange++;
		}
		if (!tk_until(!strcmp(before, fn_state()))) {
			show(g, nth, "but something changed", a.error);
			tap_note("before: %s", before);
			tap_note("after: %s", fn_state());
			c->changed++;
		}
		return false;
	} else {
		c->taken += spent;
		if (is_told(g->cmd) && !events_told()) {
			show(g, nth, "done, and nobody was told", 0);
			c->strange++;
		}
		if (fz_world_wrong(new_pages(g->name))) {
			show(g, nth, "done, with wrong pages", 0);
			c->wrong++;
		}
	}
	/* who only looks finds it as it was */
	if (spent && !is_look(g))
		fz_prepare(g, &msg);
	return !spent;
}

static void test_one(const struct fz_good *g)
{
	struct fn_count c = { };
	unsigned int nth;

	fz_prepare(g, &msg);
	for (nth = 1; nth <= FN_MOST && !c.ended && c.changed + c.strange < 5; nth++)
		c.ended = attempt(g, nth, &c);
	c.wrong += !fz_witness_good();
	c.undone += !fz_world_close();
	fn_report(g->name, &c, true);
}

static const char *part;

bool fn_wanted(const char *name)
{
	return !part || strstr(name, part);
}

static unsigned int references(void)
{
	char n[32];

	return strtoul(tk_cat("/sys/module/telepage/refcnt", n, sizeof(n)), NULL, 10);
}

int main(int argc, char **argv)
{
	unsigned int i, held;

	part = argv[1];
	tk_init();
	if (!fn_set_up()) {
		puts("1..0 # SKIP this kernel cannot let allocations fail");
		return TAP_SKIP;
	}
	tk_ok(tp_nl_events_open(&events), "events");
	fz_seed = 1;
	fz_learn();
	held = references();
	fz_witness_open();
	for (i = 0; i < fz_nr_goods; i++)
		if (fn_wanted(fz_goods[i].name))
			test_one(&fz_goods[i]);
	tap_ok(fz_witness_close(), "the region that filled all the while has every page");
	fn_test_files();
	tap_str(fn_state(), "", "nothing is left of all that");
	if (!tap_ok(tk_until(references() == held), "nor does anything hold the module"))
		tap_note("%u references, %u before", references(), held);
	if (fn_wanted("load of the module"))
		fn_test_load("/lab/telepage.ko");
	return tap_done();
}
