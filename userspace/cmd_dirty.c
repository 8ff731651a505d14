// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_dirty.c - which pages were written to
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd.h"
#include "dirtymap.h"
#include "fmt.h"
#include "parse.h"
#include "tojson.h"

const char cmd_dirty_usage[] =
	"Usage: telepage dirty NAME [--clear] [--summary] [--json]\n\n"
	"Shows which pages of the region NAME were written to since their dirty bits were last\n"
	"cleared: how many, then a line \"FIRST COUNT\" for each run of pages.\n\n"
	"  --clear     clear the bits; every later write shows the next time\n"
	"  --summary   how many only\n"
	"  --json      one JSON object\n";

struct dirty {
	const char *name;
	bool clear, summary, json;
	uint64_t pages;			/* of the region */
	struct tp_runs runs;
};

/*
 * A region is read in pieces, so with --clear each piece is cleared at its own
 * time: what is written meanwhile shows in this run or in the next one.
 */
static int read_all(struct tp_nl *nl, struct dirty *d)
{
	uint8_t *bitmap = malloc(TELEPAGE_DIRTY_MAX / 8);
	int err = bitmap ? 0 : -ENOMEM;

	for (uint64_t start = 0; !err && start < d->pages; start += TELEPAGE_DIRTY_MAX) {
		uint64_t count = d->pages - start;

		if (count > TELEPAGE_DIRTY_MAX)
			count = TELEPAGE_DIRTY_MAX;
		err = tp_region_dirty(nl, d->name, start, count, d->clear, bitmap);
		if (!err)
			err = tp_runs_add(&d->runs, bitmap, start, count);
	}
	free(bitmap);
	return err;
}

static void show(const struct dirty *d)
{
	char dirty[TP_FMT_LEN], pages[TP_FMT_LEN], size[TP_FMT_LEN];

	printf("%s of %s pages dirty (%s) in %zu run%s\n",
	       tp_fmt_count(dirty, sizeof(dirty), d->runs.pages),
	       tp_fmt_count(pages, sizeof(pages), d->pages),
	       tp_fmt_size(size, sizeof(size), d->runs.pages * TELEPAGE_PAGE_SIZE),
	       d->runs.n, d->runs.n == 1 ? "" : "s");
	for (size_t i = 0; i < d->runs.n && !d->summary; i++)
		printf("%" PRIu64 " %" PRIu64 "\n", d->runs.v[i].start, d->runs.v[i].count);
}

static int show_json(const struct dirty *d)
{
	json_t *o = json_pack("{ss sI sI sb sI}", "name", d->name,
			      "pages", (json_int_t)d->pages,
			      "dirty_pages", (json_int_t)d->runs.pages,
			      "cleared", d->clear,
			      "nr_runs", (json_int_t)d->runs.n);
	json_t *runs = json_array();

	if (!d->summary) {
		for (size_t i = 0; i < d->runs.n; i++) {
			json_int_t start = d->runs.v[i].start, count = d->runs.v[i].count;

			json_array_append_new(runs, json_pack("{sI sI}", "start", start,
							      "count", count));
		}
		json_object_set(o, "runs", runs);
	}
	json_decref(runs);
	return tp_json_print(o);
}

static int parse_args(int argc, char **argv, struct dirty *d)
{
	static const struct option options[] = {
		{ "clear", no_argument, NULL, 'c' },
		{ "summary", no_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ 0 }
	};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'c':
			d->clear = true;
			break;
		case 's':
			d->summary = true;
			break;
		case 'j':
			d->json = true;
			break;
		default:
			return TP_USAGE;
		}
	}
	if (argc - optind != 1)
		return tp_usage(argv[0], "takes one NAME");
	d->name = argv[optind];
	if (!tp_name_ok(d->name))
		return tp_usage(argv[0], "'%s' is no name: " TP_NAME_RULE, d->name);
	return TP_OK;
}

int cmd_dirty(int argc, char **argv)
{
	struct dirty d = { 0 };
	struct tp_region r;
	struct tp_nl *nl;
	int err, status;

	status = parse_args(argc, argv, &d);
	if (status)
		return status;
	status = tp_open(&nl, "dirty");
	if (status)
		return status;

	err = tp_region_get(nl, d.name, &r);
	if (!err) {
		d.pages = r.size / TELEPAGE_PAGE_SIZE;
		err = read_all(nl, &d);
	}
	if (err)
		status = tp_fail_nl(nl, err, NULL, "dirty %s", d.name);
	else if (d.json)
		status = show_json(&d);
	else
		show(&d);
	free(d.runs.v);
	tp_nl_close(nl);
	return status;
}
