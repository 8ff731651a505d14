// SPDX-License-Identifier: GPL-2.0
/*
 * The netlink sockets, tried on a family that every kernel has: nlctrl, which
 * lists the families. So this includes the code and lets it believe that nlctrl
 * is telepage.
 */
#include <linux/genetlink.h>
#include <linux/telepage.h>

#undef TELEPAGE_FAMILY_NAME
#define TELEPAGE_FAMILY_NAME	"nlctrl"
#undef TELEPAGE_MCGRP_EVENTS
#define TELEPAGE_MCGRP_EVENTS	"notify"

#include "../../userspace/genl_sock.c"
#include "tap.h"

#define GETFAMILY	((enum telepage_cmd)CTRL_CMD_GETFAMILY)

struct seen {
	unsigned int nr;
	bool nlctrl;
	int fail_at;			/* the answer that is refused, 0: none */
};

static int take(struct nlattr *head, int len, void *arg)
{
	struct nlattr *name = nla_find(head, len, CTRL_ATTR_FAMILY_NAME);
	struct seen *s = arg;

	s->nr++;
	s->nlctrl |= name && !strcmp(nla_get_string(name), "nlctrl");
	return s->fail_at && (int)s->nr >= s->fail_at ? -EDOM : 0;
}

static int get(struct tp_nl *nl, const char *family, struct seen *s)
{
	struct nl_msg *msg = tp_nl_request(nl, GETFAMILY, NLM_F_ACK);

	*s = (struct seen){ 0 };
	tp_nl_put_string(&msg, CTRL_ATTR_FAMILY_NAME, family);
	return tp_nl_transact(nl, msg, take, s);
}

static void requests(struct tp_nl *nl)
{
	struct seen s;
	unsigned int all;
	int err;

	tap_ok(!get(nl, "nlctrl", &s) && s.nr == 1 && s.nlctrl, "one request, one answer");
	tap_ok(get(nl, "no-such-family", &s) == -ENOENT && !s.nr, "an errno of the kernel");
	tap_ok(!get(nl, "nlctrl", &s) && s.nr == 1, "after an error it goes on");

	s = (struct seen){ 0 };
	err = tp_nl_transact(nl, tp_nl_request(nl, GETFAMILY, NLM_F_DUMP), take, &s);
	tap_ok(!err && s.nr > 1 && s.nlctrl, "a dump of %u", s.nr);
	all = s.nr;
	s = (struct seen){ .fail_at = 1 };
	err = tp_nl_transact(nl, tp_nl_request(nl, GETFAMILY, NLM_F_DUMP), take, &s);
	tap_ok(err == -EDOM && s.nr == 1, "a dump that we give up is still read to its end");
	s = (struct seen){ 0 };
	err = tp_nl_transact(nl, tp_nl_request(nl, GETFAMILY, NLM_F_DUMP), take, &s);
	tap_ok(!err && s.nr == all, "and the next one is whole");
}

static void words(struct tp_nl *nl)
{
	struct nl_msg *msg = tp_nl_request(nl, GETFAMILY, NLM_F_ACK);
	int err;

	/* an id of two bytes where one is given: the policy says so in words */
	tp_nl_put(&msg, CTRL_ATTR_FAMILY_ID, "x", 1);
	err = tp_nl_transact(nl, msg, NULL, NULL);
	tap_ok(err == -EINVAL || err == -ERANGE, "a bad attribute: %d", err);
	tap_ok(*tp_nl_error(nl), "with the kernel's words: %s", tp_nl_error(nl));
	err = tp_nl_transact(nl, tp_nl_request(nl, TELEPAGE_CMD_EVENT, NLM_F_ACK), NULL, NULL);
	tap_ok(err == -EOPNOTSUPP, "a command that it does not have: %d", err);
	tap_ok(!*tp_nl_error(nl), "old words do not stay");
}

static void too_large(struct tp_nl *nl)
{
	struct nl_msg *msg = tp_nl_request(nl, GETFAMILY, NLM_F_ACK);
	static char huge[100000];

	tp_nl_put(&msg, CTRL_ATTR_FAMILY_NAME, huge, sizeof(huge));
	tap_ok(!msg, "what does not fit makes no message");
	tp_nl_put_u32(&msg, CTRL_ATTR_VERSION, 1);
	tap_ok(tp_nl_transact(nl, msg, NULL, NULL) == -ENOMEM, "and is told at the end");
}

/* A full message of digests is sent: what comes back is that nlctrl has no such command. */
static void many_digests(struct tp_nl *nl)
{
	static uint8_t digests[2047 * TELEPAGE_DIGEST_SIZE];
	struct tp_extent e[] = { { 0, 1023, 0, digests },
				 { 2048, 1024, 0, digests + 1023 * TELEPAGE_DIGEST_SIZE } };
	int err = tp_region_origin(nl, "region", 0, e, 2, false, false);

	tap_ok(err == -EOPNOTSUPP, "as many digests as a message takes get to the kernel: %d", err);
}

static void no_event(const struct tp_event *ev, void *arg)
{
	(*(int *)arg)++;
}

static void events(void)
{
	struct tp_nl *nl;
	int nr = 0, err;

	err = tp_nl_events_open(&nl);
	if (!tap_ok(!err, "events socket: %s", err ? tp_nl_error(NULL) : "open"))
		return;
	tap_ok(!tp_nl_events_read(nl, no_event, &nr) && !nr, "no event is no error, nobody waits");
	tp_nl_close(nl);
}

int main(void)
{
	struct tp_nl *nl;
	int err = tp_nl_open(&nl);

	if (err) {
		tap_skip("netlink sockets", tp_nl_error(NULL));
		return tap_done();
	}
	requests(nl);
	words(nl);
	too_large(nl);
	many_digests(nl);
	tp_nl_close(nl);
	events();
	return tap_done();
}
