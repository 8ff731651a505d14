// SPDX-License-Identifier: GPL-2.0
/*
 * genl.c - the kernel's side of telepage as C calls, one per command
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>

#include "genl.h"
#include "genl_parse.h"
#include "genl_sock.h"

/* a table that never holds still is taken as it is after so many tries */
#define DUMP_TRIES	8

/*
 * Answers. What has arrived is kept in @out only when the whole transaction was
 * good: @seen tells a missing answer from an empty one.
 */
struct answer {
	int (*parse)(struct nlattr *head, int len, void *out);
	void (*clear)(void *out);
	void *out;
	bool seen;
};

static int take_answer(struct nlattr *head, int len, void *arg)
{
	struct answer *a = arg;
	int err;

	if (a->seen)
		return -EBADMSG;
	err = a->parse(head, len, a->out);
	a->seen = !err;
	return err;
}

static int transact_one(struct tp_nl *nl, struct nl_msg *msg, struct answer *a)
{
	int err = tp_nl_transact(nl, msg, take_answer, a);

	if (!err && !a->seen)
		err = tp_nl_senseless(nl, "the module did not answer");
	if (err && a->seen && a->clear)
		a->clear(a->out);
	return err;
}

static int parse_region(struct nlattr *head, int len, void *out)
{
	return tp_parse_region(head, len, out);
}

static int parse_export(struct nlattr *head, int len, void *out)
{
	return tp_parse_export(head, len, out);
}

static int parse_link(struct nlattr *head, int len, void *out)
{
	return tp_parse_link(head, len, out);
}

static int parse_uffd(struct nlattr *head, int len, void *out)
{
	return tp_parse_uffd(head, len, out);
}

void tp_export_clear(struct tp_export *e)
{
	free(e->links);
	free(e->ranges);
	e->links = NULL;
	e->ranges = NULL;
	e->nr_ranges = 0;
	e->nr_links = 0;
}

void tp_link_clear(struct tp_link *l)
{
	free(l->peer);
	l->peer = NULL;
}

static void clear_export(void *out)
{
	tp_export_clear(out);
}

static void clear_link(void *out)
{
	tp_link_clear(out);
}

/* a dump: an array of structs of @size that grows by one per message */
struct dump {
	int (*parse)(struct nlattr *head, int len, void *out);
	void (*clear)(void *elem);
	size_t size;
	void *v;
	size_t n, room;
};

static int take_elem(struct nlattr *head, int len, void *arg)
{
	struct dump *d = arg;
	int err;

	if (d->n == d->room) {
		size_t room = d->room ? d->room * 2 : 8;
		void *v = realloc(d->v, room * d->size);

		if (!v)
			return -ENOMEM;
		d->v = v;
		d->room = room;
	}
	err = d->parse(head, len, (char *)d->v + d->n * d->size);
	if (!err)
		d->n++;
	return err;
}

static void dump_drop(struct dump *d)
{
	for (size_t i = 0; d->clear && i < d->n; i++)
		d->clear((char *)d->v + i * d->size);
	free(d->v);
	d->v = NULL;
	d->n = 0;
	d->room = 0;
}

static int dump_all(struct tp_nl *nl, enum telepage_cmd cmd, struct dump *d)
{
	int err = TP_NL_INTERRUPTED;

	for (int i = 0; err == TP_NL_INTERRUPTED && i < DUMP_TRIES; i++) {
		dump_drop(d);
		err = tp_nl_transact(nl, tp_nl_request(nl, cmd, NLM_F_DUMP), take_elem, d);
	}
	if (err < 0)
		dump_drop(d);
	return err < 0 ? err : 0;
}

/* commands that take a name (attribute 2 of its set) and answer with an ack */
static int by_name(struct tp_nl *nl, enum telepage_cmd cmd, int attr, const char *name)
{
	struct nl_msg *msg = tp_nl_request(nl, cmd, NLM_F_ACK);

	tp_nl_put_string(&msg, attr, name);
	return tp_nl_transact(nl, msg, NULL, NULL);
}

int tp_region_new(struct tp_nl *nl, const char *name, uint64_t size, uint32_t mode,
		  uint32_t uid, uint32_t gid, struct tp_region *out)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_REGION_NEW, NLM_F_ACK);
	struct tp_region dummy = { 0 };
	struct answer a = { .parse = parse_region, .out = out ? out : &dummy };

	tp_nl_put_string(&msg, TELEPAGE_A_REGION_NAME, name);
	tp_nl_put_u64(&msg, TELEPAGE_A_REGION_SIZE, size);
	tp_nl_put_u32(&msg, TELEPAGE_A_REGION_MODE, mode);
	tp_nl_put_u32(&msg, TELEPAGE_A_REGION_UID, uid);
	tp_nl_put_u32(&msg, TELEPAGE_A_REGION_GID, gid);
	return transact_one(nl, msg, &a);
}

int tp_region_del(struct tp_nl *nl, const char *name)
{
	return by_name(nl, TELEPAGE_CMD_REGION_DEL, TELEPAGE_A_REGION_NAME, name);
}

int tp_region_get(struct tp_nl *nl, const char *name, struct tp_region *out)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_REGION_GET, NLM_F_ACK);
	struct tp_region dummy = { 0 };
	struct answer a = { .parse = parse_region, .out = out ? out : &dummy };

	tp_nl_put_string(&msg, TELEPAGE_A_REGION_NAME, name);
	return transact_one(nl, msg, &a);
}

int tp_region_dump(struct tp_nl *nl, struct tp_region_list *out)
{
	struct dump d = { .parse = parse_region, .size = sizeof(struct tp_region) };
	int err = dump_all(nl, TELEPAGE_CMD_REGION_GET, &d);

	out->v = d.v;
	out->n = d.n;
	return err;
}

void tp_region_list_free(struct tp_region_list *l)
{
	free(l->v);
	l->v = NULL;
	l->n = 0;
}

int tp_region_freeze(struct tp_nl *nl, const char *name)
{
	return by_name(nl, TELEPAGE_CMD_REGION_FREEZE, TELEPAGE_A_REGION_NAME, name);
}

int tp_region_thaw(struct tp_nl *nl, const char *name)
{
	return by_name(nl, TELEPAGE_CMD_REGION_THAW, TELEPAGE_A_REGION_NAME, name);
}

struct dirty {
	uint64_t start, count;
	uint8_t *bitmap;
};

static int parse_dirty(struct nlattr *head, int len, void *out)
{
	struct dirty *d = out;

	return tp_parse_dirty(head, len, d->start, d->count, d->bitmap);
}

int tp_region_dirty(struct tp_nl *nl, const char *name, uint64_t start, uint64_t count,
		    bool clear, uint8_t *bitmap)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_REGION_DIRTY, NLM_F_ACK);
	struct dirty d = { .start = start, .count = count, .bitmap = bitmap };
	struct answer a = { .parse = parse_dirty, .out = &d };

	tp_nl_put_string(&msg, TELEPAGE_A_REGION_NAME, name);
	tp_nl_put_u64(&msg, TELEPAGE_A_REGION_START, start);
	tp_nl_put_u64(&msg, TELEPAGE_A_REGION_COUNT, count);
	if (clear)
		tp_nl_put(&msg, TELEPAGE_A_REGION_CLEAR, NULL, 0);
	return transact_one(nl, msg, &a);
}

static int import_as(struct tp_nl *nl, const char *name, uint32_t link, uint32_t export_id,
		     bool push, bool live)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_REGION_IMPORT, NLM_F_ACK);
	uint8_t push8 = push;

	if (live)
		tp_nl_put(&msg, TELEPAGE_A_REGION_LIVE, NULL, 0);
	tp_nl_put_string(&msg, TELEPAGE_A_REGION_NAME, name);
	tp_nl_put_u32(&msg, TELEPAGE_A_REGION_LINK, link);
	tp_nl_put_u32(&msg, TELEPAGE_A_REGION_EXPORT_ID, export_id);
	tp_nl_put(&msg, TELEPAGE_A_REGION_PUSH, &push8, sizeof(push8));
	return tp_nl_transact(nl, msg, NULL, NULL);
}

int tp_region_import(struct tp_nl *nl, const char *name, uint32_t link,
		     uint32_t export_id, bool push)
{
	return import_as(nl, name, link, export_id, push, false);
}

int tp_region_import_live(struct tp_nl *nl, const char *name, uint32_t link, uint32_t export_id)
{
	return import_as(nl, name, link, export_id, true, true);
}

int tp_region_abandon(struct tp_nl *nl, const char *name)
{
	return by_name(nl, TELEPAGE_CMD_REGION_ABANDON, TELEPAGE_A_REGION_NAME, name);
}

struct touched {
	uint64_t start, *all;
	struct telepage_run *runs;
	size_t *n;
};

static int parse_touched(struct nlattr *head, int len, void *out)
{
	struct touched *t = out;

	return tp_parse_touched(head, len, t->start, t->runs, t->n, t->all);
}

int tp_region_touched(struct tp_nl *nl, const char *name, uint64_t start,
		      struct telepage_run *runs, size_t *n, uint64_t *all)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_REGION_TOUCHED, NLM_F_ACK);
	struct touched t = { .start = start, .all = all, .runs = runs, .n = n };
	struct answer a = { .parse = parse_touched, .out = &t };

	tp_nl_put_string(&msg, TELEPAGE_A_REGION_NAME, name);
	tp_nl_put_u64(&msg, TELEPAGE_A_REGION_START, start);
	return transact_one(nl, msg, &a);
}

static int replay(struct tp_nl *nl, const char *name, const struct telepage_run *runs, size_t n,
		  bool local)
{
	int err = 0;

	while (n && !err) {
		size_t some = n < TELEPAGE_RUNS_MAX ? n : TELEPAGE_RUNS_MAX;
		struct nl_msg *msg = tp_nl_request_of(nl, TELEPAGE_CMD_REGION_REPLAY, NLM_F_ACK,
						      some * sizeof(*runs) + 1024);

		tp_nl_put_string(&msg, TELEPAGE_A_REGION_NAME, name);
		tp_nl_put(&msg, TELEPAGE_A_REGION_RUNS, runs, some * sizeof(*runs));
		if (local)
			tp_nl_put(&msg, TELEPAGE_A_REGION_LOCAL, NULL, 0);
		err = tp_nl_transact(nl, msg, NULL, NULL);
		runs += some;
		n -= some;
	}
	return err;
}

int tp_region_replay(struct tp_nl *nl, const char *name, const struct telepage_run *runs,
		     size_t n)
{
	return replay(nl, name, runs, n, false);
}

int tp_region_replay_local(struct tp_nl *nl, const char *name, const struct telepage_run *runs,
			   size_t n)
{
	return replay(nl, name, runs, n, true);
}

int tp_export_new_for(struct tp_nl *nl, const char *name, const char *peer, const char *region,
		      int fd, uint64_t offset, uint64_t size)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_EXPORT_NEW, NLM_F_ACK);

	tp_nl_put_string(&msg, TELEPAGE_A_EXPORT_NAME, name);
	if (*peer)
		tp_nl_put_string(&msg, TELEPAGE_A_EXPORT_PEER, peer);
	if (region)
		tp_nl_put_string(&msg, TELEPAGE_A_EXPORT_REGION, region);
	else
		tp_nl_put_u32(&msg, TELEPAGE_A_EXPORT_FD, fd);
	if (offset)
		tp_nl_put_u64(&msg, TELEPAGE_A_EXPORT_OFFSET, offset);
	if (size)
		tp_nl_put_u64(&msg, TELEPAGE_A_EXPORT_SIZE, size);
	return tp_nl_transact(nl, msg, NULL, NULL);
}

int tp_export_new_region(struct tp_nl *nl, const char *name, const char *region)
{
	return tp_export_new_for(nl, name, "", region, -1, 0, 0);
}

int tp_export_new_fd(struct tp_nl *nl, const char *name, int fd, uint64_t offset, uint64_t size)
{
	return tp_export_new_for(nl, name, "", NULL, fd, offset, size);
}

int tp_export_new_pid(struct tp_nl *nl, const char *name, const char *peer, uint32_t pid,
		      int mem_fd, const struct tp_range *ranges, size_t n)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_EXPORT_NEW, NLM_F_ACK);

	tp_nl_put_string(&msg, TELEPAGE_A_EXPORT_NAME, name);
	if (*peer)
		tp_nl_put_string(&msg, TELEPAGE_A_EXPORT_PEER, peer);
	tp_nl_put_u32(&msg, TELEPAGE_A_EXPORT_PID, pid);
	if (mem_fd >= 0)
		tp_nl_put_u32(&msg, TELEPAGE_A_EXPORT_MEM_FD, mem_fd);
	for (size_t i = 0; i < n; i++) {
		/* two attributes of 8 bytes */
		struct {
			struct nlattr addr_head;
			uint64_t addr __attribute__((packed));
			struct nlattr len_head;
			uint64_t len __attribute__((packed));
		} __attribute__((packed)) nest = {
			{ NLA_HDRLEN + 8, TELEPAGE_A_RANGE_ADDR }, ranges[i].addr,
			{ NLA_HDRLEN + 8, TELEPAGE_A_RANGE_LEN }, ranges[i].len,
		};

		tp_nl_put(&msg, TELEPAGE_A_EXPORT_RANGE | NLA_F_NESTED, &nest, sizeof(nest));
	}
	return tp_nl_transact(nl, msg, NULL, NULL);
}

int tp_export_del(struct tp_nl *nl, const char *name)
{
	return by_name(nl, TELEPAGE_CMD_EXPORT_DEL, TELEPAGE_A_EXPORT_NAME, name);
}

/* GET and SERVE answer alike */
static int export_answer(struct tp_nl *nl, struct nl_msg *msg, struct tp_export *out)
{
	struct tp_export dummy = { 0 };
	struct answer a = { .parse = parse_export, .clear = clear_export,
			    .out = out ? out : &dummy };
	int err = transact_one(nl, msg, &a);

	if (!err && !out)
		tp_export_clear(&dummy);
	return err;
}

int tp_export_get(struct tp_nl *nl, const char *name, struct tp_export *out)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_EXPORT_GET, NLM_F_ACK);

	tp_nl_put_string(&msg, TELEPAGE_A_EXPORT_NAME, name);
	return export_answer(nl, msg, out);
}

int tp_export_round(struct tp_nl *nl, const char *name, struct tp_export *out)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_EXPORT_ROUND, NLM_F_ACK);

	tp_nl_put_string(&msg, TELEPAGE_A_EXPORT_NAME, name);
	return export_answer(nl, msg, out);
}

int tp_export_dump(struct tp_nl *nl, struct tp_export_list *out)
{
	struct dump d = { .parse = parse_export, .clear = clear_export,
			  .size = sizeof(struct tp_export) };
	int err = dump_all(nl, TELEPAGE_CMD_EXPORT_GET, &d);

	out->v = d.v;
	out->n = d.n;
	return err;
}

void tp_export_list_free(struct tp_export_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		tp_export_clear(&l->v[i]);
	free(l->v);
	l->v = NULL;
	l->n = 0;
}

int tp_export_serve(struct tp_nl *nl, const char *name, uint32_t link, uint32_t *export_id)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_EXPORT_SERVE, NLM_F_ACK);
	struct tp_export e;
	int err;

	tp_nl_put_string(&msg, TELEPAGE_A_EXPORT_NAME, name);
	tp_nl_put_u32(&msg, TELEPAGE_A_EXPORT_LINK, link);
	err = export_answer(nl, msg, &e);
	if (err)
		return err;
	if (export_id)
		*export_id = e.id;
	tp_export_clear(&e);
	return 0;
}

/* NEW and GET answer alike */
static int link_answer(struct tp_nl *nl, struct nl_msg *msg, struct tp_link *out)
{
	struct tp_link dummy = { 0 };
	struct answer a = { .parse = parse_link, .clear = clear_link,
			    .out = out ? out : &dummy };
	int err = transact_one(nl, msg, &a);

	if (!err && !out)
		tp_link_clear(&dummy);
	return err;
}

int tp_link_new(struct tp_nl *nl, const char *peer, uint32_t *id)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_LINK_NEW, NLM_F_ACK);
	struct tp_link l;
	int err;

	if (peer && *peer)
		tp_nl_put_string(&msg, TELEPAGE_A_LINK_PEER, peer);
	err = link_answer(nl, msg, &l);
	if (err)
		return err;
	if (id)
		*id = l.id;
	tp_link_clear(&l);
	return 0;
}

int tp_link_del(struct tp_nl *nl, uint32_t id)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_LINK_DEL, NLM_F_ACK);

	tp_nl_put_u32(&msg, TELEPAGE_A_LINK_ID, id);
	return tp_nl_transact(nl, msg, NULL, NULL);
}

int tp_link_get(struct tp_nl *nl, uint32_t id, struct tp_link *out)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_LINK_GET, NLM_F_ACK);

	tp_nl_put_u32(&msg, TELEPAGE_A_LINK_ID, id);
	return link_answer(nl, msg, out);
}

int tp_link_dump(struct tp_nl *nl, struct tp_link_list *out)
{
	struct dump d = { .parse = parse_link, .clear = clear_link,
			  .size = sizeof(struct tp_link) };
	int err = dump_all(nl, TELEPAGE_CMD_LINK_GET, &d);

	out->v = d.v;
	out->n = d.n;
	return err;
}

void tp_link_list_free(struct tp_link_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		tp_link_clear(&l->v[i]);
	free(l->v);
	l->v = NULL;
	l->n = 0;
}

int tp_link_set(struct tp_nl *nl, uint32_t id, const char *peer)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_LINK_SET, NLM_F_ACK);

	tp_nl_put_u32(&msg, TELEPAGE_A_LINK_ID, id);
	tp_nl_put_string(&msg, TELEPAGE_A_LINK_PEER, peer);
	return tp_nl_transact(nl, msg, NULL, NULL);
}

int tp_lane_attach(struct tp_nl *nl, uint32_t link, uint32_t lane, int fd)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_LANE_ATTACH, NLM_F_ACK);

	tp_nl_put_u32(&msg, TELEPAGE_A_LINK_ID, link);
	tp_nl_put_u32(&msg, TELEPAGE_A_LINK_LANE, lane);
	tp_nl_put_u32(&msg, TELEPAGE_A_LINK_FD, fd);
	return tp_nl_transact(nl, msg, NULL, NULL);
}

int tp_lane_detach(struct tp_nl *nl, uint32_t link, uint32_t lane)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_LANE_DETACH, NLM_F_ACK);

	tp_nl_put_u32(&msg, TELEPAGE_A_LINK_ID, link);
	tp_nl_put_u32(&msg, TELEPAGE_A_LINK_LANE, lane);
	return tp_nl_transact(nl, msg, NULL, NULL);
}

static void put_range(struct nl_msg **msg, const struct tp_uffd_range *r)
{
	struct nlattr *nest = *msg ? nla_nest_start(*msg, TELEPAGE_A_UFFD_RANGES) : NULL;

	tp_nl_put_u64(msg, TELEPAGE_A_RANGE_ADDR, r->addr);
	tp_nl_put_u64(msg, TELEPAGE_A_RANGE_LEN, r->len);
	tp_nl_put_u64(msg, TELEPAGE_A_RANGE_OFFSET, r->offset);
	tp_nl_put_u32(msg, TELEPAGE_A_RANGE_PAGE_SIZE, r->page_size);
	if (r->memfd_offset != r->offset)
		tp_nl_put_u64(msg, TELEPAGE_A_RANGE_MEMFD_OFFSET, r->memfd_offset);
	if (*msg && nest)
		nla_nest_end(*msg, nest);
}

int tp_uffd_attach(struct tp_nl *nl, const char *region, int fd, uint32_t pid, int memfd,
		   bool fill, const struct tp_uffd_range *ranges, size_t nr_ranges)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_UFFD_ATTACH, NLM_F_ACK);
	uint8_t fill8 = fill;

	tp_nl_put_string(&msg, TELEPAGE_A_UFFD_REGION, region);
	tp_nl_put_u32(&msg, TELEPAGE_A_UFFD_FD, fd);
	tp_nl_put_u32(&msg, TELEPAGE_A_UFFD_PID, pid);
	if (memfd >= 0)
		tp_nl_put_u32(&msg, TELEPAGE_A_UFFD_MEMFD, memfd);
	tp_nl_put(&msg, TELEPAGE_A_UFFD_FILL, &fill8, sizeof(fill8));
	for (size_t i = 0; i < nr_ranges; i++)
		put_range(&msg, &ranges[i]);
	return tp_nl_transact(nl, msg, NULL, NULL);
}

int tp_uffd_detach(struct tp_nl *nl, const char *region)
{
	return by_name(nl, TELEPAGE_CMD_UFFD_DETACH, TELEPAGE_A_UFFD_REGION, region);
}

int tp_uffd_get(struct tp_nl *nl, const char *region, struct tp_uffd *out)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_UFFD_GET, NLM_F_ACK);
	struct tp_uffd dummy = { 0 };
	struct answer a = { .parse = parse_uffd, .out = out ? out : &dummy };

	tp_nl_put_string(&msg, TELEPAGE_A_UFFD_REGION, region);
	return transact_one(nl, msg, &a);
}

int tp_uffd_dump(struct tp_nl *nl, struct tp_uffd_list *out)
{
	struct dump d = { .parse = parse_uffd, .size = sizeof(struct tp_uffd) };
	int err = dump_all(nl, TELEPAGE_CMD_UFFD_GET, &d);

	out->v = d.v;
	out->n = d.n;
	return err;
}

void tp_uffd_list_free(struct tp_uffd_list *l)
{
	free(l->v);
	l->v = NULL;
	l->n = 0;
}
