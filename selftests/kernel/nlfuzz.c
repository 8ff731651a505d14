// SPDX-License-Identifier: GPL-2.0
/*
 * nlfuzz.c - the netlink interface with anything, see nlfuzz.h
 *
 *	tk-nlfuzz [SECONDS [OF]]	of messages at random, 4; before them one spoiled
 *				message OF so many, 1: each
 *
 * First each operation with each of its attributes spoiled in every way, one at a
 * time; then good messages with several things changed at random. What a user would
 * lose: the kernel, a daemon that waits for ever, or somebody else's region. SEED= in
 * the environment repeats a run, but for what parallel senders make of it.
 */
#include <linux/capability.h>
#include <linux/genetlink.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "nlfuzz.h"

#define PLACES		64
#define HUGE_LEN	60000
#define NO_TYPE		0x3ffe		/* no attribute will ever have this */
#define A_ROUND		150		/* messages */

static struct fz_msg good, bad;
static int sock;
static unsigned int one_of = 1;

/* ---- answers ---- */

static struct {
	unsigned int sent, taken, silent, wordless, strange, through, shown;
} count;

static void show(const struct fz_good *g, const struct fz_msg *m, struct fz_answer a,
		 const char *what)
{
	char hex[3 * 96 + 1] = "";
	size_t i;

	if (count.shown++ > 20)
		return;
	for (i = 0; i < m->len && i < 96; i++)
		sprintf(hex + 3 * i, "%02x ", m->attrs[i]);
	tap_note("%s: %s: %d (%s), command %u, %zu bytes: %s", g->name, what, a.error, a.why,
		 m->cmd, m->len, hex);
}

/* Should these errors have words with them? A user can make them happen. */
static bool needs_words(int error)
{
	switch (-error) {
	case EINVAL: case ERANGE: case EBUSY: case ENOENT: case EEXIST: case E2BIG: case EBADF:
		return true;
	}
	return false;
}

static struct fz_answer ask(const struct fz_good *g, const struct fz_msg *m, bool must_refuse,
			    const char *what)
{
	struct fz_answer a = { .error = -EPERM, .words = true };

	if (fz_witness_hurt(m))
		return a;
	a = fz_send(sock, m);
	count.sent++;
	count.taken += !a.error;
	if (a.error == FZ_SILENT) {
		count.silent++;
		show(g, m, a, what);
	} else if (a.error > 0 || a.error < -133) {
		/* numbers that only the kernel itself knows, as ERESTARTSYS */
		count.strange++;
		show(g, m, a, what);
	} else if (!a.error && must_refuse) {
		count.through++;
		show(g, m, a, what);
	} else if (needs_words(a.error) && !a.words) {
		count.wordless++;
		show(g, m, a, what);
	}
	return a;
}

static void bad_from_good(void)
{
	fz_begin(&bad, good.cmd, good.dump);
	bad.len = good.len;
	memcpy(bad.attrs, good.attrs, good.len);
}

/* ---- one thing spoiled ---- */

enum spoil {
	MISSING, EMPTY, SHORT, LONG, VAST, NEST_BIT, ORDER_BIT, TWICE, TWICE_BAD, RANDOM, STRING,
	UNENDED, OVERRUN, TINY, INTO_ITSELF, OTHER_TYPE, NUMBERS,
};

static const char * const spoil_names[] = {
	"missing", "empty", "a byte short", "a byte long", "huge", "nesting wrong", "byte order",
	"twice", "twice, one of them bad", "random", "a string", "without end", "overrun",
	"shorter than its head", "nested into itself", "of another type",
};

static const uint64_t numbers[] = {
	0, 1, 2, 15, 16, 17, 255, 4095, 4096, 4097, INT32_MAX, 1ULL << 31, UINT32_MAX, 1ULL << 32,
	1ULL << 44, INT64_MAX, 1ULL << 63, -4096ULL, UINT64_MAX,
};

#define NR_NUMBERS	(sizeof(numbers) / sizeof(*numbers))
#define NR_SPOILS	(NUMBERS + NR_NUMBERS + 2)

static const struct fz_attr *attr_of(int policy, unsigned int type)
{
	static const struct fz_attr unknown;

	return policy >= 0 && type < FZ_ATTRS ? &fz_policy[policy][type] : &unknown;
}

static unsigned int width(const struct fz_attr *k)
{
	switch (k->kind) {
	case NL_ATTR_TYPE_U8: return 1;
	case NL_ATTR_TYPE_U16: return 2;
	case NL_ATTR_TYPE_U32: return 4;
	case NL_ATTR_TYPE_U64: return 8;
	}
	return 0;
}

static bool is_string(const struct fz_attr *k)
{
	return k->kind == NL_ATTR_TYPE_NUL_STRING;
}

/* an attribute of @len bytes; what was there goes on, then @more */
static bool resize(struct fz_msg *m, const struct fz_place *p, size_t len, uint8_t more)
{
	static uint8_t to[FZ_ROOM];
	struct nlattr *a = fz_at(m, p->at), *b = (void *)to;
	size_t had = a->nla_len - NLA_HDRLEN, all = NLA_ALIGN(NLA_HDRLEN + len);

	memset(to, 0, all);
	memset(to + NLA_HDRLEN, more, len);
	memcpy(to + NLA_HDRLEN, (uint8_t *)a + NLA_HDRLEN, had < len ? had : len);
	b->nla_len = NLA_HDRLEN + len;
	b->nla_type = a->nla_type;
	return fz_splice(m, p, NLA_ALIGN(a->nla_len), to, all);
}

static bool put_number(struct fz_msg *m, const struct fz_place *p, uint64_t v, unsigned int n)
{
	memcpy(m->attrs + p->at + NLA_HDRLEN, &v, n);
	return true;
}

/*
 * Spoils the attribute at @p of a good message. False: not for this one. *@must: it
 * has to be refused whatever it was.
 */
static bool spoil(struct fz_msg *m, const struct fz_place *p, unsigned int how, bool *must)
{
	struct nlattr *a = fz_at(m, p->at);
	unsigned int type = a->nla_type & NLA_TYPE_MASK, i;
	const struct fz_attr *k = attr_of(p->policy, type);
	size_t len = a->nla_len - NLA_HDRLEN, all = NLA_ALIGN(a->nla_len);
	unsigned int n = width(k);
	uint8_t copy[2 * FZ_ATTRS + 4096];

	*must = false;
	switch (how) {
	case MISSING:
		return fz_splice(m, p, all, NULL, 0);
	case EMPTY:
		*must = n || is_string(k);
		return resize(m, p, 0, 0);
	case SHORT:
		*must = n || is_string(k);
		return len && resize(m, p, len - 1, 0);
	case LONG:
		*must = n || k->kind == NL_ATTR_TYPE_FLAG;
		return resize(m, p, len + 1, 'x');
	case VAST:
		*must = n || k->kind == NL_ATTR_TYPE_FLAG || (is_string(k) && k->len_max);
		return resize(m, p, HUGE_LEN, 'x');
	case NEST_BIT:
		*must = k->kind != NL_ATTR_TYPE_INVALID;
		a->nla_type ^= NLA_F_NESTED;
		return true;
	case ORDER_BIT:
		a->nla_type ^= NLA_F_NET_BYTEORDER;
		return true;
	case TWICE:
	case TWICE_BAD:
		if (all > sizeof(copy))
			return false;
		memcpy(copy, a, all);
		if (how == TWICE_BAD) {
			*must = n;
			((struct nlattr *)copy)->nla_len = NLA_HDRLEN;
			return fz_splice(m, p, 0, copy, NLA_HDRLEN);
		}
		return fz_splice(m, p, 0, copy, all);
	case RANDOM:
		for (i = 0; i < len; i++)
			m->attrs[p->at + NLA_HDRLEN + i] = fz_random();
		return len;
	case STRING:
		*must = n || k->kind == NL_ATTR_TYPE_FLAG;
		if (!resize(m, p, 13, 0))
			return false;
		memcpy(m->attrs + p->at + NLA_HDRLEN, "not a number", 13);
		return true;
	case UNENDED:
		*must = is_string(k);
		memset(m->attrs + p->at + NLA_HDRLEN, 'a', len);
		return len;
	case OVERRUN:
		/* over the end of the nest, or of the message */
		*must = p->at + all == m->len;
		a->nla_len += 64;
		return true;
	case TINY:
		*must = true;
		a->nla_len = 2;
		return true;
	case INTO_ITSELF:
		for (i = 0; i < 20; i++) {
			struct nlattr head = { .nla_type = type | NLA_F_NESTED };

			a = fz_at(m, p->at);
			if (a->nla_len + NLA_HDRLEN > UINT16_MAX)
				return false;
			head.nla_len = NLA_ALIGN(a->nla_len) + NLA_HDRLEN;
			if (!fz_splice(m, p, 0, &head, sizeof(head)))
				return false;
		}
		return true;
	case OTHER_TYPE:
		*must = true;
		a->nla_type = NO_TYPE;
		return true;
	}
	how -= NUMBERS;
	if (!n)
		return false;
	if (how < NR_NUMBERS) {
		*must = n < 8 && numbers[how] >> (8 * n) ? false :
			(k->has_max && numbers[how] > k->max) ||
			(k->has_min && numbers[how] < k->min);
		return (n == 8 || !(numbers[how] >> (8 * n))) && put_number(m, p, numbers[how], n);
	}
	*must = true;
	if (how == NR_NUMBERS)
		return k->has_max && (n == 8 ? k->max + 1 : !((k->max + 1) >> (8 * n))) &&
		       put_number(m, p, k->max + 1, n);
	return k->has_min && k->min && put_number(m, p, k->min - 1, n);
}

/* An attribute that was not asked for, at the end of the message or of a nest. */
static bool intrude(struct fz_msg *m, const struct fz_place *p, unsigned int type,
		    unsigned int how, bool *must)
{
	const struct fz_attr *k = attr_of(p->policy, type);
	struct { struct nlattr a; uint8_t v[16]; } in = { .a.nla_type = type };
	unsigned int n = width(k);
	size_t len = n ?: 4;

	*must = k->kind == NL_ATTR_TYPE_INVALID;
	if (k->kind == NL_ATTR_TYPE_FLAG)
		len = 0;
	if (how == 1) {
		/* of a wrong length */
		len += 1;
		*must |= n || k->kind == NL_ATTR_TYPE_FLAG;
	} else if (how == 2) {
		len = 12;
		memset(in.v, 0xff, sizeof(in.v));
		*must |= n || is_string(k);
	}
	if (k->kind == NL_ATTR_TYPE_NESTED)
		in.a.nla_type |= NLA_F_NESTED;
	in.a.nla_len = NLA_HDRLEN + len;
	return fz_splice(m, p, 0, &in, NLA_ALIGN(in.a.nla_len));
}

/* What is refused leaves everything as it was: what is taken has it made anew. */
static void try(const struct fz_good *g, bool must, const char *what)
{
	if (one_of > 1 && fz_below(one_of))
		return;
	if (!ask(g, &bad, must, what).error && !g->lasting)
		fz_prepare(g, &good);
}

static void spoil_all(const struct fz_good *g, const struct fz_place *p, unsigned int n)
{
	unsigned int i, how;
	bool must;

	for (i = 0; i < n; i++)
		for (how = 0; how < NR_SPOILS; how++) {
			bad_from_good();
			if (spoil(&bad, &p[i], how, &must))
				try(g, must, how < NUMBERS ? spoil_names[how] : "a number");
		}
}

static void intrude_all(const struct fz_good *g, int policy, const struct fz_place *p,
			unsigned int n)
{
	struct fz_place end;
	unsigned int i, type, how;
	bool must;

	for (i = 0; i <= n; i++) {
		const struct nlattr *a = i < n ? fz_at(&good, p[i].at) : NULL;

		if (a && !(a->nla_type & NLA_F_NESTED))
			continue;
		if (a) {
			end = p[i];
			end.nest[end.depth++] = p[i].at;
			end.policy = fz_policy[p[i].policy][a->nla_type & NLA_TYPE_MASK].nest;
			end.at = p[i].at + a->nla_len;
		} else {
			end = (struct fz_place){ .policy = policy, .at = good.len };
		}
		if (end.policy < 0)
			continue;
		for (type = 0; type <= FZ_ATTRS; type++)
			for (how = 0; how < 3; how++) {
				bad_from_good();
				if (type < FZ_ATTRS && how &&
				    fz_policy[end.policy][type].kind == NL_ATTR_TYPE_INVALID)
					continue;
				if (intrude(&bad, &end, type < FZ_ATTRS ? type : NO_TYPE, how, &must))
					try(g, must, "one more");
			}
	}
}

/* the header of the family, and of netlink */
static void spoil_head(const struct fz_good *g, const struct fz_op *op)
{
	struct fz_answer a = fz_send_as(sock, &good, 1, NLM_F_ACK, true);

	if (a.error >= 0) {
		count.through++;
		show(g, &good, a, "no header");
	}
	if (!g->dump && !(op->flags & GENL_CMD_CAP_DUMP)) {
		bad_from_good();
		bad.dump = true;
		try(g, true, "a dump of what has none");
	}
	bad_from_good();
	a = fz_send_as(sock, &bad, 255, NLM_F_ACK | (g->dump ? NLM_F_DUMP : 0), false);
	if (a.error == FZ_SILENT)
		count.silent++;
	if (!a.error && !g->lasting)
		fz_prepare(g, &good);
}

static void test_each(const struct fz_good *g)
{
	const struct fz_op *op = fz_op(g->cmd);
	struct fz_place p[PLACES];
	struct fz_answer a;
	unsigned int n;
	bool fine;

	if (!op || op->policy < 0)
		tk_die("%s: the kernel does not have it", g->name);
	memset(&count, 0, sizeof(count));
	fz_prepare(g, &good);
	a = ask(g, &good, false, "good");
	if (!tap_ok(!a.error, "%s: a good message is taken", g->name))
		tap_note("%d %s", a.error, a.why);
	fz_prepare(g, &good);
	n = fz_places(&good, op->policy, p, PLACES);
	if (!g->dump && n < good.len / 64)
		tk_die("%s: its attributes are not found", g->name);
	spoil_head(g, op);
	spoil_all(g, p, n);
	intrude_all(g, op->policy, p, n);
	fine = tap_ok(!count.silent && !count.strange && !count.through,
		      "%s: %u spoiled messages, each answered and none of them taken that is wrong",
		      g->name, count.sent);
	if (!fine)
		tap_note("%u not answered, %u strange errors, %u let through", count.silent,
			 count.strange, count.through);
	tap_ok(!count.wordless, "%s: who is refused is told why", g->name);
	a = fz_send(sock, &good);
	if (!tap_ok(!a.error, "%s: what was refused changed nothing", g->name))
		tap_note("%d %s", a.error, a.why);
	if (!fz_witness_good())
		tap_ok(false, "%s: others' pages are right", g->name);
}

static void test_complete(void)
{
	unsigned int i, j, cmd, missing = 0, unknown = 0;

	for (i = 0; i < fz_nr_ops; i++) {
		bool does = false, dumps = !(fz_ops[i].flags & GENL_CMD_CAP_DUMP);

		for (j = 0; j < fz_nr_goods; j++) {
			does |= fz_goods[j].cmd == fz_ops[i].cmd && !fz_goods[j].dump;
			dumps |= fz_goods[j].cmd == fz_ops[i].cmd && fz_goods[j].dump;
		}
		if (!does || !dumps) {
			tap_note("operation %u has no good message here", fz_ops[i].cmd);
			missing++;
		}
	}
	tap_ok(fz_nr_ops && !missing, "all %u operations that the kernel has are tried", fz_nr_ops);
	for (cmd = 0; cmd < 256; cmd++) {
		if (fz_op(cmd))
			continue;
		fz_begin(&bad, cmd, false);
		unknown += fz_send(sock, &bad).error == -EOPNOTSUPP;
	}
	tap_ok(unknown == 256 - fz_nr_ops, "what is no operation is refused");
}

/* ---- without privilege ---- */

static bool drop_admin(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		return false;
	d[0].effective &= ~(1U << CAP_NET_ADMIN);
	d[0].permitted &= ~(1U << CAP_NET_ADMIN);
	d[0].inheritable = 0;
	return !syscall(SYS_capset, &h, d);
}

/* Which of three ways got an answer that is not "no"? */
static int unprivileged(void *arg)
{
	int fd, ret = 0;

	if (!drop_admin())
		return 99;
	/* a socket that somebody with the right has opened */
	ret |= fz_send(sock, &good).error != -EPERM;
	fd = fz_open();
	ret |= (fz_send(fd, &good).error != -EPERM) << 1;
	close(fd);
	/* root of a namespace of his own has the right there only */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return ret | (errno != EINVAL && errno != ENOSYS) << 3;
	fd = fz_open();
	ret |= (fz_send(fd, &good).error != -EPERM) << 2;
	return ret;
}

static void test_privilege(void)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < fz_nr_goods; i++) {
		int status;

		fz_prepare(&fz_goods[i], &good);
		status = tk_reap(tk_fork(unprivileged, NULL));
		if (status || fz_send(sock, &good).error) {
			tap_note("%s: %#x", fz_goods[i].name, status);
			wrong++;
		}
	}
	tap_ok(!wrong, "without CAP_NET_ADMIN every operation is EPERM, and nothing is done");
}

/* ---- at random ---- */

static uint16_t some_type(int policy)
{
	unsigned int i, type;

	for (i = 0; i < 20; i++) {
		type = fz_below(FZ_ATTRS);
		if (fz_policy[policy][type].kind != NL_ATTR_TYPE_INVALID)
			return type;
	}
	return fz_below(FZ_ATTRS);
}

static void some_attr(struct fz_msg *m, const struct fz_place *at, unsigned int deep)
{
	uint16_t type = some_type(at->policy);
	const struct fz_attr *k = &fz_policy[at->policy][type];
	struct { struct nlattr a; uint8_t v[300]; } in = { };
	unsigned int n = width(k), i;
	struct fz_place inner = *at;
	uint64_t v = n == 8 ? fz_some_u64() : fz_some_u32();
	const char *s = fz_some_name();
	size_t len = n;

	in.a.nla_type = type;
	if (n) {
		memcpy(in.v, &v, n);
	} else if (is_string(k)) {
		len = strlen(s) + 1;
		memcpy(in.v, s, len);
	} else if (k->kind == NL_ATTR_TYPE_NESTED) {
		in.a.nla_type |= NLA_F_NESTED;
	} else if (k->kind != NL_ATTR_TYPE_FLAG) {
		len = fz_below(sizeof(in.v));
		for (i = 0; i < len; i++)
			in.v[i] = fz_random();
	}
	in.a.nla_len = NLA_HDRLEN + len;
	if (!fz_splice(m, at, 0, &in, NLA_ALIGN(in.a.nla_len)))
		return;
	if (k->kind == NL_ATTR_TYPE_NESTED && k->nest >= 0 && deep && inner.depth < FZ_DEPTH) {
		inner.nest[inner.depth++] = at->at;
		inner.policy = k->nest;
		inner.at = at->at + NLA_HDRLEN;
		for (i = fz_below(5); i; i--)
			some_attr(m, &inner, deep - 1);
	}
}

static void change(struct fz_msg *m)
{
	const struct fz_op *op = fz_op(m->cmd);
	struct fz_place p[PLACES], end = { .at = m->len, .policy = op ? op->policy : 0 };
	unsigned int n = fz_places(m, end.policy, p, PLACES), how = fz_below(20), i;
	struct fz_place *one = n ? &p[fz_below(n)] : NULL;
	bool must;

	if (how == 0) {
		m->cmd = fz_ops[fz_below(fz_nr_ops)].cmd;
	} else if (how == 1) {
		m->dump = !m->dump;
	} else if (how <= 4 || !one) {
		some_attr(m, &end, 2);
	} else if (how == 5) {
		for (i = fz_below(8); i; i--)
			m->attrs[fz_below(m->len)] ^= 1 << fz_below(8);
	} else if (how == 6) {
		m->len = fz_below(m->len);
	} else if (how == 7) {
		fz_at(m, one->at)->nla_type = fz_below(FZ_ATTRS) | (fz_random() & 0xc000);
	} else if (how <= 12 && one->policy >= 0) {
		/* another value that means something */
		some_attr(m, one, 2);
	} else {
		spoil(m, one, fz_below(NR_SPOILS), &must);
	}
}

static void send_some(unsigned int n)
{
	static const struct fz_good any = { .name = "at random" };
	unsigned int changes;

	while (n--) {
		const struct fz_good *g = &fz_goods[fz_below(fz_nr_goods)];

		fz_begin(&bad, g->cmd, g->dump);
		g->build(&bad);
		for (changes = fz_below(4); changes; changes--)
			change(&bad);
		ask(&any, &bad, false, g->name);
	}
}

static int another(void *arg)
{
	fz_seed ^= 0x5555555555;
	sock = fz_open();
	send_some(A_ROUND);
	return count.silent || count.strange;
}

static void test_random(unsigned int seconds, uint64_t seed)
{
	uint64_t end = tk_now_ms() + seconds * 1000;
	unsigned int round = 0, left = 0, wrong = 0, others = 0;

	memset(&count, 0, sizeof(count));
	do {
		pid_t pid = 0;
		char words[80];

		/* each round is a start anew: how many there are does not matter */
		fz_seed = (seed + round) * 0x9e3779b97f4a7c15 | 1;
		snprintf(words, sizeof(words), "<4>nlfuzz: SEED=%llu, round %u\n",
			 (unsigned long long)seed, round);
		tk_write_file("/dev/kmsg", words);
		left += !fz_world_close();
		fz_world_open();
		/* with a planner's socket everything that it held ends */
		close(sock);
		sock = fz_open();
		if (round % 2)
			pid = tk_fork(another, NULL);
		send_some(A_ROUND);
		if (pid)
			others += tk_reap(pid) != 0;
		wrong += !fz_witness_good();
		round++;
	} while (tk_now_ms() < end);
	left += !fz_world_close();
	tap_note("%u rounds, %u messages, %u of them taken", round, count.sent, count.taken);
	tap_ok(count.taken > count.sent / 20, "messages at random are often good enough to be taken");
	tap_ok(!count.silent && !count.strange && !others, "each is answered");
	tap_ok(!count.wordless, "who is refused is told why");
	tap_ok(!left, "after every round everything can be deleted");
	tap_ok(!wrong, "others' pages are right after every round");
}

int main(int argc, char **argv)
{
	const char *given = getenv("SEED");
	uint64_t seed = given && *given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	struct tp_region_list regions = { };
	struct tp_export_list exports = { };
	struct tp_link_list links = { };
	unsigned int i;

	if (argc > 2)
		one_of = atoi(argv[2]);
	tk_init();
	tap_note("SEED=%llu", (unsigned long long)seed);
	fz_seed = seed | 1;
	tk_watch();
	fz_learn();
	sock = fz_open();
	fz_witness_open();
	test_complete();
	for (i = 0; i < fz_nr_goods; i++)
		test_each(&fz_goods[i]);
	test_privilege();
	test_random(argc > 1 ? atoi(argv[1]) : 4, seed);
	tap_ok(fz_witness_close(), "the region that filled all the while has every page");
	close(sock);
	tk_ok(tp_region_dump(tk_nl, &regions) ?: tp_export_dump(tk_nl, &exports) ?:
	      tp_link_dump(tk_nl, &links), "dump");
	tap_ok(!regions.n && !exports.n && !links.n, "nothing is left of all that");
	return tap_done();
}
