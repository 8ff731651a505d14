// SPDX-License-Identifier: GPL-2.0
/*
 * nlfuzz_msg.c - messages of any shape, and what the kernel says it takes, see nlfuzz.h
 *
 * libnl would not build these, and hides what comes back.
 */
#include <linux/genetlink.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <sys/socket.h>

#include "nlfuzz.h"

#define RX_BYTES	(256 * 1024)

uint64_t fz_seed;
struct fz_attr fz_policy[FZ_POLICIES][FZ_ATTRS];
struct fz_op fz_ops[FZ_OPS];
unsigned int fz_nr_ops;

static uint16_t family;
static uint32_t seq;
static char rx[RX_BYTES];

uint64_t fz_random(void)
{
	fz_seed ^= fz_seed << 13;
	fz_seed ^= fz_seed >> 7;
	fz_seed ^= fz_seed << 17;
	return fz_seed * 0x2545f4914f6cdd1d >> 16;
}

/* ---- building ---- */

void fz_begin(struct fz_msg *m, uint8_t cmd, bool dump)
{
	m->cmd = cmd;
	m->dump = dump;
	m->len = 0;
}

void fz_put(struct fz_msg *m, uint16_t type, const void *data, size_t len)
{
	struct nlattr *a = fz_at(m, m->len);
	size_t all = NLA_ALIGN(NLA_HDRLEN + len);

	if (m->len + all > FZ_ROOM)
		tk_die("a good message has no room");
	memset(a, 0, all);
	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	memcpy((char *)a + NLA_HDRLEN, data, len);
	m->len += all;
}

void fz_u8(struct fz_msg *m, uint16_t type, uint8_t v)
{
	fz_put(m, type, &v, sizeof(v));
}

void fz_u32(struct fz_msg *m, uint16_t type, uint32_t v)
{
	fz_put(m, type, &v, sizeof(v));
}

void fz_u64(struct fz_msg *m, uint16_t type, uint64_t v)
{
	fz_put(m, type, &v, sizeof(v));
}

void fz_str(struct fz_msg *m, uint16_t type, const char *s)
{
	fz_put(m, type, s, strlen(s) + 1);
}

size_t fz_nest(struct fz_msg *m, uint16_t type)
{
	size_t at = m->len;

	fz_put(m, type | NLA_F_NESTED, "", 0);
	return at;
}

void fz_nest_end(struct fz_msg *m, size_t at)
{
	fz_at(m, at)->nla_len = m->len - at;
}

static const struct fz_attr *attr_of(int policy, uint16_t type)
{
	type &= NLA_TYPE_MASK;
	return policy < 0 || type >= FZ_ATTRS ? NULL : &fz_policy[policy][type];
}

static unsigned int places(struct fz_msg *m, const struct fz_place *in, size_t from, size_t to,
			   struct fz_place *p, unsigned int max)
{
	unsigned int n = 0;

	while (n < max && from + NLA_HDRLEN <= to) {
		struct nlattr *a = fz_at(m, from);
		const struct fz_attr *kind = attr_of(in->policy, a->nla_type);

		if (a->nla_len < NLA_HDRLEN || from + a->nla_len > to)
			break;
		p[n] = *in;
		p[n++].at = from;
		if (kind && kind->kind == NL_ATTR_TYPE_NESTED && in->depth < FZ_DEPTH) {
			struct fz_place inner = *in;

			inner.nest[inner.depth++] = from;
			inner.policy = kind->nest;
			n += places(m, &inner, from + NLA_HDRLEN, from + a->nla_len, p + n,
				    max - n);
		}
		from += NLA_ALIGN(a->nla_len);
	}
	return n;
}

unsigned int fz_places(struct fz_msg *m, int policy, struct fz_place *p, unsigned int max)
{
	struct fz_place top = { .policy = policy };

	return places(m, &top, 0, m->len, p, max);
}

bool fz_splice(struct fz_msg *m, const struct fz_place *p, size_t old, const void *data,
	       size_t len)
{
	unsigned int i;

	if (p->at + old > m->len || m->len - old + len > FZ_ROOM)
		return false;
	for (i = 0; i < p->depth; i++)
		if (fz_at(m, p->nest[i])->nla_len - old + len > UINT16_MAX)
			return false;
	memmove(m->attrs + p->at + len, m->attrs + p->at + old, m->len - p->at - old);
	memcpy(m->attrs + p->at, data, len);
	m->len += len - old;
	for (i = 0; i < p->depth; i++)
		fz_at(m, p->nest[i])->nla_len += len - old;
	return true;
}

/* ---- sending ---- */

int fz_open(void)
{
	struct timeval patience = { .tv_sec = TK_LONG };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), on = 1;
	int room = RX_BYTES;

	if (fd < 0)
		tk_die("netlink: %m");
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

void fz_close(int fd)
{
	close(fd);
}

static void take_words(struct fz_answer *a, const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);
	size_t at = NLMSG_HDRLEN + sizeof(*e);

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		at += NLMSG_ALIGN(e->msg.nlmsg_len) - NLMSG_HDRLEN;
	while (at + NLA_HDRLEN <= h->nlmsg_len) {
		const struct nlattr *w = (const void *)((const char *)h + at);

		if (w->nla_len < NLA_HDRLEN)
			break;
		if (w->nla_type == NLMSGERR_ATTR_MSG) {
			a->words = true;
			snprintf(a->why, sizeof(a->why), "%.*s", w->nla_len - NLA_HDRLEN,
				 (const char *)w + NLA_HDRLEN);
		}
		at += NLA_ALIGN(w->nla_len);
	}
}

/* every message of the answer to the last that was sent, until its end */
static struct fz_answer hear(int fd, void (*fn)(struct nlattr *head, int len))
{
	struct fz_answer a = { .error = FZ_SILENT };

	for (;;) {
		ssize_t n = recv(fd, rx, sizeof(rx), 0);
		struct nlmsghdr *h = (void *)rx;

		if (n < 0) {
			a.lost = errno;
			return a;
		}
		for (; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_seq != seq)
				continue;
			if (h->nlmsg_type == NLMSG_ERROR) {
				a.error = ((struct nlmsgerr *)NLMSG_DATA(h))->error;
				take_words(&a, h);
				return a;
			}
			if (h->nlmsg_type == NLMSG_DONE) {
				/* a dump that fails says so here */
				a.error = h->nlmsg_len >= NLMSG_LENGTH(sizeof(int)) ?
						  *(int *)NLMSG_DATA(h) : 0;
				return a;
			}
			if (fn)
				fn((void *)((char *)h + NLMSG_HDRLEN + GENL_HDRLEN),
				   h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN);
		}
	}
}

static int speak(int fd, uint16_t to, const struct fz_msg *m, uint8_t version, uint16_t flags,
		 bool no_header)
{
	struct nlmsghdr h = { .nlmsg_type = to, .nlmsg_flags = NLM_F_REQUEST | flags,
			      .nlmsg_seq = ++seq };
	struct genlmsghdr g = { .cmd = m->cmd, .version = version };
	struct iovec v[] = {
		{ &h, sizeof(h) }, { &g, no_header ? 0 : sizeof(g) },
		{ (void *)m->attrs, no_header ? 0 : m->len },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct msghdr msg = { .msg_name = &kernel, .msg_namelen = sizeof(kernel), .msg_iov = v,
			      .msg_iovlen = 3 };
	ssize_t n;

	h.nlmsg_len = v[0].iov_len + v[1].iov_len + v[2].iov_len;
	tk_busy("command", m->cmd);
	n = sendmsg(fd, &msg, 0);
	tk_busy(NULL, 0);
	return n == (ssize_t)h.nlmsg_len ? 0 : n < 0 ? -errno : -EMSGSIZE;
}

struct fz_answer fz_send_as(int fd, const struct fz_msg *m, uint8_t version, uint16_t flags,
			    bool no_header)
{
	struct fz_answer none = { .error = FZ_SILENT, .why = "it cannot be sent" };

	return speak(fd, family, m, version, flags, no_header) ? none : hear(fd, NULL);
}

struct fz_answer fz_send(int fd, const struct fz_msg *m)
{
	return fz_send_as(fd, m, TELEPAGE_FAMILY_VERSION, NLM_F_ACK | (m->dump ? NLM_F_DUMP : 0),
			  false);
}

int fz_say(int fd, const struct fz_msg *m)
{
	return speak(fd, family, m, TELEPAGE_FAMILY_VERSION,
		     NLM_F_ACK | (m->dump ? NLM_F_DUMP : 0), false);
}

struct fz_answer fz_hear(int fd)
{
	return hear(fd, NULL);
}

/* ---- what there is ---- */

static uint64_t number(const struct nlattr *a)
{
	return nla_len(a) == 8 ? nla_get_u64((struct nlattr *)a) :
	       nla_len(a) == 4 ? nla_get_u32((struct nlattr *)a) : nla_get_u16((struct nlattr *)a);
}

static void learn_family(struct nlattr *head, int len)
{
	struct nlattr *a, *op, *in;
	int rest, rest_ops, rest_in;

	nla_for_each_attr(a, head, len, rest) {
		if (nla_type(a) == CTRL_ATTR_FAMILY_ID)
			family = number(a);
		if (nla_type(a) != CTRL_ATTR_OPS)
			continue;
		nla_for_each_nested(op, a, rest_ops) {
			struct fz_op *o = &fz_ops[fz_nr_ops++];

			if (fz_nr_ops == FZ_OPS)
				tk_die("more operations than this has room for");
			o->policy = -1;
			nla_for_each_nested(in, op, rest_in) {
				if (nla_type(in) == CTRL_ATTR_OP_ID)
					o->cmd = number(in);
				if (nla_type(in) == CTRL_ATTR_OP_FLAGS)
					o->flags = number(in);
			}
		}
	}
}

static void learn_attr(struct fz_attr *k, struct nlattr *a)
{
	struct nlattr *in;
	int rest;

	k->nest = -1;
	nla_for_each_nested(in, a, rest) {
		switch (nla_type(in)) {
		case NL_POLICY_TYPE_ATTR_TYPE: k->kind = number(in); break;
		case NL_POLICY_TYPE_ATTR_MIN_VALUE_U:
			k->has_min = true;
			k->min = number(in);
			break;
		case NL_POLICY_TYPE_ATTR_MAX_VALUE_U:
			k->has_max = true;
			k->max = number(in);
			break;
		case NL_POLICY_TYPE_ATTR_MAX_LENGTH: k->len_max = number(in); break;
		case NL_POLICY_TYPE_ATTR_POLICY_IDX: k->nest = number(in); break;
		}
	}
}

static void learn_policy(struct nlattr *head, int len)
{
	struct nlattr *a, *one, *in;
	int rest, rest_one, rest_in;

	nla_for_each_attr(a, head, len, rest) {
		bool ops = nla_type(a) == CTRL_ATTR_OP_POLICY;

		if (!ops && nla_type(a) != CTRL_ATTR_POLICY)
			continue;
		nla_for_each_nested(one, a, rest_one) {
			struct fz_op *o = ops ? (struct fz_op *)fz_op(nla_type(one)) : NULL;

			nla_for_each_nested(in, one, rest_in) {
				if (o)
					o->policy = number(in);
				else if (!ops && nla_type(one) < FZ_POLICIES &&
					 nla_type(in) < FZ_ATTRS)
					learn_attr(&fz_policy[nla_type(one)][nla_type(in)], in);
				else if (!ops)
					tk_die("more attributes than this has room for");
			}
		}
	}
}

void fz_learn(void)
{
	struct fz_msg *m = malloc(sizeof(*m));
	int fd = fz_open();

	fz_begin(m, CTRL_CMD_GETFAMILY, false);
	fz_str(m, CTRL_ATTR_FAMILY_NAME, TELEPAGE_FAMILY_NAME);
	if (speak(fd, GENL_ID_CTRL, m, 1, NLM_F_ACK, false) || hear(fd, learn_family).error)
		tk_die("the kernel does not know the family");
	m->cmd = CTRL_CMD_GETPOLICY;
	if (speak(fd, GENL_ID_CTRL, m, 1, NLM_F_DUMP, false) || hear(fd, learn_policy).error)
		tk_die("the kernel does not tell its policies");
	fz_close(fd);
	free(m);
}

const struct fz_op *fz_op(uint8_t cmd)
{
	unsigned int i;

	for (i = 0; i < fz_nr_ops; i++)
		if (fz_ops[i].cmd == cmd)
			return &fz_ops[i];
	return NULL;
}
