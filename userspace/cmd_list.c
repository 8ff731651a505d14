// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_list.c - what there is: regions, exports, links, attached VMMs
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "fmt.h"
#include "table.h"
#include "tojson.h"

const char cmd_list_usage[] =
	"Usage: telepage list [regions|exports|links|attached] [--json | --names]\n\n"
	"Shows regions, exports, links, and VMMs attached by their userfaultfd, or one kind of\n"
	"them.\n\n"
	"  --json    one JSON object with an array for each kind\n"
	"  --names   names only (regions unless said otherwise; links: their numbers)\n";

enum kind {
	REGIONS = 1,
	EXPORTS = 2,
	LINKS = 4,
	ATTACHED = 8,
	ALL = REGIONS | EXPORTS | LINKS | ATTACHED,
};

struct list {
	struct tp_region_list regions;
	struct tp_export_list exports;
	struct tp_link_list links;
	struct tp_uffd_list attached;
};

static void u32_text(char *buf, size_t len, uint32_t v)
{
	snprintf(buf, len, "%" PRIu32, v);
}

static void show_regions(const struct tp_region_list *l)
{
	struct tp_table t = { .columns = 8, .right = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 };

	if (!l->n) {
		puts("no regions");
		return;
	}
	tp_table_row(&t, (const char *[]){ "REGION", "SIZE", "STATE", "HERE", "MEMORY", "OPEN",
					   "EXPORTS", "FROM" });
	for (size_t i = 0; i < l->n; i++) {
		const struct tp_region *r = &l->v[i];
		const char *name = tp_region_state_name(r->state);
		char size[TP_FMT_LEN], here[TP_FMT_LEN], mem[TP_FMT_LEN], state[48];
		char openers[16], exports[16], from[48] = "-";
		uint64_t pages = r->size / TELEPAGE_PAGE_SIZE;

		snprintf(state, sizeof(state), "%s%s", name ? name : "unknown",
			 r->frozen ? ",frozen" : "");
		u32_text(openers, sizeof(openers), r->openers);
		u32_text(exports, sizeof(exports), r->exports);
		if (r->importing && r->state != TELEPAGE_REGION_LOCAL)
			snprintf(from, sizeof(from), "link %" PRIu32 " export %" PRIu32 "%s",
				 r->link, r->export_id, r->push ? "" : " (no push)");
		tp_table_row(&t, (const char *[]){
			r->name, tp_fmt_size(size, sizeof(size), r->size), state,
			tp_fmt_percent(here, sizeof(here), pages - r->absent, pages),
			tp_fmt_size(mem, sizeof(mem), r->resident * TELEPAGE_PAGE_SIZE),
			openers, exports, from });
	}
	tp_table_print(&t, stdout);
}

static void join_links(char *buf, size_t len, const struct tp_export *e)
{
	size_t out = 0;

	snprintf(buf, len, "-");
	for (size_t i = 0; i < e->nr_links && out < len; i++)
		out += snprintf(buf + out, len - out, "%s%" PRIu32, i ? "," : "", e->links[i]);
}

static void show_exports(const struct tp_export_list *l)
{
	struct tp_table t = { .columns = 9, .right = 1 << 1 | 1 << 3 | 1 << 6 | 1 << 7 };

	if (!l->n) {
		puts("no exports");
		return;
	}
	tp_table_row(&t, (const char *[]){ "EXPORT", "ID", "OF", "SIZE", "PAGES", "LINKS", "SENT",
					   "LEFT", "FOR" });
	for (size_t i = 0; i < l->n; i++) {
		const struct tp_export *e = &l->v[i];
		char id[16], of[80], size[TP_FMT_LEN], links[64], sent[TP_FMT_LEN],
		     left[TP_FMT_LEN];

		u32_text(id, sizeof(id), e->id);
		if (e->nr_ranges)
			snprintf(of, sizeof(of), "process %" PRIu32, e->pid);
		else
			snprintf(of, sizeof(of), *e->region ? "region %s" : "file", e->region);
		join_links(links, sizeof(links), e);
		tp_table_row(&t, (const char *[]){
			e->name, id, of, tp_fmt_size(size, sizeof(size), e->size),
			e->lost ? "lost" : e->open ? "given out" : "kept back", links,
			tp_fmt_count(sent, sizeof(sent), e->demand + e->push + e->zero),
			tp_fmt_count(left, sizeof(left), e->wanted), *e->peer ? e->peer : "-" });
	}
	tp_table_print(&t, stdout);
}

/* "0 1 2?": the lanes that have a socket, ? as long as the peer has not greeted */
static void join_lanes(char *buf, size_t len, const struct tp_link *l)
{
	size_t out = 0;

	snprintf(buf, len, "-");
	for (size_t i = 0; i < l->nr_lanes && out < len; i++)
		out += snprintf(buf + out, len - out, "%s%" PRIu32 "%s", i ? " " : "",
				l->lanes[i].lane, l->lanes[i].up ? "" : "?");
}

/* whom a link goes to: of the agent's note what is for people, else the note */
static const char *peer_text(char *buf, size_t len, const char *note)
{
	json_t *obj = json_loads(note, 0, NULL);
	const char *host = NULL, *who = NULL, *name = NULL;

	if (!obj || json_unpack(obj, "{s?s, s?s, s?s}", "host", &host, "who", &who, "name", &name))
		snprintf(buf, len, "%s", *note ? note : "-");
	else
		snprintf(buf, len, "%s%s%s%s%s", host ? host : "", host && who && *who ? " " : "",
			 who ? who : "", name && *name ? ": " : "", name ? name : "");
	json_decref(obj);
	return buf;
}

static void show_links(const struct tp_link_list *l)
{
	struct tp_table t = { .columns = 8, .right = 1 << 0 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 };

	if (!l->n) {
		puts("no links");
		return;
	}
	tp_table_row(&t, (const char *[]){ "LINK", "STATE", "LANES", "IMPORTS", "SERVES", "SENT",
					   "RECEIVED", "PEER" });
	for (size_t i = 0; i < l->n; i++) {
		const struct tp_link *k = &l->v[i];
		char id[16], peer[160], lanes[96], imports[16], serves[16], tx[TP_FMT_LEN], rx[TP_FMT_LEN];

		u32_text(id, sizeof(id), k->id);
		u32_text(imports, sizeof(imports), k->imports);
		u32_text(serves, sizeof(serves), k->serves);
		join_lanes(lanes, sizeof(lanes), k);
		tp_table_row(&t, (const char *[]){
			id, k->up ? "up" : "down", lanes, imports, serves,
			tp_fmt_size(tx, sizeof(tx), k->tx_bytes),
			tp_fmt_size(rx, sizeof(rx), k->rx_bytes),
			peer_text(peer, sizeof(peer), k->peer) });
	}
	tp_table_print(&t, stdout);
}

static void show_attached(const struct tp_uffd_list *l)
{
	struct tp_table t = { .columns = 7, .right = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 |
						     1 << 6 };

	tp_table_row(&t, (const char *[]){ "ATTACHED", "PROCESS", "SIZE", "FAULTS", "GIVEN", "ZERO",
					   "DISCARDED" });
	for (size_t i = 0; i < l->n; i++) {
		const struct tp_uffd *u = &l->v[i];
		char pid[16], size[TP_FMT_LEN], faults[TP_FMT_LEN], given[TP_FMT_LEN],
		     zero[TP_FMT_LEN], removed[TP_FMT_LEN];
		uint64_t bytes = 0;

		for (size_t k = 0; k < u->nr_ranges; k++)
			bytes += u->ranges[k].len;
		u32_text(pid, sizeof(pid), u->pid);
		tp_table_row(&t, (const char *[]){
			u->region, pid, tp_fmt_size(size, sizeof(size), bytes),
			tp_fmt_count(faults, sizeof(faults), u->faults),
			tp_fmt_count(given, sizeof(given), u->copied + u->continued),
			tp_fmt_count(zero, sizeof(zero), u->zero),
			tp_fmt_count(removed, sizeof(removed), u->removed) });
	}
	tp_table_print(&t, stdout);
}

static void show(const struct list *l, enum kind kinds)
{
	if (kinds & REGIONS)
		show_regions(&l->regions);
	if (kinds == ALL)
		putchar('\n');
	if (kinds & EXPORTS)
		show_exports(&l->exports);
	if (kinds == ALL)
		putchar('\n');
	if (kinds & LINKS)
		show_links(&l->links);
	/* most hosts have none */
	if (kinds == ATTACHED && !l->attached.n)
		puts("no VMM is attached");
	if (kinds == ALL && l->attached.n)
		putchar('\n');
	if (l->attached.n)
		show_attached(&l->attached);
}

static void show_names(const struct list *l, enum kind kinds)
{
	for (size_t i = 0; kinds & REGIONS && i < l->regions.n; i++)
		puts(l->regions.v[i].name);
	for (size_t i = 0; kinds & EXPORTS && i < l->exports.n; i++)
		puts(l->exports.v[i].name);
	for (size_t i = 0; kinds & LINKS && i < l->links.n; i++)
		printf("%" PRIu32 "\n", l->links.v[i].id);
	for (size_t i = 0; kinds & ATTACHED && i < l->attached.n; i++)
		puts(l->attached.v[i].region);
}

static int show_json(const struct list *l, enum kind kinds)
{
	json_t *o = json_object();

	if (kinds & REGIONS)
		json_object_set_new(o, "regions", tp_json_regions(&l->regions));
	if (kinds & EXPORTS)
		json_object_set_new(o, "exports", tp_json_exports(&l->exports));
	if (kinds & LINKS)
		json_object_set_new(o, "links", tp_json_links(&l->links));
	if (kinds & ATTACHED)
		json_object_set_new(o, "attached", tp_json_uffds(&l->attached));
	return tp_json_print(o);
}

static int parse_args(int argc, char **argv, enum kind *kinds, bool *json, bool *names)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "names", no_argument, NULL, 'n' },
		{ 0 }
	};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'j':
			*json = true;
			break;
		case 'n':
			*names = true;
			break;
		default:
			return TP_USAGE;
		}
	}
	if (*json && *names)
		return tp_usage(argv[0], "takes --json or --names, not both");
	*kinds = *names ? REGIONS : ALL;
	if (argc - optind > 1)
		return tp_usage(argv[0], "takes one of regions, exports, links, attached");
	if (argc - optind == 1) {
		const char *word = argv[optind];

		*kinds = !strcmp(word, "regions") ? REGIONS :
			 !strcmp(word, "exports") ? EXPORTS :
			 !strcmp(word, "links") ? LINKS :
			 !strcmp(word, "attached") ? ATTACHED : 0;
		if (!*kinds)
			return tp_usage(argv[0], "knows regions, exports, links and attached, "
					"no '%s'", word);
	}
	return TP_OK;
}

int cmd_list(int argc, char **argv)
{
	bool json = false, names = false;
	struct list l = { 0 };
	enum kind kinds = ALL;
	struct tp_nl *nl;
	int err = 0, status;

	status = parse_args(argc, argv, &kinds, &json, &names);
	if (status)
		return status;
	status = tp_open(&nl, "list");
	if (status)
		return status;

	if (kinds & REGIONS)
		err = tp_region_dump(nl, &l.regions);
	if (!err && kinds & EXPORTS)
		err = tp_export_dump(nl, &l.exports);
	if (!err && kinds & LINKS)
		err = tp_link_dump(nl, &l.links);
	if (!err && kinds & ATTACHED)
		err = tp_uffd_dump(nl, &l.attached);
	/* a module that is older than this tool has no such thing */
	if (err == -EOPNOTSUPP && kinds == ALL)
		err = 0;

	if (err)
		status = tp_fail_nl(nl, err, NULL, "list");
	else if (json)
		status = show_json(&l, kinds);
	else if (names)
		show_names(&l, kinds);
	else
		show(&l, kinds);

	tp_region_list_free(&l.regions);
	tp_export_list_free(&l.exports);
	tp_link_list_free(&l.links);
	tp_uffd_list_free(&l.attached);
	tp_nl_close(nl);
	return status;
}
