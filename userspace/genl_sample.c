// SPDX-License-Identifier: GPL-2.0
/*
 * genl_sample.c - which pages are used at the source, and which are pushed first
 */
#include <errno.h>
#include <string.h>

#include "genl.h"
#include "genl_parse.h"
#include "genl_sock.h"

int tp_region_sample(struct tp_nl *nl, const char *name, uint32_t every, uint32_t seed)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_REGION_SAMPLE, NLM_F_ACK);

	tp_nl_put_string(&msg, TELEPAGE_A_REGION_NAME, name);
	tp_nl_put_u32(&msg, TELEPAGE_A_REGION_EVERY, every);
	if (seed)
		tp_nl_put_u32(&msg, TELEPAGE_A_REGION_SEED, seed);
	return tp_nl_transact(nl, msg, NULL, NULL);
}

struct sampled {
	uint64_t start;
	struct telepage_run *runs;
	size_t *n;
	struct tp_sample *s;
	bool seen;
};

static int take_sampled(struct nlattr *head, int len, void *arg)
{
	struct sampled *a = arg;
	int err;

	if (a->seen)
		return -EBADMSG;
	err = tp_parse_sampled(head, len, a->start, a->runs, a->n, a->s);
	a->seen = !err;
	return err;
}

int tp_region_sampled(struct tp_nl *nl, const char *name, uint64_t start,
		      struct telepage_run *runs, size_t *n, struct tp_sample *s)
{
	struct nl_msg *msg = tp_nl_request(nl, TELEPAGE_CMD_REGION_SAMPLED, NLM_F_ACK);
	struct sampled a = { .start = start, .runs = runs, .n = n, .s = s };
	int err;

	tp_nl_put_string(&msg, TELEPAGE_A_REGION_NAME, name);
	tp_nl_put_u64(&msg, TELEPAGE_A_REGION_START, start);
	err = tp_nl_transact(nl, msg, take_sampled, &a);
	if (!err && !a.seen)
		err = tp_nl_senseless(nl, "the module did not answer");
	return err;
}

int tp_export_order_part(struct tp_nl *nl, const char *name, uint64_t start,
			 const struct telepage_run *runs, size_t n, bool more)
{
	struct nl_msg *msg = tp_nl_request_of(nl, TELEPAGE_CMD_EXPORT_ORDER, NLM_F_ACK,
					      n * sizeof(*runs) + 1024);

	tp_nl_put_string(&msg, TELEPAGE_A_EXPORT_NAME, name);
	tp_nl_put_u64(&msg, TELEPAGE_A_EXPORT_START, start);
	if (n)
		tp_nl_put(&msg, TELEPAGE_A_EXPORT_RUNS, runs, n * sizeof(*runs));
	if (more)
		tp_nl_put(&msg, TELEPAGE_A_EXPORT_MORE, NULL, 0);
	return tp_nl_transact(nl, msg, NULL, NULL);
}

int tp_export_order(struct tp_nl *nl, const char *name, const struct telepage_run *runs, size_t n)
{
	size_t done = 0, some;
	int err;

	do {
		some = n - done < TELEPAGE_RUNS_MAX ? n - done : TELEPAGE_RUNS_MAX;
		err = tp_export_order_part(nl, name, done, runs + done, some, done + some < n);
		done += some;
	} while (!err && done < n);
	return err;
}
