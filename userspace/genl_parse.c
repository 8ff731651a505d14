// SPDX-License-Identifier: GPL-2.0
/*
 * genl_parse.c - kernel messages into the structs of genl.h
 *
 * The kernel is trusted, but this program may be older or newer than the module
 * that is loaded. So what must be there is asked for, what is not known is
 * ignored, and nothing is read beyond the end of an attribute.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>

#include "genl_parse.h"

#define REGION_BITMAP_MAX	(TELEPAGE_DIRTY_MAX / 8)
#define REGION_RUNS_MAX		(TELEPAGE_RUNS_MAX * sizeof(struct telepage_run))

static struct nla_policy region_policy[TELEPAGE_A_REGION_MAX + 1] = {
	[TELEPAGE_A_REGION_NAME]	= { .type = NLA_STRING, .maxlen = TELEPAGE_NAME_MAX + 1 },
	[TELEPAGE_A_REGION_SIZE]	= { .type = NLA_U64 },
	[TELEPAGE_A_REGION_MODE]	= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_UID]		= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_GID]		= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_STATE]	= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_FROZEN]	= { .type = NLA_FLAG },
	[TELEPAGE_A_REGION_RESIDENT]	= { .type = NLA_U64 },
	[TELEPAGE_A_REGION_ABSENT]	= { .type = NLA_U64 },
	[TELEPAGE_A_REGION_OPENERS]	= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_EXPORTS]	= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_HARVESTS]	= { .type = NLA_U64 },
	[TELEPAGE_A_REGION_ID]		= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_LINK]	= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_EXPORT_ID]	= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_PUSH]	= { .type = NLA_U8 },
	[TELEPAGE_A_REGION_START]	= { .type = NLA_U64 },
	[TELEPAGE_A_REGION_COUNT]	= { .type = NLA_U64 },
	[TELEPAGE_A_REGION_BITMAP]	= { .maxlen = REGION_BITMAP_MAX },
	[TELEPAGE_A_REGION_RUNS]	= { .maxlen = REGION_RUNS_MAX },
	[TELEPAGE_A_REGION_EVERY]	= { .type = NLA_U32 },
	[TELEPAGE_A_REGION_SAMPLED]	= { .type = NLA_U64 },
	[TELEPAGE_A_REGION_FAULTS]	= { .type = NLA_U64 },
	[TELEPAGE_A_REGION_STATS]	= { .type = NLA_NESTED },
	[TELEPAGE_A_REGION_LIVE]	= { .type = NLA_FLAG },
};

static struct nla_policy export_policy[TELEPAGE_A_EXPORT_MAX + 1] = {
	[TELEPAGE_A_EXPORT_NAME]	= { .type = NLA_STRING, .maxlen = TELEPAGE_NAME_MAX + 1 },
	[TELEPAGE_A_EXPORT_ID]		= { .type = NLA_U32 },
	[TELEPAGE_A_EXPORT_REGION]	= { .type = NLA_STRING, .maxlen = TELEPAGE_NAME_MAX + 1 },
	[TELEPAGE_A_EXPORT_OFFSET]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXPORT_SIZE]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXPORT_LINK]	= { .type = NLA_U32 },
	[TELEPAGE_A_EXPORT_OPEN]	= { .type = NLA_FLAG },
	[TELEPAGE_A_EXPORT_DEMAND]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXPORT_PUSH]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXPORT_ZERO]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXPORT_WANTED]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXPORT_FAILED]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXPORT_TX_BYTES]	= { .type = NLA_U64 },
	[TELEPAGE_A_EXPORT_PEER]	= { .type = NLA_STRING, .maxlen = TELEPAGE_PEER_MAX + 1 },
	[TELEPAGE_A_EXPORT_PID]		= { .type = NLA_U32 },
	[TELEPAGE_A_EXPORT_RANGE]	= { .type = NLA_NESTED },
	[TELEPAGE_A_EXPORT_LOST]	= { .type = NLA_FLAG },
	[TELEPAGE_A_EXPORT_ROUND]	= { .type = NLA_U32 },
	[TELEPAGE_A_EXPORT_BEGUN]	= { .type = NLA_FLAG },
	[TELEPAGE_A_EXPORT_REWRITTEN]	= { .type = NLA_U64 },
};

static struct nla_policy link_policy[TELEPAGE_A_LINK_MAX + 1] = {
	[TELEPAGE_A_LINK_ID]		= { .type = NLA_U32 },
	[TELEPAGE_A_LINK_PEER]		= { .type = NLA_STRING, .maxlen = TELEPAGE_PEER_MAX + 1 },
	[TELEPAGE_A_LINK_LANE]		= { .type = NLA_U32 },
	[TELEPAGE_A_LINK_LANES]		= { .type = NLA_NESTED },
	[TELEPAGE_A_LINK_UP]		= { .type = NLA_FLAG },
	[TELEPAGE_A_LINK_IMPORTS]	= { .type = NLA_U32 },
	[TELEPAGE_A_LINK_SERVES]	= { .type = NLA_U32 },
	[TELEPAGE_A_LINK_TX_BYTES]	= { .type = NLA_U64 },
	[TELEPAGE_A_LINK_RX_BYTES]	= { .type = NLA_U64 },
	[TELEPAGE_A_LINK_BAD]		= { .type = NLA_U64 },
};

static struct nla_policy uffd_policy[TELEPAGE_A_UFFD_MAX + 1] = {
	[TELEPAGE_A_UFFD_REGION]	= { .type = NLA_STRING, .maxlen = TELEPAGE_NAME_MAX + 1 },
	[TELEPAGE_A_UFFD_PID]		= { .type = NLA_U32 },
	[TELEPAGE_A_UFFD_FILL]		= { .type = NLA_U8 },
	[TELEPAGE_A_UFFD_RANGES]	= { .type = NLA_NESTED },
	[TELEPAGE_A_UFFD_DESCRIPTORS]	= { .type = NLA_U32 },
	[TELEPAGE_A_UFFD_FAULTS]	= { .type = NLA_U64 },
	[TELEPAGE_A_UFFD_COPIED]	= { .type = NLA_U64 },
	[TELEPAGE_A_UFFD_CONTINUED]	= { .type = NLA_U64 },
	[TELEPAGE_A_UFFD_ZERO]		= { .type = NLA_U64 },
	[TELEPAGE_A_UFFD_REMOVED]	= { .type = NLA_U64 },
	[TELEPAGE_A_UFFD_RETRIED]	= { .type = NLA_U64 },
	[TELEPAGE_A_UFFD_FAILED]	= { .type = NLA_U64 },
};

static struct nla_policy range_policy[TELEPAGE_A_RANGE_MAX + 1] = {
	[TELEPAGE_A_RANGE_ADDR]		= { .type = NLA_U64 },
	[TELEPAGE_A_RANGE_LEN]		= { .type = NLA_U64 },
	[TELEPAGE_A_RANGE_OFFSET]	= { .type = NLA_U64 },
	[TELEPAGE_A_RANGE_PAGE_SIZE]	= { .type = NLA_U32 },
	[TELEPAGE_A_RANGE_MEMFD_OFFSET]	= { .type = NLA_U64 },
};

static struct nla_policy event_policy[TELEPAGE_A_EVENT_MAX + 1] = {
	[TELEPAGE_A_EVENT_KIND]		= { .type = NLA_U32 },
	[TELEPAGE_A_EVENT_REGION]	= { .type = NLA_STRING, .maxlen = TELEPAGE_NAME_MAX + 1 },
	[TELEPAGE_A_EVENT_LINK]		= { .type = NLA_U32 },
	[TELEPAGE_A_EVENT_LANE]		= { .type = NLA_U32 },
	[TELEPAGE_A_EVENT_ERRNO]	= { .type = NLA_U32 },
	[TELEPAGE_A_EVENT_REASON]	= { .type = NLA_STRING },
	[TELEPAGE_A_EVENT_EXPORT]	= { .type = NLA_STRING, .maxlen = TELEPAGE_NAME_MAX + 1 },
};

/* counters are all alike: attribute number to member */
static const size_t stats_member[TELEPAGE_A_STATS_MAX + 1] = {
	[TELEPAGE_A_STATS_FAULTS]	 = offsetof(struct tp_stats, faults),
	[TELEPAGE_A_STATS_FAULTS_NOWAIT] = offsetof(struct tp_stats, faults_nowait),
	[TELEPAGE_A_STATS_ZERO_FILL]	 = offsetof(struct tp_stats, zero_fill),
	[TELEPAGE_A_STATS_DEMAND_SENT]	 = offsetof(struct tp_stats, demand_sent),
	[TELEPAGE_A_STATS_DEMAND]	 = offsetof(struct tp_stats, demand),
	[TELEPAGE_A_STATS_PUSH]		 = offsetof(struct tp_stats, push),
	[TELEPAGE_A_STATS_ZERO]		 = offsetof(struct tp_stats, zero),
	[TELEPAGE_A_STATS_DUPLICATE]	 = offsetof(struct tp_stats, duplicate),
	[TELEPAGE_A_STATS_STALE]	 = offsetof(struct tp_stats, stale),
	[TELEPAGE_A_STATS_WAIT_NS]	 = offsetof(struct tp_stats, wait_ns),
	[TELEPAGE_A_STATS_WAIT_MAX_NS]	 = offsetof(struct tp_stats, wait_max_ns),
	[TELEPAGE_A_STATS_MKWRITE]	 = offsetof(struct tp_stats, mkwrite),
	[TELEPAGE_A_STATS_RX_BYTES]	 = offsetof(struct tp_stats, rx_bytes),
	[TELEPAGE_A_STATS_FILE]		 = offsetof(struct tp_stats, file),
	[TELEPAGE_A_STATS_FILE_BAD]	 = offsetof(struct tp_stats, file_bad),
	[TELEPAGE_A_STATS_REWRITTEN]	 = offsetof(struct tp_stats, rewritten),
	[TELEPAGE_A_STATS_PREFETCH_SENT] = offsetof(struct tp_stats, prefetch_sent),
	[TELEPAGE_A_STATS_PREFETCH_CAME] = offsetof(struct tp_stats, prefetch_came),
	[TELEPAGE_A_STATS_PREFETCH_HIT]	 = offsetof(struct tp_stats, prefetch_hit),
	[TELEPAGE_A_STATS_PREFETCH_WASTE] = offsetof(struct tp_stats, prefetch_waste),
	[TELEPAGE_A_STATS_SAMPLE_FAULTS] = offsetof(struct tp_stats, sample_faults),
};

static const char *const state_names[] = {
	[TELEPAGE_REGION_LOCAL]		= "local",
	[TELEPAGE_REGION_FILLING]	= "filling",
	[TELEPAGE_REGION_BROKEN]	= "broken",
	[TELEPAGE_REGION_ABANDONED]	= "abandoned",
};

static const char *const event_names[] = {
	[TELEPAGE_EVENT_REGION_COMPLETE]  = "region-complete",
	[TELEPAGE_EVENT_REGION_BROKEN]	  = "region-broken",
	[TELEPAGE_EVENT_LANE_UP]	  = "lane-up",
	[TELEPAGE_EVENT_LANE_LOST]	  = "lane-lost",
	[TELEPAGE_EVENT_REGION_NEW]	  = "region-new",
	[TELEPAGE_EVENT_REGION_DEL]	  = "region-del",
	[TELEPAGE_EVENT_REGION_ABANDONED] = "region-abandoned",
	[TELEPAGE_EVENT_EXPORT_LOST]	  = "export-lost",
	[TELEPAGE_EVENT_UFFD_ATTACHED]	  = "uffd-attached",
	[TELEPAGE_EVENT_UFFD_DETACHED]	  = "uffd-detached",
};

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

const char *tp_region_state_name(enum telepage_region_state state)
{
	return (size_t)state < ARRAY_SIZE(state_names) ? state_names[state] : NULL;
}

const char *tp_event_name(enum telepage_event kind)
{
	return (size_t)kind < ARRAY_SIZE(event_names) ? event_names[kind] : NULL;
}

static uint32_t opt_u32(struct nlattr *a)
{
	return a ? nla_get_u32(a) : 0;
}

static uint64_t opt_u64(struct nlattr *a)
{
	return a ? nla_get_u64(a) : 0;
}

/* the length of the text: up to the first NUL or the end of the attribute */
static size_t text_len(struct nlattr *a)
{
	return strnlen(nla_data(a), nla_len(a));
}

/* false: does not fit, and half a name would be the name of something else */
static bool get_name(struct nlattr *a, char *out, size_t size)
{
	size_t n = text_len(a);

	if (n >= size)
		return false;
	memcpy(out, nla_data(a), n);
	out[n] = '\0';
	return true;
}

static int parse(struct nlattr **tb, int max, struct nlattr *head, int len,
		 struct nla_policy *policy)
{
	struct nlattr *a;
	int rest;

	/*
	 * nla_parse() only warns (on stderr, in libnl's voice) of bytes after the
	 * last attribute, so they are looked for first.
	 */
	nla_for_each_attr(a, head, len, rest)
		;
	if (rest > 0)
		return -EBADMSG;
	return nla_parse(tb, max, head, len, policy) < 0 ? -EBADMSG : 0;
}

static int parse_stats(struct nlattr *nest, struct tp_stats *out)
{
	struct nlattr *a;
	int rest;

	nla_for_each_nested(a, nest, rest) {
		int type = nla_type(a);

		/* PAD is 0 in the table, and so is anything newer than us */
		if (type <= TELEPAGE_A_STATS_PAD || type > TELEPAGE_A_STATS_MAX)
			continue;
		if (nla_len(a) < (int)sizeof(uint64_t))
			return -EBADMSG;
		*(uint64_t *)((char *)out + stats_member[type]) = nla_get_u64(a);
	}
	return rest > 0 ? -EBADMSG : 0;
}

int tp_parse_region(struct nlattr *head, int len, struct tp_region *out)
{
	struct nlattr *tb[TELEPAGE_A_REGION_MAX + 1];
	int err;

	memset(out, 0, sizeof(*out));
	err = parse(tb, TELEPAGE_A_REGION_MAX, head, len, region_policy);
	if (err)
		return err;
	if (!tb[TELEPAGE_A_REGION_NAME] || !tb[TELEPAGE_A_REGION_SIZE] ||
	    !tb[TELEPAGE_A_REGION_STATE] ||
	    !get_name(tb[TELEPAGE_A_REGION_NAME], out->name, sizeof(out->name)))
		return -EBADMSG;

	out->size = nla_get_u64(tb[TELEPAGE_A_REGION_SIZE]);
	out->state = nla_get_u32(tb[TELEPAGE_A_REGION_STATE]);
	out->mode = opt_u32(tb[TELEPAGE_A_REGION_MODE]);
	out->uid = opt_u32(tb[TELEPAGE_A_REGION_UID]);
	out->gid = opt_u32(tb[TELEPAGE_A_REGION_GID]);
	out->frozen = tb[TELEPAGE_A_REGION_FROZEN];
	out->resident = opt_u64(tb[TELEPAGE_A_REGION_RESIDENT]);
	out->absent = opt_u64(tb[TELEPAGE_A_REGION_ABSENT]);
	out->openers = opt_u32(tb[TELEPAGE_A_REGION_OPENERS]);
	out->exports = opt_u32(tb[TELEPAGE_A_REGION_EXPORTS]);
	out->id = opt_u32(tb[TELEPAGE_A_REGION_ID]);
	out->live = tb[TELEPAGE_A_REGION_LIVE];
	out->harvests = opt_u64(tb[TELEPAGE_A_REGION_HARVESTS]);
	/* who subtracts absent from the pages of the region must not wrap around */
	if (out->absent > out->size / TELEPAGE_PAGE_SIZE)
		return -EBADMSG;

	out->importing = tb[TELEPAGE_A_REGION_LINK];
	out->link = opt_u32(tb[TELEPAGE_A_REGION_LINK]);
	out->export_id = opt_u32(tb[TELEPAGE_A_REGION_EXPORT_ID]);
	out->push = tb[TELEPAGE_A_REGION_PUSH] ? nla_get_u8(tb[TELEPAGE_A_REGION_PUSH]) :
						 out->importing;

	return tb[TELEPAGE_A_REGION_STATS] ?
	       parse_stats(tb[TELEPAGE_A_REGION_STATS], &out->stats) : 0;
}

int tp_parse_dirty(struct nlattr *head, int len, uint64_t start, uint64_t count,
		   uint8_t *bitmap)
{
	struct nlattr *tb[TELEPAGE_A_REGION_MAX + 1];
	size_t bytes = (count + 7) / 8;
	int err;

	err = parse(tb, TELEPAGE_A_REGION_MAX, head, len, region_policy);
	if (err)
		return err;
	if (!tb[TELEPAGE_A_REGION_START] || !tb[TELEPAGE_A_REGION_COUNT] ||
	    !tb[TELEPAGE_A_REGION_BITMAP] ||
	    nla_get_u64(tb[TELEPAGE_A_REGION_START]) != start ||
	    nla_get_u64(tb[TELEPAGE_A_REGION_COUNT]) != count ||
	    (size_t)nla_len(tb[TELEPAGE_A_REGION_BITMAP]) < bytes)
		return -EBADMSG;
	memcpy(bitmap, nla_data(tb[TELEPAGE_A_REGION_BITMAP]), bytes);
	/* bits past the end mean nothing; callers count whole bytes */
	if (count % 8)
		bitmap[bytes - 1] &= (1U << count % 8) - 1;
	return 0;
}

/* what the answers of REGION_TOUCHED and REGION_SAMPLED have alike */
static int parse_runs(struct nlattr **tb, struct nlattr *head, int len, uint64_t start,
		      struct telepage_run *runs, size_t *n)
{
	size_t bytes;
	int err;

	err = parse(tb, TELEPAGE_A_REGION_MAX, head, len, region_policy);
	if (err)
		return err;
	if (!tb[TELEPAGE_A_REGION_START] || !tb[TELEPAGE_A_REGION_COUNT] ||
	    !tb[TELEPAGE_A_REGION_RUNS] || nla_get_u64(tb[TELEPAGE_A_REGION_START]) != start)
		return -EBADMSG;
	bytes = nla_len(tb[TELEPAGE_A_REGION_RUNS]);
	if (bytes % sizeof(*runs))
		return -EBADMSG;
	memcpy(runs, nla_data(tb[TELEPAGE_A_REGION_RUNS]), bytes);
	*n = bytes / sizeof(*runs);
	return 0;
}

int tp_parse_touched(struct nlattr *head, int len, uint64_t start, struct telepage_run *runs,
		     size_t *n, uint64_t *all)
{
	struct nlattr *tb[TELEPAGE_A_REGION_MAX + 1];
	int err = parse_runs(tb, head, len, start, runs, n);

	if (!err)
		*all = nla_get_u64(tb[TELEPAGE_A_REGION_COUNT]);
	return err;
}

int tp_parse_sampled(struct nlattr *head, int len, uint64_t start, struct telepage_run *runs,
		     size_t *n, struct tp_sample *s)
{
	struct nlattr *tb[TELEPAGE_A_REGION_MAX + 1];
	int err = parse_runs(tb, head, len, start, runs, n);

	if (err)
		return err;
	if (!tb[TELEPAGE_A_REGION_EVERY] || !tb[TELEPAGE_A_REGION_SAMPLED])
		return -EBADMSG;
	s->every = nla_get_u32(tb[TELEPAGE_A_REGION_EVERY]);
	s->sampled = nla_get_u64(tb[TELEPAGE_A_REGION_SAMPLED]);
	s->touched = nla_get_u64(tb[TELEPAGE_A_REGION_COUNT]);
	s->faults = opt_u64(tb[TELEPAGE_A_REGION_FAULTS]);
	return 0;
}

/* the links an export is served on: one attribute each */
static int parse_export_links(struct nlattr *head, int len, struct tp_export *out)
{
	struct nlattr *a;
	size_t n = 0;
	int rest;

	nla_for_each_attr(a, head, len, rest)
		n += nla_type(a) == TELEPAGE_A_EXPORT_LINK;
	if (!n)
		return 0;
	out->links = calloc(n, sizeof(*out->links));
	if (!out->links)
		return -ENOMEM;
	nla_for_each_attr(a, head, len, rest)
		if (nla_type(a) == TELEPAGE_A_EXPORT_LINK)
			out->links[out->nr_links++] = nla_get_u32(a);
	return 0;
}

/* the same for the ranges of a process */
static int parse_export_ranges(struct nlattr *head, int len, struct tp_export *out)
{
	struct nlattr *tb[TELEPAGE_A_RANGE_MAX + 1], *a;
	size_t n = 0;
	int rest, err;

	nla_for_each_attr(a, head, len, rest)
		n += nla_type(a) == TELEPAGE_A_EXPORT_RANGE;
	if (!n)
		return 0;
	out->ranges = calloc(n, sizeof(*out->ranges));
	if (!out->ranges)
		return -ENOMEM;
	nla_for_each_attr(a, head, len, rest) {
		if (nla_type(a) != TELEPAGE_A_EXPORT_RANGE)
			continue;
		err = parse(tb, TELEPAGE_A_RANGE_MAX, nla_data(a), nla_len(a), range_policy);
		if (err)
			return err;
		out->ranges[out->nr_ranges].addr = opt_u64(tb[TELEPAGE_A_RANGE_ADDR]);
		out->ranges[out->nr_ranges++].len = opt_u64(tb[TELEPAGE_A_RANGE_LEN]);
	}
	return 0;
}

int tp_parse_export(struct nlattr *head, int len, struct tp_export *out)
{
	struct nlattr *tb[TELEPAGE_A_EXPORT_MAX + 1];
	int err;

	memset(out, 0, sizeof(*out));
	err = parse(tb, TELEPAGE_A_EXPORT_MAX, head, len, export_policy);
	if (err)
		return err;
	if (!tb[TELEPAGE_A_EXPORT_NAME] || !tb[TELEPAGE_A_EXPORT_ID] ||
	    !get_name(tb[TELEPAGE_A_EXPORT_NAME], out->name, sizeof(out->name)))
		return -EBADMSG;
	if (tb[TELEPAGE_A_EXPORT_REGION] &&
	    !get_name(tb[TELEPAGE_A_EXPORT_REGION], out->region, sizeof(out->region)))
		return -EBADMSG;

	if (tb[TELEPAGE_A_EXPORT_PEER] &&
	    !get_name(tb[TELEPAGE_A_EXPORT_PEER], out->peer, sizeof(out->peer)))
		return -EBADMSG;

	out->id = nla_get_u32(tb[TELEPAGE_A_EXPORT_ID]);
	out->offset = opt_u64(tb[TELEPAGE_A_EXPORT_OFFSET]);
	out->size = opt_u64(tb[TELEPAGE_A_EXPORT_SIZE]);
	out->open = tb[TELEPAGE_A_EXPORT_OPEN];
	out->demand = opt_u64(tb[TELEPAGE_A_EXPORT_DEMAND]);
	out->push = opt_u64(tb[TELEPAGE_A_EXPORT_PUSH]);
	out->zero = opt_u64(tb[TELEPAGE_A_EXPORT_ZERO]);
	out->wanted = opt_u64(tb[TELEPAGE_A_EXPORT_WANTED]);
	out->failed = opt_u64(tb[TELEPAGE_A_EXPORT_FAILED]);
	out->tx_bytes = opt_u64(tb[TELEPAGE_A_EXPORT_TX_BYTES]);

	out->pid = opt_u32(tb[TELEPAGE_A_EXPORT_PID]);
	out->lost = tb[TELEPAGE_A_EXPORT_LOST];
	out->round = opt_u32(tb[TELEPAGE_A_EXPORT_ROUND]);
	out->begun = tb[TELEPAGE_A_EXPORT_BEGUN];
	out->rewritten = opt_u64(tb[TELEPAGE_A_EXPORT_REWRITTEN]);

	err = parse_export_links(head, len, out);
	if (!err)
		err = parse_export_ranges(head, len, out);
	if (err) {
		free(out->links);
		free(out->ranges);
		memset(out, 0, sizeof(*out));
	}
	return err;
}

static int parse_range(struct nlattr *nest, struct tp_uffd_range *out)
{
	struct nlattr *tb[TELEPAGE_A_RANGE_MAX + 1];
	int err;

	err = parse(tb, TELEPAGE_A_RANGE_MAX, nla_data(nest), nla_len(nest), range_policy);
	if (err)
		return err;
	out->addr = opt_u64(tb[TELEPAGE_A_RANGE_ADDR]);
	out->len = opt_u64(tb[TELEPAGE_A_RANGE_LEN]);
	out->offset = opt_u64(tb[TELEPAGE_A_RANGE_OFFSET]);
	out->page_size = opt_u32(tb[TELEPAGE_A_RANGE_PAGE_SIZE]);
	return 0;
}

int tp_parse_uffd(struct nlattr *head, int len, struct tp_uffd *out)
{
	struct nlattr *tb[TELEPAGE_A_UFFD_MAX + 1], *a;
	int err, rest;

	memset(out, 0, sizeof(*out));
	err = parse(tb, TELEPAGE_A_UFFD_MAX, head, len, uffd_policy);
	if (err)
		return err;
	if (!tb[TELEPAGE_A_UFFD_REGION] ||
	    !get_name(tb[TELEPAGE_A_UFFD_REGION], out->region, sizeof(out->region)))
		return -EBADMSG;
	out->pid = opt_u32(tb[TELEPAGE_A_UFFD_PID]);
	out->descriptors = opt_u32(tb[TELEPAGE_A_UFFD_DESCRIPTORS]);
	out->fill = !tb[TELEPAGE_A_UFFD_FILL] || nla_get_u8(tb[TELEPAGE_A_UFFD_FILL]);
	out->faults = opt_u64(tb[TELEPAGE_A_UFFD_FAULTS]);
	out->copied = opt_u64(tb[TELEPAGE_A_UFFD_COPIED]);
	out->continued = opt_u64(tb[TELEPAGE_A_UFFD_CONTINUED]);
	out->zero = opt_u64(tb[TELEPAGE_A_UFFD_ZERO]);
	out->removed = opt_u64(tb[TELEPAGE_A_UFFD_REMOVED]);
	out->retried = opt_u64(tb[TELEPAGE_A_UFFD_RETRIED]);
	out->failed = opt_u64(tb[TELEPAGE_A_UFFD_FAILED]);
	nla_for_each_attr(a, head, len, rest) {
		if (nla_type(a) != TELEPAGE_A_UFFD_RANGES ||
		    out->nr_ranges == TELEPAGE_RANGE_MAX)
			continue;
		err = parse_range(a, &out->ranges[out->nr_ranges++]);
		if (err)
			return err;
	}
	return 0;
}

static int parse_lane(struct nlattr *nest, struct tp_lane *out)
{
	struct nlattr *tb[TELEPAGE_A_LINK_MAX + 1];
	int err;

	err = parse(tb, TELEPAGE_A_LINK_MAX, nla_data(nest), nla_len(nest), link_policy);
	if (err)
		return err;
	if (!tb[TELEPAGE_A_LINK_LANE] ||
	    nla_get_u32(tb[TELEPAGE_A_LINK_LANE]) > TELEPAGE_LANE_MAX)
		return -EBADMSG;
	out->lane = nla_get_u32(tb[TELEPAGE_A_LINK_LANE]);
	out->up = tb[TELEPAGE_A_LINK_UP];
	out->tx_bytes = opt_u64(tb[TELEPAGE_A_LINK_TX_BYTES]);
	out->rx_bytes = opt_u64(tb[TELEPAGE_A_LINK_RX_BYTES]);
	return 0;
}

int tp_parse_link(struct nlattr *head, int len, struct tp_link *out)
{
	struct nlattr *tb[TELEPAGE_A_LINK_MAX + 1], *a;
	int err, rest;

	memset(out, 0, sizeof(*out));
	err = parse(tb, TELEPAGE_A_LINK_MAX, head, len, link_policy);
	if (err)
		return err;
	if (!tb[TELEPAGE_A_LINK_ID])
		return -EBADMSG;

	out->id = nla_get_u32(tb[TELEPAGE_A_LINK_ID]);
	out->up = tb[TELEPAGE_A_LINK_UP];
	out->imports = opt_u32(tb[TELEPAGE_A_LINK_IMPORTS]);
	out->serves = opt_u32(tb[TELEPAGE_A_LINK_SERVES]);
	out->tx_bytes = opt_u64(tb[TELEPAGE_A_LINK_TX_BYTES]);
	out->rx_bytes = opt_u64(tb[TELEPAGE_A_LINK_RX_BYTES]);
	out->bad = opt_u64(tb[TELEPAGE_A_LINK_BAD]);

	nla_for_each_attr(a, head, len, rest) {
		if (nla_type(a) != TELEPAGE_A_LINK_LANES)
			continue;
		if (out->nr_lanes == ARRAY_SIZE(out->lanes))
			return -EBADMSG;
		err = parse_lane(a, &out->lanes[out->nr_lanes]);
		if (err)
			return err;
		out->nr_lanes++;
	}

	if (tb[TELEPAGE_A_LINK_PEER])
		out->peer = strndup(nla_data(tb[TELEPAGE_A_LINK_PEER]),
				    nla_len(tb[TELEPAGE_A_LINK_PEER]));
	else
		out->peer = strdup("");
	return out->peer ? 0 : -ENOMEM;
}

int tp_parse_event(struct nlattr *head, int len, struct tp_event *out)
{
	struct nlattr *tb[TELEPAGE_A_EVENT_MAX + 1];
	size_t n;
	int err;

	memset(out, 0, sizeof(*out));
	err = parse(tb, TELEPAGE_A_EVENT_MAX, head, len, event_policy);
	if (err)
		return err;
	if (!tb[TELEPAGE_A_EVENT_KIND])
		return -EBADMSG;
	if (tb[TELEPAGE_A_EVENT_REGION] &&
	    !get_name(tb[TELEPAGE_A_EVENT_REGION], out->region, sizeof(out->region)))
		return -EBADMSG;
	if (tb[TELEPAGE_A_EVENT_EXPORT] &&
	    !get_name(tb[TELEPAGE_A_EVENT_EXPORT], out->export, sizeof(out->export)))
		return -EBADMSG;

	out->kind = nla_get_u32(tb[TELEPAGE_A_EVENT_KIND]);
	out->has_link = tb[TELEPAGE_A_EVENT_LINK];
	out->link = opt_u32(tb[TELEPAGE_A_EVENT_LINK]);
	out->lane = opt_u32(tb[TELEPAGE_A_EVENT_LANE]);
	out->error = opt_u32(tb[TELEPAGE_A_EVENT_ERRNO]) & 0xffff;
	if (tb[TELEPAGE_A_EVENT_REASON]) {
		/* for people, so cut where it is too long */
		n = text_len(tb[TELEPAGE_A_EVENT_REASON]);
		if (n >= sizeof(out->reason))
			n = sizeof(out->reason) - 1;
		memcpy(out->reason, nla_data(tb[TELEPAGE_A_EVENT_REASON]), n);
	}
	return 0;
}

int tp_parse_ack(const struct nlmsghdr *nlh, char *words, size_t words_len)
{
	size_t payload = nlh->nlmsg_len - NLMSG_HDRLEN, off;
	const char *data = (const char *)nlh + NLMSG_HDRLEN;
	struct nlattr *a, *head;
	int err, rest;

	words[0] = '\0';
	if (nlh->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = (const void *)data;

		if (payload < sizeof(*e))
			return -EBADMSG;
		err = e->error;
		off = sizeof(*e);
		/* then our request, unless the kernel left its body out */
		if (!(nlh->nlmsg_flags & NLM_F_CAPPED)) {
			if (e->msg.nlmsg_len < NLMSG_HDRLEN ||
			    e->msg.nlmsg_len - NLMSG_HDRLEN > payload - off)
				return -EBADMSG;
			off += NLMSG_ALIGN(e->msg.nlmsg_len - NLMSG_HDRLEN);
		}
	} else {
		/* the end of a dump; very old kernels send no errno with it */
		if (payload < sizeof(int))
			return 0;
		memcpy(&err, data, sizeof(err));
		off = NLMSG_ALIGN(sizeof(err));
	}
	if (err > 0)
		return -EBADMSG;
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS) || off >= payload)
		return err;

	head = (struct nlattr *)(data + off);
	nla_for_each_attr(a, head, (int)(payload - off), rest)
		if (nla_type(a) == NLMSGERR_ATTR_MSG)
			nla_strlcpy(words, a, words_len);
	return err;
}
