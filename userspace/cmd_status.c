// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_status.c - how far regions have been filled
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "fmt.h"
#include "parse.h"
#include "progress.h"
#include "screen.h"
#include "tojson.h"

const char cmd_status_usage[] =
	"Usage: telepage status [NAME] [--watch] [--interval S] [--json]\n\n"
	"Shows how much of each region, or of the region NAME, is here: a bar on a terminal,\n"
	"pages here and in all, how fast they come, how many a second are waited for\n"
	"(demand/s), and the time left.\n\n"
	"  --watch        go on; with NAME until it is complete (exit status 0) or broken,\n"
	"                 abandoned or deleted (exit status 1)\n"
	"  --interval S   seconds between two looks (default 1)\n"
	"  --json         a JSON object on a line, with --watch one for each look\n";

/* a rate needs two looks: this far apart when there is no --watch */
#define SINGLE_LOOK_S	1.0

/* a region and what is remembered of it from look to look */
struct row {
	struct tp_region r;
	struct tp_progress p;
};

struct status {
	const char *name;		/* NULL: all */
	bool watch, json;
	double interval;
	struct tp_nl *nl;
	struct tp_nl *events;		/* NULL: no events, look at intervals only */
	struct row *rows;
	size_t nr_rows;
	struct tp_screen screen;
	bool woken;			/* an event that is about our regions */
};

static struct row *find_row(struct status *s, const char *name)
{
	for (size_t i = 0; i < s->nr_rows; i++)
		if (!strcmp(s->rows[i].r.name, name))
			return &s->rows[i];
	return NULL;
}

/* the regions as they are now; rates go on from the look before */
static int look(struct status *s)
{
	struct tp_region_list l = { 0 };
	struct row *rows, *old;
	uint64_t now;
	int err;

	if (s->name) {
		l.v = calloc(1, sizeof(*l.v));
		l.n = 1;
		err = l.v ? tp_region_get(s->nl, s->name, l.v) : -ENOMEM;
	} else {
		err = tp_region_dump(s->nl, &l);
	}
	now = tp_now_ns();
	rows = err ? NULL : calloc(l.n + 1, sizeof(*rows));
	if (!rows) {
		tp_region_list_free(&l);
		return err ? err : -ENOMEM;
	}
	for (size_t i = 0; i < l.n; i++) {
		const struct tp_region *r = &l.v[i];
		uint64_t pages = r->size / TELEPAGE_PAGE_SIZE;

		old = find_row(s, r->name);
		if (old)
			rows[i].p = old->p;
		else
			tp_progress_init(&rows[i].p, stdout, r->name);
		rows[i].r = *r;
		tp_progress_sample(&rows[i].p, now, pages - r->absent, pages, r->stats.demand);
	}
	free(s->rows);
	s->rows = rows;
	s->nr_rows = l.n;
	tp_region_list_free(&l);
	return 0;
}

static size_t nr_filling(const struct status *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->nr_rows; i++)
		n += s->rows[i].r.state == TELEPAGE_REGION_FILLING;
	return n;
}

static void show_row(struct tp_screen *screen, const struct row *row, unsigned int label_width)
{
	const char *name = tp_region_state_name(row->r.state);
	unsigned int columns = screen->columns;
	struct tp_progress p = row->p;
	char line[512], state[48];

	p.idle = row->r.state != TELEPAGE_REGION_FILLING;
	snprintf(state, sizeof(state), "  %s%s", name ? name : "unknown",
		 row->r.frozen ? ",frozen" : "");
	/* that it fills is what its speed says, and a terminal has little room */
	if (columns && !p.idle && !row->r.frozen)
		*state = '\0';
	snprintf(p.label, sizeof(p.label), "%-*s", (int)label_width, row->r.name);
	tp_progress_line(&p, line, sizeof(line),
			 columns > strlen(state) ? columns - strlen(state) : 0);
	strncat(line, state, sizeof(line) - strlen(line) - 1);
	tp_screen_line(screen, line);
}

static void show_text(struct status *s)
{
	size_t filling = nr_filling(s), fills, rests, more;
	unsigned int label_width = 0;
	char line[96];

	for (size_t i = 0; i < s->nr_rows; i++)
		if (strlen(s->rows[i].r.name) > label_width)
			label_width = strlen(s->rows[i].r.name);
	if (s->screen.columns)
		tp_screen_size(&s->screen);
	tp_screen_begin(&s->screen);
	/* where not all have room, those that fill go before those that rest */
	rests = tp_screen_room(&s->screen, s->nr_rows);
	more = s->nr_rows - rests;
	fills = rests < filling ? rests : filling;
	filling -= fills;
	rests -= fills;
	for (size_t i = 0; i < s->nr_rows; i++) {
		size_t *room = s->rows[i].r.state == TELEPAGE_REGION_FILLING ? &fills : &rests;

		if (!*room)
			continue;
		--*room;
		show_row(&s->screen, &s->rows[i], label_width);
	}
	snprintf(line, sizeof(line), "%zu more, %zu of them filling", more, filling);
	if (more)
		tp_screen_line(&s->screen, line);
	if (!s->nr_rows)
		tp_screen_line(&s->screen, "no regions");
	tp_screen_end(&s->screen);
}

static json_t *row_json(const struct row *row)
{
	json_t *o = tp_json_region(&row->r);

	json_object_set_new(o, "pages_per_s", json_real(row->p.rate));
	json_object_set_new(o, "demand_per_s", json_real(row->p.demand_rate));
	json_object_set_new(o, "left_s", row->p.left_s < 0 ? json_null() :
							     json_integer(row->p.left_s));
	return o;
}

static int show_json(const struct status *s)
{
	json_t *o, *regions;

	if (s->name) {
		o = row_json(&s->rows[0]);
	} else {
		regions = json_array();
		for (size_t i = 0; i < s->nr_rows; i++)
			json_array_append_new(regions, row_json(&s->rows[i]));
		o = json_pack("{so}", "regions", regions);
	}
	json_object_set_new(o, "time", tp_json_now());
	return tp_json_print(o);
}

static int show(struct status *s)
{
	if (s->json)
		return show_json(s);
	show_text(s);
	return ferror(stdout) ? tp_fail("cannot write the output") : TP_OK;
}

static void on_event(const struct tp_event *ev, void *arg)
{
	struct status *s = arg;

	if (*ev->region && (!s->name || !strcmp(ev->region, s->name)))
		s->woken = true;
}

/* until the next look is due, or one of our regions has changed its state */
static void wait_for_next(struct status *s, double seconds)
{
	uint64_t until = tp_now_ns() + (uint64_t)(seconds * 1e9), now;
	struct pollfd pfd = { .fd = s->events ? tp_nl_fd(s->events) : -1, .events = POLLIN };
	int err;

	s->woken = false;
	while (!s->woken && (now = tp_now_ns()) < until) {
		if (poll(&pfd, 1, (int)((until - now + 999999) / 1000000)) <= 0)
			continue;
		err = tp_nl_events_read(s->events, on_event, s);
		/* lost some, or it is broken: look now, and do not spin on it */
		if (err)
			s->woken = true;
		if (err && err != -ENOBUFS) {
			tp_nl_close(s->events);
			s->events = NULL;
		}
	}
}

/* the end of --watch for one region: an exit status, or -1 to go on */
static int verdict(const struct status *s)
{
	if (!s->name)
		return -1;
	switch (s->rows[0].r.state) {
	case TELEPAGE_REGION_LOCAL:
		return TP_OK;
	case TELEPAGE_REGION_BROKEN:
		return tp_fail("status %s: broken, the peer cannot give some of its pages "
			       "(see the log of the peer's agent; to give them up: telepage abandon %s)", s->name, s->name);
	case TELEPAGE_REGION_ABANDONED:
		return tp_fail("status %s: abandoned with pages missing", s->name);
	default:
		return -1;
	}
}

static int look_failed(const struct status *s, int err)
{
	if (!s->name)
		return tp_fail_nl(s->nl, err, NULL, "status");
	if (err == -ENOENT && s->nr_rows)
		return tp_fail("status %s: it was deleted", s->name);
	return tp_fail_nl(s->nl, err, NULL, "status %s", s->name);
}

static int run_once(struct status *s)
{
	int err = look(s);

	if (!err && nr_filling(s)) {
		wait_for_next(s, SINGLE_LOOK_S);
		err = look(s);
	}
	return err ? look_failed(s, err) : show(s);
}

static int run_watch(struct status *s)
{
	int err, status;

	for (;;) {
		err = look(s);
		if (err)
			return look_failed(s, err);
		status = show(s);
		if (status)
			return status;
		status = verdict(s);
		if (status >= 0)
			return status;
		wait_for_next(s, s->interval);
	}
}

static int parse_args(int argc, char **argv, struct status *s)
{
	static const struct option options[] = {
		{ "watch", no_argument, NULL, 'w' },
		{ "interval", required_argument, NULL, 'i' },
		{ "json", no_argument, NULL, 'j' },
		{ 0 }
	};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'w':
			s->watch = true;
			break;
		case 'i':
			if (!tp_parse_seconds(optarg, &s->interval) || s->interval < 0.01 ||
			    s->interval > 86400)
				return tp_usage(argv[0], "'%s' is no interval in seconds", optarg);
			break;
		case 'j':
			s->json = true;
			break;
		default:
			return TP_USAGE;
		}
	}
	if (argc - optind > 1)
		return tp_usage(argv[0], "takes one NAME or none");
	if (argc - optind == 1) {
		s->name = argv[optind];
		if (!tp_name_ok(s->name))
			return tp_usage(argv[0], "'%s' is no name: " TP_NAME_RULE, s->name);
	}
	return TP_OK;
}

int cmd_status(int argc, char **argv)
{
	struct status s = { .interval = 1 };
	int status;

	status = parse_args(argc, argv, &s);
	if (status)
		return status;
	s.screen.out = stdout;
	if (!s.json && isatty(STDOUT_FILENO)) {
		s.screen.over = s.watch && tp_redraws(stdout);
		tp_screen_size(&s.screen);	/* and bars are drawn */
	}
	/* before the first look, so that nothing falls in between */
	if (s.watch && tp_nl_events_open(&s.events))
		s.events = NULL;
	status = tp_open(&s.nl, "status");
	if (!status)
		status = s.watch ? run_watch(&s) : run_once(&s);
	free(s.rows);
	tp_nl_close(s.events);
	tp_nl_close(s.nl);
	return status;
}
