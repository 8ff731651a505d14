// SPDX-License-Identifier: GPL-2.0
/* kernel messages into structs: genl_parse.c, and from there into JSON: tojson.c */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>
#include <netlink/msg.h>

#include "genl_parse.h"
#include "tojson.h"
#include "tap.h"

#define FLIPS 20000

/* attributes of a message as the kernel would send them */
struct attrs {
	struct nl_msg *msg;
};

static struct attrs attrs_new(void)
{
	struct attrs a = { nlmsg_alloc_simple(0, 0) };

	return a;
}

static struct nlattr *head(struct attrs *a)
{
	return nlmsg_attrdata(nlmsg_hdr(a->msg), 0);
}

static int len(struct attrs *a)
{
	return nlmsg_attrlen(nlmsg_hdr(a->msg), 0);
}

static void put_region(struct attrs *a)
{
	struct nlattr *nest;

	nla_put_string(a->msg, TELEPAGE_A_REGION_NAME, "vm0");
	nla_put(a->msg, TELEPAGE_A_REGION_PAD, 0, NULL);
	nla_put_u64(a->msg, TELEPAGE_A_REGION_SIZE, 1ULL << 30);
	nla_put_u32(a->msg, TELEPAGE_A_REGION_MODE, 0640);
	nla_put_u32(a->msg, TELEPAGE_A_REGION_UID, 64055);
	nla_put_u32(a->msg, TELEPAGE_A_REGION_GID, 108);
	nla_put_u32(a->msg, TELEPAGE_A_REGION_STATE, TELEPAGE_REGION_FILLING);
	nla_put_flag(a->msg, TELEPAGE_A_REGION_FROZEN);
	nla_put_u64(a->msg, TELEPAGE_A_REGION_RESIDENT, 100);
	nla_put_u64(a->msg, TELEPAGE_A_REGION_ABSENT, 262044);
	nla_put_u32(a->msg, TELEPAGE_A_REGION_OPENERS, 2);
	nla_put_u32(a->msg, TELEPAGE_A_REGION_EXPORTS, 1);
	nla_put_u32(a->msg, TELEPAGE_A_REGION_LINK, 3);
	nla_put_u32(a->msg, TELEPAGE_A_REGION_EXPORT_ID, 0);
	nla_put_u8(a->msg, TELEPAGE_A_REGION_PUSH, 0);
	nest = nla_nest_start(a->msg, TELEPAGE_A_REGION_STATS);
	for (int i = TELEPAGE_A_STATS_PAD + 1; i <= TELEPAGE_A_STATS_MAX; i++)
		nla_put_u64(a->msg, i, 1000 + i);
	nla_put_u32(a->msg, TELEPAGE_A_STATS_MAX + 1, 1);	/* of a newer kernel */
	nla_nest_end(a->msg, nest);
	nla_put_u32(a->msg, TELEPAGE_A_REGION_MAX + 7, 1);
}

static void regions(void)
{
	struct attrs a = attrs_new();
	struct tp_region r;
	json_t *j;

	put_region(&a);
	tap_ok(!tp_parse_region(head(&a), len(&a), &r), "region");
	tap_ok(!strcmp(r.name, "vm0") && r.size == 1 << 30 && r.mode == 0640 && r.uid == 64055 &&
	       r.gid == 108 && r.state == TELEPAGE_REGION_FILLING && r.frozen &&
	       r.resident == 100 && r.absent == 262044 && r.openers == 2 && r.exports == 1 &&
	       r.importing && r.link == 3 && r.export_id == 0 && !r.push, "its members");
	tap_ok(r.stats.faults == 1000 + TELEPAGE_A_STATS_FAULTS &&
	       r.stats.wait_max_ns == 1000 + TELEPAGE_A_STATS_WAIT_MAX_NS &&
	       r.stats.rx_bytes == 1000 + TELEPAGE_A_STATS_RX_BYTES, "its counters");
	for (size_t i = 0; i < sizeof(r.stats) / sizeof(uint64_t); i++)
		if (((uint64_t *)&r.stats)[i] < 1000)
			tap_ok(false, "counter %zu is not read", i);

	j = tp_json_region(&r);
	tap_ok(json_integer_value(json_object_get(j, "here_pages")) == 100 &&
	       json_integer_value(json_object_get(json_object_get(j, "import"), "link")) == 3 &&
	       json_integer_value(json_object_get(json_object_get(j, "stats"), "demand")) ==
	       1000 + TELEPAGE_A_STATS_DEMAND, "as JSON");
	json_decref(j);
	nlmsg_free(a.msg);

	a = attrs_new();
	nla_put_string(a.msg, TELEPAGE_A_REGION_NAME, "vm0");
	nla_put_u64(a.msg, TELEPAGE_A_REGION_SIZE, 8192);
	tap_ok(tp_parse_region(head(&a), len(&a), &r) == -EBADMSG, "no state");
	nla_put_u32(a.msg, TELEPAGE_A_REGION_STATE, TELEPAGE_REGION_LOCAL);
	tap_ok(!tp_parse_region(head(&a), len(&a), &r) && !r.importing && !r.push && !r.frozen,
	       "the least there is");
	nla_put_u64(a.msg, TELEPAGE_A_REGION_ABSENT, 3);
	tap_ok(tp_parse_region(head(&a), len(&a), &r) == -EBADMSG, "more absent than there are");
	nlmsg_free(a.msg);

	a = attrs_new();
	nla_put_string(a.msg, TELEPAGE_A_REGION_NAME,
		       "0123456789012345678901234567890123456789012345678901234567890123");
	nla_put_u64(a.msg, TELEPAGE_A_REGION_SIZE, 8192);
	nla_put_u32(a.msg, TELEPAGE_A_REGION_STATE, TELEPAGE_REGION_LOCAL);
	tap_ok(tp_parse_region(head(&a), len(&a), &r) == -EBADMSG, "a name that is too long");
	nlmsg_free(a.msg);

	a = attrs_new();
	nla_put_u32(a.msg, TELEPAGE_A_REGION_SIZE, 8192);
	tap_ok(tp_parse_region(head(&a), len(&a), &r) == -EBADMSG, "a u64 of four bytes");
	nlmsg_free(a.msg);
}

static void put_export(struct attrs *a)
{
	nla_put_string(a->msg, TELEPAGE_A_EXPORT_NAME, "vm0");
	nla_put_u32(a->msg, TELEPAGE_A_EXPORT_ID, 7);
	nla_put_string(a->msg, TELEPAGE_A_EXPORT_REGION, "vm0");
	nla_put_u64(a->msg, TELEPAGE_A_EXPORT_SIZE, 4096);
	for (int i = 1; i <= 5; i++)
		nla_put_u32(a->msg, TELEPAGE_A_EXPORT_LINK, i);
	nla_put_flag(a->msg, TELEPAGE_A_EXPORT_OPEN);
	nla_put_u64(a->msg, TELEPAGE_A_EXPORT_TX_BYTES, 99);
}

static void exports(void)
{
	struct attrs a = attrs_new();
	struct tp_export e;
	json_t *j;

	put_export(&a);
	tap_ok(!tp_parse_export(head(&a), len(&a), &e) && e.id == 7 && !strcmp(e.region, "vm0") &&
	       e.size == 4096 && e.open && e.tx_bytes == 99, "export");
	tap_ok(e.nr_links == 5 && e.links[0] == 1 && e.links[4] == 5, "the links it is served on");
	j = tp_json_export(&e);
	tap_ok(json_array_size(json_object_get(j, "links")) == 5 &&
	       json_is_true(json_object_get(j, "open")), "as JSON");
	json_decref(j);
	tp_export_clear(&e);
	nlmsg_free(a.msg);
}

static void put_link(struct attrs *a, int lanes)
{
	struct nlattr *nest;

	nla_put_u32(a->msg, TELEPAGE_A_LINK_ID, 3);
	nla_put_string(a->msg, TELEPAGE_A_LINK_PEER, "b\xe4" "r");
	nla_put_flag(a->msg, TELEPAGE_A_LINK_UP);
	for (int i = 0; i < lanes; i++) {
		nest = nla_nest_start(a->msg, TELEPAGE_A_LINK_LANES);
		nla_put_u32(a->msg, TELEPAGE_A_LINK_LANE, i % (TELEPAGE_LANE_MAX + 1));
		if (!i)
			nla_put_flag(a->msg, TELEPAGE_A_LINK_UP);
		nla_put_u64(a->msg, TELEPAGE_A_LINK_TX_BYTES, 10 + i);
		nla_nest_end(a->msg, nest);
	}
	nla_put_u64(a->msg, TELEPAGE_A_LINK_BAD, 1);
}

static void links(void)
{
	struct attrs a = attrs_new();
	struct tp_link l;
	json_t *j;

	put_link(&a, TELEPAGE_LANE_MAX + 1);
	tap_ok(!tp_parse_link(head(&a), len(&a), &l) && l.id == 3 && l.up && l.bad == 1, "link");
	tap_ok(l.nr_lanes == 17 && l.lanes[0].up && !l.lanes[1].up && l.lanes[16].lane == 16 &&
	       l.lanes[16].tx_bytes == 26, "all of its lanes");
	j = tp_json_link(&l);
	tap_str(json_string_value(json_object_get(j, "peer")), "b\xc3\xa4r",
		"a note that is no UTF-8 as JSON");
	json_decref(j);
	tp_link_clear(&l);
	nlmsg_free(a.msg);

	a = attrs_new();
	put_link(&a, TELEPAGE_LANE_MAX + 2);
	tap_ok(tp_parse_link(head(&a), len(&a), &l) == -EBADMSG, "more lanes than there can be");
	nlmsg_free(a.msg);

	a = attrs_new();
	nla_put_u32(a.msg, TELEPAGE_A_LINK_ID, 0);
	tap_ok(!tp_parse_link(head(&a), len(&a), &l) && !strcmp(l.peer, ""), "no note: \"\"");
	tp_link_clear(&l);
	nlmsg_free(a.msg);
}

static void put_event(struct attrs *a)
{
	char reason[300];

	memset(reason, 'x', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	nla_put_u32(a->msg, TELEPAGE_A_EVENT_KIND, TELEPAGE_EVENT_LANE_LOST);
	nla_put_u32(a->msg, TELEPAGE_A_EVENT_LINK, 0);
	nla_put_u32(a->msg, TELEPAGE_A_EVENT_LANE, 1);
	nla_put_u32(a->msg, TELEPAGE_A_EVENT_ERRNO, ECONNRESET);
	nla_put_string(a->msg, TELEPAGE_A_EVENT_REASON, reason);
}

static void events(void)
{
	struct attrs a = attrs_new();
	struct tp_event ev;
	json_t *j;

	put_event(&a);
	tap_ok(!tp_parse_event(head(&a), len(&a), &ev) && ev.kind == TELEPAGE_EVENT_LANE_LOST &&
	       ev.has_link && ev.link == 0 && ev.lane == 1 && ev.error == ECONNRESET &&
	       !*ev.region, "event");
	tap_ok(strlen(ev.reason) == sizeof(ev.reason) - 1, "a long reason is cut");
	j = tp_json_event(&ev);
	tap_str(json_string_value(json_object_get(j, "event")), "lane-lost", "as JSON");
	tap_ok(json_is_null(json_object_get(j, "region")), "no region as JSON");
	json_decref(j);
	nlmsg_free(a.msg);
	tap_ok(!tp_event_name(0) && !tp_event_name(1000) && !tp_region_state_name(1000),
	       "names of what is not known");
}

static void dirty(void)
{
	uint8_t bits[4] = { 0xff, 0xff, 0xff, 0xff }, out[2] = { 0 };
	struct attrs a = attrs_new();

	nla_put_string(a.msg, TELEPAGE_A_REGION_NAME, "vm0");
	nla_put_u64(a.msg, TELEPAGE_A_REGION_START, 100);
	nla_put_u64(a.msg, TELEPAGE_A_REGION_COUNT, 11);
	nla_put(a.msg, TELEPAGE_A_REGION_BITMAP, 2, bits);
	tap_ok(!tp_parse_dirty(head(&a), len(&a), 100, 11, out) && out[0] == 0xff && out[1] == 7,
	       "bitmap, without the bits past its end");
	tap_ok(tp_parse_dirty(head(&a), len(&a), 101, 11, out) == -EBADMSG &&
	       tp_parse_dirty(head(&a), len(&a), 100, 10, out) == -EBADMSG,
	       "a bitmap of something else");
	nlmsg_free(a.msg);

	a = attrs_new();
	nla_put_u64(a.msg, TELEPAGE_A_REGION_START, 0);
	nla_put_u64(a.msg, TELEPAGE_A_REGION_COUNT, 16);
	nla_put(a.msg, TELEPAGE_A_REGION_BITMAP, 1, bits);
	tap_ok(tp_parse_dirty(head(&a), len(&a), 0, 16, out) == -EBADMSG, "a bitmap too short");
	nlmsg_free(a.msg);
}

static void touched(void)
{
	struct telepage_run runs[3] = { { 7, 2 }, { 100, 1 }, { 3, 1 } }, *out;
	struct attrs a = attrs_new();
	uint64_t all = 0;
	size_t n = 0;

	out = calloc(TELEPAGE_RUNS_MAX, sizeof(*out));
	nla_put_string(a.msg, TELEPAGE_A_REGION_NAME, "vm0");
	nla_put_u64(a.msg, TELEPAGE_A_REGION_START, 5);
	nla_put_u64(a.msg, TELEPAGE_A_REGION_COUNT, 9);
	nla_put(a.msg, TELEPAGE_A_REGION_RUNS, sizeof(runs), runs);
	tap_ok(!tp_parse_touched(head(&a), len(&a), 5, out, &n, &all) && n == 3 && all == 9 &&
	       !memcmp(out, runs, sizeof(runs)), "runs of pages, in their order");
	tap_ok(tp_parse_touched(head(&a), len(&a), 6, out, &n, &all) == -EBADMSG,
	       "runs of another place");
	nlmsg_free(a.msg);

	a = attrs_new();
	nla_put_u64(a.msg, TELEPAGE_A_REGION_START, 0);
	nla_put_u64(a.msg, TELEPAGE_A_REGION_COUNT, 1);
	nla_put(a.msg, TELEPAGE_A_REGION_RUNS, sizeof(*runs) + 8, runs);
	tap_ok(tp_parse_touched(head(&a), len(&a), 0, out, &n, &all) == -EBADMSG,
	       "half a run");
	nlmsg_free(a.msg);
	free(out);
}

static struct attrs sampled_attrs(void)
{
	struct telepage_run runs[2] = { { 7, 2 }, { 100, 1 } };
	struct attrs a = attrs_new();

	nla_put_string(a.msg, TELEPAGE_A_REGION_NAME, "vm0");
	nla_put_u64(a.msg, TELEPAGE_A_REGION_START, 7);
	nla_put_u64(a.msg, TELEPAGE_A_REGION_COUNT, 3);
	nla_put(a.msg, TELEPAGE_A_REGION_RUNS, sizeof(runs), runs);
	return a;
}

static void sampled(void)
{
	struct telepage_run *out = calloc(TELEPAGE_RUNS_MAX, sizeof(*out));
	struct attrs a = sampled_attrs();
	struct tp_sample s;
	size_t n = 0;

	tap_ok(tp_parse_sampled(head(&a), len(&a), 7, out, &n, &s) == -EBADMSG,
	       "a sample that does not say its size");
	nla_put_u64(a.msg, TELEPAGE_A_REGION_SAMPLED, 512);
	nla_put_u64(a.msg, TELEPAGE_A_REGION_FAULTS, 5);
	nla_put_u32(a.msg, TELEPAGE_A_REGION_EVERY, 8);
	tap_ok(!tp_parse_sampled(head(&a), len(&a), 7, out, &n, &s) && n == 2 &&
	       out[1].start == 100 && s.every == 8 && s.sampled == 512 && s.touched == 3 &&
	       s.faults == 5, "a sample");
	tap_ok(tp_parse_sampled(head(&a), len(&a), 8, out, &n, &s) == -EBADMSG,
	       "a sample from another page on");
	nlmsg_free(a.msg);
	free(out);
}

/* an error as the kernel sends it: with or without our request, and words */
static void make_ack(void *buf, int err, int body, const char *words)
{
	struct nlmsghdr *nlh = buf;
	struct nlmsgerr *e = NLMSG_DATA(nlh);
	struct nlattr *a;

	memset(buf, 0, 1024);
	nlh->nlmsg_type = NLMSG_ERROR;
	nlh->nlmsg_flags = body ? 0 : NLM_F_CAPPED;
	nlh->nlmsg_len = NLMSG_HDRLEN + sizeof(*e) + body;
	e->error = err;
	e->msg.nlmsg_len = NLMSG_HDRLEN + (body ? body : 100);
	if (words) {
		nlh->nlmsg_flags |= NLM_F_ACK_TLVS;
		a = (struct nlattr *)((char *)nlh + nlh->nlmsg_len);
		a->nla_type = NLMSGERR_ATTR_MSG;
		a->nla_len = NLA_HDRLEN + strlen(words) + 1;
		strcpy((char *)a + NLA_HDRLEN, words);
		nlh->nlmsg_len += NLA_ALIGN(a->nla_len);
	}
}

static void acks(void)
{
	char buf[1024] __attribute__((aligned(8))), words[64], small[8];
	struct nlmsghdr *nlh = (void *)buf;
	int err = -ENOMEM;

	make_ack(buf, 0, 0, NULL);
	tap_ok(!tp_parse_ack(nlh, words, sizeof(words)) && !*words, "success");
	make_ack(buf, -EEXIST, 0, "the name is taken");
	tap_ok(tp_parse_ack(nlh, words, sizeof(words)) == -EEXIST, "errno");
	tap_str(words, "the name is taken", "words, our request left out");
	make_ack(buf, -EBUSY, 24, "it is open");
	tap_ok(tp_parse_ack(nlh, words, sizeof(words)) == -EBUSY, "errno");
	tap_str(words, "it is open", "words, after our request");
	make_ack(buf, -EBUSY, 0, "longer than the buffer");
	tp_parse_ack(nlh, small, sizeof(small));
	tap_str(small, "longer ", "words cut to the buffer");
	make_ack(buf, 5, 0, NULL);
	tap_ok(tp_parse_ack(nlh, words, sizeof(words)) == -EBADMSG, "a positive errno");
	make_ack(buf, -EBUSY, 24, NULL);
	nlh->nlmsg_len -= 8;
	tap_ok(tp_parse_ack(nlh, words, sizeof(words)) == -EBADMSG, "a request that is cut off");

	make_ack(buf, 0, 0, NULL);
	nlh->nlmsg_type = NLMSG_DONE;
	nlh->nlmsg_len = NLMSG_HDRLEN + sizeof(err);
	memcpy(NLMSG_DATA(nlh), &err, sizeof(err));
	tap_ok(tp_parse_ack(nlh, words, sizeof(words)) == -ENOMEM, "a dump that failed");
	nlh->nlmsg_len = NLMSG_HDRLEN;
	tap_ok(tp_parse_ack(nlh, words, sizeof(words)) == 0, "the end of a dump without an errno");
}

/* every parser on @n bytes in a buffer of just that size, for the sanitizers */
static void parse_all(const void *bytes, int n)
{
	void *copy = malloc(n ? n : 1);
	struct tp_region r;
	struct tp_export e;
	struct tp_event ev;
	struct tp_link l;
	uint8_t bits[8];

	memcpy(copy, bytes, n);
	tp_parse_region(copy, n, &r);
	if (!tp_parse_export(copy, n, &e))
		tp_export_clear(&e);
	if (!tp_parse_link(copy, n, &l))
		tp_link_clear(&l);
	tp_parse_event(copy, n, &ev);
	tp_parse_dirty(copy, n, 0, 64, bits);
	free(copy);
}

static void ack_all(const void *bytes, int n)
{
	char words[64], *copy = malloc(n);

	memcpy(copy, bytes, n);
	((struct nlmsghdr *)copy)->nlmsg_len = n;
	tp_parse_ack((void *)copy, words, sizeof(words));
	free(copy);
}

static void broken(void)
{
	static void (*const make[])(struct attrs *a) = { put_region, put_export, put_event };
	char ack[1024] __attribute__((aligned(8)));
	unsigned int n, seed = 1;

	for (size_t m = 0; m <= sizeof(make) / sizeof(make[0]); m++) {
		struct attrs a = attrs_new();
		unsigned char *bytes;

		if (m < sizeof(make) / sizeof(make[0]))
			make[m](&a);
		else
			put_link(&a, 17);
		n = len(&a);
		bytes = malloc(n);
		for (unsigned int i = 0; i <= n; i++)
			parse_all(head(&a), i);
		for (int i = 0; i < FLIPS; i++) {
			memcpy(bytes, head(&a), n);
			for (int k = rand_r(&seed) % 4; k >= 0; k--)
				bytes[rand_r(&seed) % n] ^= 1 << rand_r(&seed) % 8;
			parse_all(bytes, n);
		}
		free(bytes);
		nlmsg_free(a.msg);
	}
	make_ack(ack, -EBUSY, 24, "it is open");
	n = ((struct nlmsghdr *)ack)->nlmsg_len;
	for (unsigned int i = NLMSG_HDRLEN; i <= n; i++)
		ack_all(ack, i);
	for (int i = 0; i < FLIPS; i++) {
		unsigned int at = rand_r(&seed) % n;
		char old = ack[at];

		ack[at] ^= 1 << rand_r(&seed) % 8;
		ack_all(ack, n);
		ack[at] = old;
	}
	tap_ok(true, "cut and bent messages do no harm");
}

int main(void)
{
	regions();
	exports();
	links();
	events();
	dirty();
	touched();
	sampled();
	acks();
	broken();
	return tap_done();
}
