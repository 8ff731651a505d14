// SPDX-License-Identifier: GPL-2.0
/*
 * genl_sample.c - which pages are used at the source
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
