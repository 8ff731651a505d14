// SPDX-License-Identifier: GPL-2.0
/*
 * tojson.c - the structs of genl.h as JSON
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd.h"
#include "tojson.h"

/* the values of genl.h are below 2^63 in any machine that can exist */
static json_t *num(uint64_t v)
{
	return json_integer((json_int_t)v);
}

/*
 * Notes and reasons are bytes from elsewhere. JSON wants UTF-8: what is not is
 * taken as Latin-1, which loses nothing.
 */
static json_t *text(const char *s)
{
	json_t *j = json_string(s);
	char buf[2 * TELEPAGE_PEER_MAX + 1];
	size_t out = 0;

	if (j)
		return j;
	for (; *s && out + 2 < sizeof(buf); s++) {
		unsigned char c = *s;

		if (c < 0x80) {
			buf[out++] = c;
		} else {
			buf[out++] = 0xc0 | c >> 6;
			buf[out++] = 0x80 | (c & 0x3f);
		}
	}
	buf[out] = '\0';
	return json_string(buf);
}

static json_t *text_or_null(const char *s)
{
	return s && *s ? text(s) : json_null();
}

json_t *tp_json_now(void)
{
	struct timespec ts;
	long ms;

	clock_gettime(CLOCK_REALTIME, &ts);
	/* more digits would be noise */
	ms = ts.tv_nsec / 1000000;
	return json_real(ts.tv_sec + ms / 1e3);
}

json_t *tp_json_stats(const struct tp_stats *s)
{
	return json_pack("{so so so so so so so so so so so so so so so so so so so so so}",
			 "faults", num(s->faults),
			 "faults_nowait", num(s->faults_nowait),
			 "zero_fill", num(s->zero_fill),
			 "demand_sent", num(s->demand_sent),
			 "demand", num(s->demand),
			 "push", num(s->push),
			 "zero", num(s->zero),
			 "duplicate", num(s->duplicate),
			 "stale", num(s->stale),
			 "wait_ns", num(s->wait_ns),
			 "wait_max_ns", num(s->wait_max_ns),
			 "mkwrite", num(s->mkwrite),
			 "rx_bytes", num(s->rx_bytes),
			 "file", num(s->file),
			 "file_bad", num(s->file_bad),
			 "rewritten", num(s->rewritten),
			 "prefetch_sent", num(s->prefetch_sent),
			 "prefetch_came", num(s->prefetch_came),
			 "prefetch_hit", num(s->prefetch_hit),
			 "prefetch_waste", num(s->prefetch_waste),
			 "sample_faults", num(s->sample_faults));
}

json_t *tp_json_region(const struct tp_region *r)
{
	uint64_t pages = r->size / TELEPAGE_PAGE_SIZE;
	const char *state = tp_region_state_name(r->state);
	json_t *import = json_null();
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", r->mode & 07777);
	if (r->importing)
		import = json_pack("{so so sb}", "link", num(r->link),
				   "export_id", num(r->export_id), "push", r->push);
	return json_pack("{ss so so ss ss so so sb sb so so so so so so so}",
			 "name", r->name,
			 "size", num(r->size),
			 "pages", num(pages),
			 "state", state ? state : "unknown",
			 "mode", mode,
			 "uid", num(r->uid),
			 "gid", num(r->gid),
			 "frozen", r->frozen,
			 "live", r->live,
			 "here_pages", num(pages - r->absent),
			 "absent_pages", num(r->absent),
			 "resident_pages", num(r->resident),
			 "openers", num(r->openers),
			 "exports", num(r->exports),
			 "import", import,
			 "stats", tp_json_stats(&r->stats));
}

json_t *tp_json_export(const struct tp_export *e)
{
	json_t *links = json_array(), *ranges = json_array();

	for (size_t i = 0; i < e->nr_links; i++)
		json_array_append_new(links, num(e->links[i]));
	for (size_t i = 0; i < e->nr_ranges; i++)
		json_array_append_new(ranges, json_pack("{so so}",
							"addr", num(e->ranges[i].addr),
							"len", num(e->ranges[i].len)));
	return json_pack("{ss ss so so so so so so so sb sb so so so so so so so so}",
			 "name", e->name,
			 "peer", e->peer,
			 "id", num(e->id),
			 "region", text_or_null(e->region),
			 "pid", e->nr_ranges ? num(e->pid) : json_null(),
			 "ranges", ranges,
			 "offset", num(e->offset),
			 "size", num(e->size),
			 "links", links,
			 "open", e->open,
			 "lost", e->lost,
			 "demand", num(e->demand),
			 "push", num(e->push),
			 "zero", num(e->zero),
			 "wanted", num(e->wanted),
			 "failed", num(e->failed),
			 "tx_bytes", num(e->tx_bytes),
			 "round", num(e->round),
			 "rewritten", num(e->rewritten));
}

/* the agent's note, an object where it is one; its token is between the agents */
static json_t *note(const char *text)
{
	json_t *obj = json_loads(text, 0, NULL);

	if (!json_is_object(obj)) {
		json_decref(obj);
		return text_or_null(text);
	}
	json_object_del(obj, "token");
	return obj;
}

json_t *tp_json_link(const struct tp_link *l)
{
	json_t *lanes = json_array();

	for (size_t i = 0; i < l->nr_lanes; i++) {
		const struct tp_lane *lane = &l->lanes[i];

		json_array_append_new(lanes, json_pack("{so sb so so}",
						       "lane", num(lane->lane),
						       "up", lane->up,
						       "tx_bytes", num(lane->tx_bytes),
						       "rx_bytes", num(lane->rx_bytes)));
	}
	return json_pack("{so so sb so so so so so so}",
			 "id", num(l->id),
			 "peer", note(l->peer),
			 "up", l->up,
			 "imports", num(l->imports),
			 "serves", num(l->serves),
			 "tx_bytes", num(l->tx_bytes),
			 "rx_bytes", num(l->rx_bytes),
			 "bad", num(l->bad),
			 "lanes", lanes);
}

json_t *tp_json_event(const struct tp_event *ev)
{
	const char *kind = tp_event_name(ev->kind);
	bool lane = ev->kind == TELEPAGE_EVENT_LANE_UP || ev->kind == TELEPAGE_EVENT_LANE_LOST;

	return json_pack("{so ss so so so so so so so}",
			 "time", tp_json_now(),
			 "event", kind ? kind : "unknown",
			 "region", text_or_null(ev->region),
			 "export", text_or_null(ev->export),
			 "link", ev->has_link ? num(ev->link) : json_null(),
			 "lane", lane ? num(ev->lane) : json_null(),
			 "errno", ev->error ? num(ev->error) : json_null(),
			 "error", ev->error ? text(strerror(ev->error)) : json_null(),
			 "reason", text_or_null(ev->reason));
}

json_t *tp_json_regions(const struct tp_region_list *l)
{
	json_t *a = json_array();

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(a, tp_json_region(&l->v[i]));
	return a;
}

json_t *tp_json_exports(const struct tp_export_list *l)
{
	json_t *a = json_array();

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(a, tp_json_export(&l->v[i]));
	return a;
}

json_t *tp_json_links(const struct tp_link_list *l)
{
	json_t *a = json_array();

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(a, tp_json_link(&l->v[i]));
	return a;
}

int tp_json_print(json_t *j)
{
	int err;

	if (!j)
		return tp_fail("out of memory");
	err = json_dumpf(j, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(13));
	json_decref(j);
	if (err || putchar('\n') == EOF || fflush(stdout))
		return tp_fail("cannot write the output");
	return TP_OK;
}

json_t *tp_json_uffd(const struct tp_uffd *u)
{
	json_t *ranges = json_array();

	for (size_t i = 0; i < u->nr_ranges; i++)
		json_array_append_new(ranges,
				      json_pack("{so so so so}", "address", num(u->ranges[i].addr),
						"size", num(u->ranges[i].len),
						"offset", num(u->ranges[i].offset),
						"page_size", num(u->ranges[i].page_size)));
	return json_pack("{ss so so sb so so so so so so so so}",
			 "region", u->region,
			 "pid", num(u->pid),
			 "descriptors", num(u->descriptors),
			 "fill", u->fill,
			 "ranges", ranges,
			 "faults", num(u->faults),
			 "copied", num(u->copied),
			 "continued", num(u->continued),
			 "zero", num(u->zero),
			 "removed", num(u->removed),
			 "retried", num(u->retried),
			 "failed", num(u->failed));
}

json_t *tp_json_uffds(const struct tp_uffd_list *l)
{
	json_t *a = json_array();

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(a, tp_json_uffd(&l->v[i]));
	return a;
}
