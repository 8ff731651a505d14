// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_stats.c - all counters
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "fmt.h"
#include "parse.h"
#include "table.h"
#include "tojson.h"

const char cmd_stats_usage[] =
	"Usage: telepage stats [NAME] [--json]\n\n"
	"Shows all counters of regions, exports and links, or those of the region and the\n"
	"export NAME. They count from when each was made.\n\n"
	"  --json   one JSON object\n";

struct stats {
	struct tp_region_list regions;
	struct tp_export_list exports;
	struct tp_link_list links;
};

static void row(struct tp_table *t, const char *value, const char *what)
{
	tp_table_row(t, (const char *[]){ value, what });
}

static void row_count(struct tp_table *t, uint64_t v, const char *what)
{
	char buf[TP_FMT_LEN];

	row(t, tp_fmt_count(buf, sizeof(buf), v), what);
}

static void row_size(struct tp_table *t, uint64_t v, const char *what)
{
	char buf[TP_FMT_LEN];

	row(t, tp_fmt_size(buf, sizeof(buf), v), what);
}

static void row_ns(struct tp_table *t, uint64_t v, const char *what)
{
	char buf[TP_FMT_LEN];

	row(t, tp_fmt_ns(buf, sizeof(buf), v), what);
}

static struct tp_table counters(void)
{
	return (struct tp_table){ .columns = 2, .right = 1 << 0, .indent = "  " };
}

static void show_region(const struct tp_region *r)
{
	const struct tp_stats *s = &r->stats;
	struct tp_table t = counters();
	const char *state = tp_region_state_name(r->state);

	printf("region %s, %s%s\n", r->name, state ? state : "unknown",
	       r->frozen ? ", frozen" : "");
	row_size(&t, r->size, "size");
	row_size(&t, r->resident * TELEPAGE_PAGE_SIZE, "in memory here");
	row_size(&t, r->absent * TELEPAGE_PAGE_SIZE, "still absent");
	row_count(&t, s->faults, "faults on pages that were not in memory");
	row_count(&t, s->faults_nowait, "of them by who may not sleep (asynchronous page faults)");
	row_count(&t, s->zero_fill, "pages made from zero here");
	row_count(&t, s->demand_sent, "pages asked for, repeats included");
	row_count(&t, s->demand, "pages that came because they were asked for");
	row_count(&t, s->prefetch_sent, "pages asked for ahead of use");
	row_count(&t, s->prefetch_came, "pages that came for it");
	row_count(&t, s->prefetch_hit, "of those asked for, pages that were then needed");
	row_count(&t, s->prefetch_waste, "and pages that were given up untouched");
	row_count(&t, s->sample_faults, "faults that samples have cost");
	row_count(&t, s->push, "pages that came unasked");
	row_count(&t, s->zero, "pages that the peer said are zero, or a file has as zero");
	row_count(&t, s->file, "pages that came from a file");
	row_count(&t, s->file_bad, "pages that a file did not have as promised");
	row_count(&t, s->rewritten, "pages that had come and were written to since");
	row_count(&t, s->duplicate, "pages that came and were here already");
	row_count(&t, s->stale, "replies to no request or an older one");
	row_ns(&t, s->wait_ns, "that tasks waited for pages, all together");
	row_ns(&t, s->wait_max_ns, "the longest wait");
	if (s->demand)
		row_ns(&t, s->wait_ns / s->demand, "waited for each page asked for");
	row_count(&t, s->mkwrite, "first writes to a clean page");
	row_size(&t, s->rx_bytes, "received, headers included");
	tp_table_print(&t, stdout);
}

static void show_export(const struct tp_export *e)
{
	struct tp_table t = counters();

	printf("export %s, %s\n", e->name, e->lost ? "lost, its process has ended" :
	       e->open ? "given out" : "kept back");
	row_size(&t, e->size, "size");
	row_count(&t, e->demand, "pages sent because they were asked for");
	row_count(&t, e->push, "pages sent unasked");
	row_count(&t, e->zero, "pages told to be zero");
	row_count(&t, e->wanted, "pages left to push");
	row_count(&t, e->failed, "pages that could not be read");
	row_size(&t, e->tx_bytes, "sent, headers included");
	tp_table_print(&t, stdout);
}

static void show_link(const struct tp_link *l)
{
	struct tp_table t = counters();
	char what[32];

	printf("link %u, %s\n", l->id, l->up ? "up" : "down");
	row_size(&t, l->tx_bytes, "sent");
	row_size(&t, l->rx_bytes, "received");
	row_count(&t, l->bad, "messages that broke the rules");
	for (size_t i = 0; i < l->nr_lanes; i++) {
		const struct tp_lane *lane = &l->lanes[i];

		snprintf(what, sizeof(what), "sent on lane %u", lane->lane);
		row_size(&t, lane->tx_bytes, what);
		snprintf(what, sizeof(what), "received on lane %u", lane->lane);
		row_size(&t, lane->rx_bytes, what);
	}
	tp_table_print(&t, stdout);
}

static void show(const struct stats *s)
{
	const char *gap = "";

	for (size_t i = 0; i < s->regions.n; i++, gap = "\n") {
		fputs(gap, stdout);
		show_region(&s->regions.v[i]);
	}
	for (size_t i = 0; i < s->exports.n; i++, gap = "\n") {
		fputs(gap, stdout);
		show_export(&s->exports.v[i]);
	}
	for (size_t i = 0; i < s->links.n; i++, gap = "\n") {
		fputs(gap, stdout);
		show_link(&s->links.v[i]);
	}
	if (!*gap)
		puts("no regions, exports or links");
}

static int show_json(const struct stats *s)
{
	return tp_json_print(json_pack("{so so so}",
				       "regions", tp_json_regions(&s->regions),
				       "exports", tp_json_exports(&s->exports),
				       "links", tp_json_links(&s->links)));
}

/* leaves what is called @name in the lists: at most one region and one export */
static void only(struct stats *s, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < s->regions.n; i++)
		if (!strcmp(s->regions.v[i].name, name))
			s->regions.v[n++] = s->regions.v[i];
	s->regions.n = n;

	n = 0;
	for (size_t i = 0; i < s->exports.n; i++) {
		if (strcmp(s->exports.v[i].name, name) != 0)
			tp_export_clear(&s->exports.v[i]);
		else
			s->exports.v[n++] = s->exports.v[i];
	}
	s->exports.n = n;
}

int cmd_stats(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ 0 }
	};
	const char *name = NULL;
	struct stats s = { 0 };
	struct tp_nl *nl;
	bool json = false;
	int err, o, status;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o != 'j')
			return TP_USAGE;
		json = true;
	}
	if (argc - optind > 1)
		return tp_usage(argv[0], "takes one NAME or none");
	if (argc - optind == 1) {
		name = argv[optind];
		if (!tp_name_ok(name))
			return tp_usage(argv[0], "'%s' is no name: " TP_NAME_RULE, name);
	}
	status = tp_open(&nl, "stats");
	if (status)
		return status;

	err = tp_region_dump(nl, &s.regions);
	if (!err)
		err = tp_export_dump(nl, &s.exports);
	if (!err && !name)
		err = tp_link_dump(nl, &s.links);
	if (err) {
		status = tp_fail_nl(nl, err, NULL, "stats");
		goto out;
	}
	if (name) {
		only(&s, name);
		if (!s.regions.n && !s.exports.n) {
			status = tp_fail("stats %s: there is no region or export of this name "
					 "(telepage list shows what there is)", name);
			goto out;
		}
	}
	if (json)
		status = show_json(&s);
	else
		show(&s);
out:
	tp_region_list_free(&s.regions);
	tp_export_list_free(&s.exports);
	tp_link_list_free(&s.links);
	tp_nl_close(nl);
	return status;
}
