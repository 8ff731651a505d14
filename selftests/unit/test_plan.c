// SPDX-License-Identifier: GPL-2.0
/*
 * what two planners say to each other: plan_wire.c, plan_send.c, plan_receive.c
 *
 * Each worker is a process, as it is for the agent, and this test is its peer; the module is a
 * few functions below, which remember what they were told. Whatever the peer says, a
 * worker ends with a report, has told the module nothing out of range, and takes little memory.
 */
#include <endian.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "index.h"
#include "pages.h"
#include "plan_job.h"
#include "tap.h"

#define PAGES		512U		/* of region "vm"; "vm.1" has half of them */
#define HANG_MS		60000
#define FLOOD		(24UL << 20)	/* who listens to so much listens for ever */
#define RSS_MAX_KB	(384 * 1024L)	/* with a sanitizer's shadow */
#define MUTANTS		200

static char top[] = "/tmp/tp-plan.XXXXXX";

/* --- the module ----------------------------------------------------------------- */

static struct module {
	bool frozen;
	bool freezing;			/* in vain; who asks for dirty bits waits for it */
	uint64_t harvests;
	uint8_t dirty[PAGES / 8];
	bool loaded[2][PAGES];
	digest_t digest[2][PAGES];
	unsigned int extents, messages, wrong, ready, drops, refused;
	bool held[2];
	uint64_t planned[2];
	uint64_t absent;		/* pages of each */
} *module;				/* shared with the workers */

static int number(const char *name)
{
	return !strcmp(name, "vm") ? 0 : !strcmp(name, "vm.1") ? 1 : -1;
}

static uint64_t pages_of(int region)
{
	return region ? PAGES / 2 : PAGES;
}

/* the region, or -1: that was wrong of whoever called */
static int checked(const char *name, uint64_t start, uint64_t count)
{
	int i = number(name);

	if (i >= 0 && count && start < pages_of(i) && count <= pages_of(i) - start)
		return i;
	module->wrong++;
	return -1;
}

int tp_nl_open(struct tp_nl **nl)
{
	*nl = NULL;
	return 0;
}

void tp_nl_close(struct tp_nl *nl)
{
	(void)nl;
}

const char *tp_nl_error(const struct tp_nl *nl)
{
	(void)nl;
	return "";
}

int tp_region_get(struct tp_nl *nl, const char *name, struct tp_region *out)
{
	int i = number(name);

	(void)nl;
	*out = (struct tp_region){ 0 };
	if (i < 0)
		return -ENOENT;
	snprintf(out->name, sizeof(out->name), "%s", name);
	out->size = pages_of(i) * PAGE;
	out->id = 7 + i;
	out->frozen = module->frozen;
	out->harvests = module->harvests;
	out->absent = module->absent;
	return 0;
}

int tp_region_dirty(struct tp_nl *nl, const char *name, uint64_t start, uint64_t count, bool clear,
		    uint8_t *bitmap)
{
	(void)nl;
	if (checked(name, start, count) < 0)
		return -ERANGE;
	if (module->freezing)
		module->frozen = false;
	memset(bitmap, 0, (count + 7) / 8);
	for (uint64_t p = start; !number(name) && p < start + count; p++)
		if (module->dirty[p / 8] >> p % 8 & 1)
			bitmap[(p - start) / 8] |= 1 << (p - start) % 8;
	if (clear) {
		memset(module->dirty, 0, sizeof(module->dirty));
		module->harvests++;
	}
	return 0;
}

int tp_region_origin(struct tp_nl *nl, const char *name, int fd, const struct tp_extent *extents,
		     size_t nr, bool replace, bool fill)
{
	static bool before[2][PAGES];

	(void)nl;
	(void)replace;
	(void)fill;
	module->messages++;
	memcpy(before, module->loaded, sizeof(before));
	for (; nr--; extents++) {
		int i = checked(name, extents->start, extents->count);

		if (i < 0 || fd < 0 || !extents->digests || extents->offset % PAGE)
			return -EINVAL;
		for (uint64_t p = 0; p < extents->count; p++) {
			/* all of a message or nothing */
			if (module->loaded[i][extents->start + p]) {
				module->refused++;
				memcpy(module->loaded, before, sizeof(before));
				return -EEXIST;
			}
			module->loaded[i][extents->start + p] = true;
			memcpy(module->digest[i][extents->start + p],
			       extents->digests + p * DIGEST_SIZE, DIGEST_SIZE);
		}
		module->extents++;
	}
	return 0;
}

int tp_plan_drop(struct tp_nl *nl, const char *name, const struct tp_extent *runs, size_t nr)
{
	(void)nl;
	for (; nr--; runs++) {
		int i = checked(name, runs->start, runs->count);

		for (uint64_t p = 0; i >= 0 && p < runs->count; p++)
			module->loaded[i][runs->start + p] = false;
		module->drops++;
	}
	return 0;
}

int tp_plan_ready(struct tp_nl *nl, const char *name)
{
	int i = number(name);

	(void)nl;
	if (i < 0 || !module->held[i])
		return i < 0 ? -ENOENT : -EINVAL;
	module->held[i] = false;
	module->ready++;
	return 0;
}

int tp_plan_planned(struct tp_nl *nl, const char *name, uint64_t pages)
{
	int i = number(name);

	(void)nl;
	if (i < 0 || pages > pages_of(i))
		module->wrong++;
	else
		module->planned[i] = pages;
	return 0;
}

/* --- a worker, and what is said to it --------------------------------------------- */

static struct {
	pid_t pid;
	int fd, ctl;
	json_t *report;
	long rss;			/* KiB */
	int status;
} worker;

/* what is to be sent */
static struct {
	uint8_t data[1 << 20];
	size_t len;
} out;

static uint64_t absent;

/* what the region is when it looks; @again: the module and what was seen stay as they are */
static bool still, freezing, again;
static struct plan_seen *seen;

static void worker_begin(int (*fn)(int ctl, void *work), unsigned int regions)
{
	int sv[2], ctl[2];
	struct plan_work work = { .again = again };

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ctl))
		exit(1);
	snprintf(work.job.group, sizeof(work.job.group), "vm");
	work.job.nr = regions;
	for (unsigned int i = 0; i < regions; i++) {
		snprintf(work.job.region[i].name, sizeof(work.job.region[i].name),
			 i ? "vm.1" : "vm");
		work.job.region[i].pages = pages_of(i);
	}
	if (!again) {
		memset(module, 0, sizeof(*module));
		module->held[0] = true;
		module->held[1] = true;
		plan_seen_free(seen);
		seen = plan_seen_new(&work.job);
	}
	if (!seen)
		exit(1);
	work.seen = seen;
	module->frozen = still;
	module->freezing = freezing;
	module->absent = absent;
	out.len = 0;
	fflush(stdout);
	worker.pid = fork();
	if (worker.pid < 0)
		exit(1);
	if (!worker.pid) {
		close(sv[0]);
		close(ctl[0]);
		alarm(HANG_MS / 1000);
		work.fd = sv[1];
		_exit(fn(ctl[1], &work));
	}
	close(sv[1]);
	close(ctl[1]);
	worker.fd = sv[0];
	worker.ctl = ctl[0];
	json_decref(worker.report);
	worker.report = NULL;
}

static void put_raw(const void *data, size_t len)
{
	if (out.len + len > sizeof(out.data))
		exit(1);
	memcpy(out.data + out.len, data, len);
	out.len += len;
}

static void put(uint8_t type, const void *body, uint32_t len)
{
	uint32_t n = htole32(len);
	uint8_t head[4] = { type };

	put_raw(head, sizeof(head));
	put_raw(&n, sizeof(n));
	if (len)
		put_raw(body, len);
}

/* as much as it takes; false: it has ended */
static bool flush(void)
{
	size_t done = 0;

	while (done < out.len) {
		struct pollfd p[2] = { { .fd = worker.fd, .events = POLLOUT },
				       { .fd = worker.ctl, .events = POLLIN } };
		ssize_t n = 0;

		if (poll(p, 2, HANG_MS) <= 0 || p[1].revents)
			break;
		if (p[0].revents)
			n = send(worker.fd, out.data + done, out.len - done,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			break;
		done += n > 0 ? n : 0;
	}
	if (done < out.len)
		return false;
	out.len = 0;
	return true;
}

/* the next message: its type, or -1 */
static int get(uint8_t *body, size_t room, uint32_t *len)
{
	struct pollfd p = { .fd = worker.fd, .events = POLLIN };
	uint8_t head[8];

	if (poll(&p, 1, HANG_MS) != 1 || recv(worker.fd, head, 8, MSG_WAITALL) != 8)
		return -1;
	memcpy(len, head + 4, 4);
	*len = le32toh(*len);
	if (*len > room || (*len && recv(worker.fd, body, *len, MSG_WAITALL) != (ssize_t)*len))
		return -1;
	return head[0];
}

static const char *error_of(void)
{
	const char *e = json_string_value(json_object_get(worker.report, "error"));

	return e ? e : "no report";
}

static json_int_t said(const char *key)
{
	return json_integer_value(json_object_get(worker.report, key));
}

/* what has come of it; nothing more is said to it. False: it has crashed, or hangs */
static bool worker_end(void)
{
	struct pollfd p = { .fd = worker.ctl, .events = POLLIN };
	char line[4096] = "";
	const char *text;
	struct rusage ru;
	size_t len = 0;

	shutdown(worker.fd, SHUT_WR);
	while (len < sizeof(line) - 1 && !strstr(line, "\"side\"") && poll(&p, 1, HANG_MS) == 1) {
		ssize_t n = recv(worker.ctl, line + len, sizeof(line) - 1 - len, 0);

		if (n <= 0)
			break;
		len += n;
	}
	json_decref(worker.report);
	/* what comes before the report is that it has looked */
	text = strstr(line, "{\"side\"");
	worker.report = text ? json_loads(text, 0, NULL) : NULL;
	close(worker.ctl);
	close(worker.fd);
	if (!worker.report)
		kill(worker.pid, SIGKILL);
	if (wait4(worker.pid, &worker.status, 0, &ru) != worker.pid)
		exit(1);
	worker.rss = ru.ru_maxrss;
	return worker.report && !worker.status && !module->wrong && worker.rss < RSS_MAX_KB;
}

static bool ended(bool good, const char *what)
{
	return tap_ok(good, "%s", what) || (tap_note("error %s, status %x, wrong %u, %ld KiB",
		error_of(), worker.status, module->wrong, worker.rss), false);
}

/* --- the destination -------------------------------------------------------------- */

/* pages [@first, @first + @n) of @region, whose contents are @id and those that follow */
static void put_pages(uint32_t region, uint64_t first, uint32_t n, int id)
{
	static uint8_t all[sizeof(struct plan_head) + PAGES / 8 + PAGES * PLAN_PREFIX];
	struct plan_head h = { htole32(region), htole32(n), htole64(first) };
	size_t len = sizeof(h) + (n + 7) / 8;
	digest_t d;

	memset(all, 0, sizeof(all));
	memcpy(all, &h, sizeof(h));
	for (uint32_t i = 0; i < n; i++) {
		all[sizeof(h) + i / 8] |= 1 << i % 8;
		digest_of(id + i, d);
		memcpy(all + len, d, PLAN_PREFIX);
		len += PLAN_PREFIX;
	}
	put(PLAN_PAGES, all, len);
}

static void put_stale_as(uint8_t type, uint32_t region, uint64_t first, uint64_t count)
{
	struct { uint32_t region, nr; struct plan_run run; } body = {
		htole32(region), htole32(1), { htole64(first), htole64(count) },
	};

	put(type, &body, sizeof(body));
}

static void put_stale(uint32_t region, uint64_t first, uint64_t count)
{
	put_stale_as(PLAN_STALE, region, first, count);
}

static void put_list(uint8_t type, uint32_t region, uint32_t nr, size_t more)
{
	uint8_t body[sizeof(struct plan_list) + 64] = { 0 };
	struct plan_list l = { htole32(region), htole32(nr) };

	memcpy(body, &l, sizeof(l));
	put(type, body, sizeof(l) + more);
}

static void put_head(uint8_t type, uint32_t region, uint32_t count, uint64_t first, size_t more)
{
	uint8_t body[sizeof(struct plan_head) + 4096] = { 0 };
	struct plan_head h = { htole32(region), htole32(count), htole64(first) };

	memcpy(body, &h, sizeof(h));
	put(type, body, sizeof(h) + more);
}

/* all of a conversation that is in order: what the image has, in one run, and page 9 is stale */
static void transcript(void)
{
	put_pages(0, 0, 64, 2);
	put(PLAN_LOOKED, NULL, 0);
	put(PLAN_TURN, NULL, 0);
	put(PLAN_SAME, NULL, 0);
	put_stale(0, 9, 1);
	put(PLAN_FENCE, NULL, 0);
	put(PLAN_TURN, NULL, 0);
	put_pages(0, 9, 1, 400);
	put(PLAN_TURN, NULL, 0);
	put(PLAN_DONE, NULL, 0);
	put(PLAN_TURN, NULL, 0);
}

static void test_receive(void)
{
	unsigned int n = 0;
	digest_t d;
	bool good;

	worker_begin(plan_receive_main, 2);
	transcript();
	flush();
	ended(worker_end() && !*error_of(), "destination: a conversation in order");
	for (unsigned int p = 0; p < PAGES; p++)
		n += module->loaded[0][p];
	tap_ok(n == 63 && !module->loaded[0][9] && said("kept") == 64 && module->ready == 2 &&
	       module->drops == 1,
	       "destination: the module is told what the image has, and what is stale");
	digest_of(2 + 30, d);
	tap_ok(!memcmp(module->digest[0][30], d, sizeof(d)), "destination: with its digests");
	tap_ok(module->planned[0] == PAGES, "destination: and how far it has looked");

	/* other content with the same first bytes */
	worker_begin(plan_receive_main, 1);
	put_pages(0, 0, 2, 2);
	put(PLAN_TURN, NULL, 0);
	memset(d, 0x5a, sizeof(d));
	{
		digest_t both[2];

		memcpy(both[0], d, sizeof(d));
		digest_of(3, both[1]);
		put(PLAN_DIGESTS, both, sizeof(both));
	}
	put(PLAN_FENCE, NULL, 0);
	put(PLAN_DONE, NULL, 0);
	flush();
	good = worker_end() && !*error_of();
	ended(good && !module->loaded[0][0] && module->loaded[0][1],
	      "destination: a page that only begins like another is not taken");
}

static bool broken(void)
{
	return json_is_true(json_object_get(worker.report, "broken"));
}

static unsigned int loaded_of(unsigned int region, unsigned int first, unsigned int n)
{
	unsigned int sum = 0;

	for (unsigned int p = first; p < first + n; p++)
		sum += module->loaded[region][p];
	return sum;
}

/* it breaks off before the fence: the VM may have written to anything that was found */
static void test_receive_again(void)
{
	worker_begin(plan_receive_main, 2);
	put_pages(0, 0, 64, 2);
	put(PLAN_TURN, NULL, 0);
	put(PLAN_SAME, NULL, 0);
	put(PLAN_TURN, NULL, 0);
	flush();
	ended(worker_end() && broken() && loaded_of(0, 0, 64) == 64 && !seen->ready,
	      "destination: a connection that breaks off before the fence");
	again = true;
	worker_begin(plan_receive_main, 2);
	/* pages 8 to 15 are others by now, and are not here */
	put_pages(0, 0, 8, 2);
	put_pages(0, 8, 8, 3000);
	put_pages(0, 16, 48, 18);
	put(PLAN_TURN, NULL, 0);
	put(PLAN_SAME, NULL, 0);
	put(PLAN_SAME, NULL, 0);
	put(PLAN_FENCE, NULL, 0);
	put(PLAN_DONE, NULL, 0);
	flush();
	ended(worker_end() && !*error_of() && module->ready == 2,
	      "destination: the plan that is begun anew");
	tap_ok(!loaded_of(0, 8, 8), "destination: has no file for a page that was written to");
	tap_ok(loaded_of(0, 0, 8) == 8 && loaded_of(0, 16, 48) == 48 && !module->refused,
	       "destination: and one for all that is here");
	again = false;
}

/* it breaks off behind the fence: what was found is right for good, and in use */
static void test_receive_again_used(void)
{
	uint8_t body[4096];
	unsigned int asked = 0;
	uint32_t len;
	int type;

	worker_begin(plan_receive_main, 2);
	put_pages(0, 0, 64, 2);
	put(PLAN_TURN, NULL, 0);
	put(PLAN_SAME, NULL, 0);
	put(PLAN_FENCE, NULL, 0);
	put(PLAN_TURN, NULL, 0);
	flush();
	ended(worker_end() && broken() && seen->ready && module->planned[0] == 64,
	      "destination: a connection that breaks off behind the fence");
	again = true;
	worker_begin(plan_receive_main, 2);
	put_pages(0, 0, 32, 2);
	put(PLAN_TURN, NULL, 0);
	flush();
	while ((type = get(body, sizeof(body), &len)) > 0 && type != PLAN_TURN)
		asked++;
	tap_ok(type == PLAN_TURN && !asked, "destination: what has a file is not asked about again");
	put_pages(0, 32, 64, 34);
	put(PLAN_TURN, NULL, 0);
	put(PLAN_SAME, NULL, 0);
	put(PLAN_FENCE, NULL, 0);
	put(PLAN_TURN, NULL, 0);
	flush();
	tap_ok(get(body, sizeof(body), &len) == PLAN_ASK && len >= 8 && body[4] == 32,
	       "destination: but what has none is");
	get(body, sizeof(body), &len);
	get(body, sizeof(body), &len);
	tap_ok(module->planned[0] == 96, "destination: how far it came is not taken back");
	put(PLAN_DONE, NULL, 0);
	flush();
	ended(worker_end() && !*error_of() && loaded_of(0, 0, 96) == 96 && !module->refused &&
	      !module->drops && module->ready == 2,
	      "destination: its files stay, and a second fence is none");
	again = false;
}

/* a source that cannot go on says so: no other plan is waited for */
static void test_receive_given_up(void)
{
	worker_begin(plan_receive_main, 1);
	put_pages(0, 0, 8, 2);
	put(PLAN_DONE, NULL, 0);
	flush();
	ended(worker_end() && *error_of() && !broken(),
	      "destination: a source that gives up is not waited for");
}

/* found here and there: each is an extent, one message has them all */
static void test_receive_scattered(void)
{
	enum { N = 40 };
	unsigned int n = 0, right = 0;
	digest_t d;

	for (int twice = 0; twice < 2; twice++) {
		worker_begin(plan_receive_main, 2);
		for (uint32_t i = 0; i < N; i++)
			put_pages(i % 2, 2 * i, 1, 2 + 3 * (int)i);
		if (twice)
			put_pages(0, 0, 1, 2);
		put(PLAN_TURN, NULL, 0);
		for (int i = 0; i < N + twice; i++)
			put(PLAN_SAME, NULL, 0);
		put(PLAN_FENCE, NULL, 0);
		put(PLAN_DONE, NULL, 0);
		flush();
		ended(worker_end() && !*error_of(), twice ? "destination: a page that is named twice" :
		      "destination: scattered pages");
		n = 0;
		right = 0;
		for (uint32_t i = 0; i < N; i++) {
			digest_of(2 + 3 * (int)i, d);
			n += module->loaded[i % 2][2 * i];
			right += !memcmp(module->digest[i % 2][2 * i], d, sizeof(d));
		}
		tap_ok(n == N && right == N, "destination: all of them are told to the module");
		if (!twice)
			tap_ok(module->messages == 2 && module->extents == N,
			       "destination: in a message for each region, not for each page");
	}
}

/* says something that is wrong; the answers to what the image has are due when @asked */
struct wrong {
	const char *what;
	bool asked;
	void (*say)(void);
};

static void say_nothing(void) { }
static void say_half(void) { put_raw("\2\0", 2); }
static void say_type_0(void) { put(0, NULL, 0); }
static void say_type_13(void) { put(13, NULL, 0); }
static void say_have(void) { put(PLAN_HAVE, "\0\0\0\0\0\0\0", 8); }
static void say_known_short(void) { put(PLAN_KNOWN, "\0\0\0\0\0\0\0\0abc", 11); }
static void say_known_region(void) { put_list(PLAN_KNOWN, 2, 0, DIGEST_SIZE); }
static void say_unchanged(void) { put_stale_as(PLAN_UNCHANGED, 0, 0, 8); }
static void say_unchanged_region(void) { put_stale_as(PLAN_UNCHANGED, 2, 0, 8); }
static void say_unchanged_page(void) { put_stale_as(PLAN_UNCHANGED, 0, PAGES, 8); }
static void say_unchanged_short(void) { put(PLAN_UNCHANGED, "\0\0\0", 3); }
static void say_ask(void) { put_head(PLAN_ASK, 0, 1, 0, DIGEST_SIZE); }
static void say_long(void) { put_raw("\2\0\0\0\377\377\377\377", 8); }
static void say_cut(void) { put_raw("\2\0\0\0\100\0\0\0abc", 11); }
static void say_no_head(void) { put(PLAN_PAGES, "abc", 3); }
static void say_region(void) { put_pages(2, 0, 1, 2); }
static void say_region_max(void) { put_pages(UINT32_MAX, 0, 1, 2); }
static void say_page(void) { put_pages(0, PAGES, 1, 2); }
static void say_pages(void) { put_pages(1, PAGES / 2 - 1, 2, 2); }
static void say_page_max(void) { put_pages(0, UINT64_MAX, 2, 2); }
static void say_count_0(void) { put_head(PLAN_PAGES, 0, 0, 0, 0); }
static void say_count_max(void) { put_head(PLAN_PAGES, 0, UINT32_MAX, 0, 4096); }
static void say_no_bits(void) { put_head(PLAN_PAGES, 0, PAGES, 0, 1); }
static void say_more(void) { put_head(PLAN_PAGES, 0, 8, 0, 9); }

static void say_less(void)
{
	uint8_t body[sizeof(struct plan_head) + 1 + 7] = { [4] = 1, [16] = 1 };

	put(PLAN_PAGES, body, sizeof(body));
}

static void say_same(void) { put(PLAN_SAME, NULL, 0); }
static void say_same_body(void) { put(PLAN_SAME, "x", 1); }
static void say_same_twice(void) { say_same(); say_same(); }
static void say_digests(void)
{
	static const digest_t one = { 1 };

	put(PLAN_DIGESTS, one, sizeof(one));
}

static void say_looked(void) { put(PLAN_LOOKED, NULL, 0); }
static void say_done(void) { put(PLAN_DONE, NULL, 0); }
static void say_turn(void) { put(PLAN_TURN, NULL, 0); }
static void say_fence_twice(void) { put(PLAN_FENCE, NULL, 0); put(PLAN_FENCE, NULL, 0); }
static void say_stale_after(void) { put(PLAN_FENCE, NULL, 0); put_stale(0, 0, 1); }
static void say_stale_region(void) { put_stale(2, 0, 1); }
static void say_stale_page(void) { put_stale(1, PAGES / 2, 1); }
static void say_stale_pages(void) { put_stale(0, 1, PAGES); }
static void say_stale_wrap(void) { put_stale(0, 1, UINT64_MAX); }
static void say_stale_none(void) { put_stale(0, 1, 0); }
static void say_stale_short(void) { put(PLAN_STALE, "\0\0\0\0\1\0\0", 7); }

static void say_stale_many(void)
{
	uint32_t body[2] = { 0, htole32(0x10000000) };	/* times 16 is 0 in 32 bits */

	put(PLAN_STALE, body, sizeof(body));
}

/* it ends in the middle: that is not for what it has said */
static bool is_cut(const struct wrong *w)
{
	return w->say == say_nothing || w->say == say_half || w->say == say_cut;
}

static const struct wrong wrongs[] = {
	{ "no word", false, say_nothing },
	{ "half a header", false, say_half },
	{ "a message of type 0", false, say_type_0 },
	{ "a message of no type", false, say_type_13 },
	{ "a question", false, say_ask },
	{ "a message that is too long", false, say_long },
	{ "a message that is cut", false, say_cut },
	{ "pages without a head", false, say_no_head },
	{ "pages of no region", false, say_region },
	{ "pages of region -1", false, say_region_max },
	{ "a page behind the end", false, say_page },
	{ "pages over the end", false, say_pages },
	{ "page -1", false, say_page_max },
	{ "no pages", false, say_count_0 },
	{ "4G of pages", false, say_count_max },
	{ "pages without bits", false, say_no_bits },
	{ "pages with too many digests", false, say_more },
	{ "pages with half a digest", false, say_less },
	{ "an answer to no question", false, say_same },
	{ "digests for no question", false, say_digests },
	{ "the end before the fence", false, say_done },
	{ "an answer with a body", true, say_same_body },
	{ "two answers to one question", true, say_same_twice },
	{ "digests of one page for many", true, say_digests },
	{ "the turn without the answer", true, say_turn },
	{ "something else instead of the answer", true, say_looked },
	{ "two fences", false, say_fence_twice },
	{ "stale pages behind the fence", false, say_stale_after },
	{ "stale pages of no region", false, say_stale_region },
	{ "a stale page behind the end", false, say_stale_page },
	{ "stale pages over the end", false, say_stale_pages },
	{ "stale pages whose end wraps", false, say_stale_wrap },
	{ "no stale pages", false, say_stale_none },
	{ "what only it can say", false, say_have },
	{ "a known image in half a message", false, say_known_short },
	{ "a known image of no region", false, say_known_region },
	{ "unchanged pages of an image that it has not", false, say_unchanged },
	{ "unchanged pages of no region", false, say_unchanged_region },
	{ "unchanged pages behind the end", false, say_unchanged_page },
	{ "unchanged pages in half a head", false, say_unchanged_short },
	{ "stale pages in half a head", false, say_stale_short },
	{ "more stale pages than there are bytes", false, say_stale_many },
};

static void test_receive_wrong(void)
{
	uint8_t body[4096];
	char what[128];
	uint32_t len;

	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		bool due = true;

		worker_begin(plan_receive_main, 2);
		if (wrongs[i].asked) {
			put_pages(0, 0, 8, 2);
			put(PLAN_TURN, NULL, 0);
			flush();
			due = get(body, sizeof(body), &len) == PLAN_ASK &&
			      get(body, sizeof(body), &len) == PLAN_TURN;
		}
		wrongs[i].say();
		flush();
		snprintf(what, sizeof(what), "destination: %s", wrongs[i].what);
		ended(worker_end() && due && *error_of() && broken() == is_cut(&wrongs[i]), what);
	}
}

/* @say again and again: it is the end of the conversation before long */
static void flood(int (*fn)(int ctl, void *work), const char *what, void (*say)(void))
{
	size_t sent = 0;

	still = true;
	worker_begin(fn, 2);
	still = false;
	while (sent < FLOOD) {
		for (int i = 0; i < 64; i++)
			say();
		sent += out.len;
		if (!flush())
			break;
	}
	ended(worker_end() && sent < FLOOD && *error_of(), what);
}

static void say_found(void) { put_pages(0, 0, 8, 2); }

static void say_scattered(void)
{
	/* each page a run of its own */
	for (uint32_t i = 0; i < 8; i++)
		put_pages(0, 2 * i, 1, 2 + 3 * (int)i);
}

/* --- the source ------------------------------------------------------------------- */

static void put_ask(uint32_t region, uint32_t count, uint64_t first, const uint8_t *sum)
{
	struct { struct plan_head h; digest_t sum; } body = {
		{ htole32(region), htole32(count), htole64(first) }, { 0 },
	};

	if (sum)
		memcpy(body.sum, sum, sizeof(body.sum));
	put(PLAN_ASK, &body, sizeof(body));
}

/* reads the source's turn: how many of its messages were of @type; the last such is in @body */
static int turn_of(int type, uint8_t *body, size_t room, uint32_t *last)
{
	static uint8_t any[1 << 20];
	uint32_t len;
	int n = 0, is;

	while ((is = get(any, sizeof(any), &len)) != PLAN_TURN) {
		if (is < 0)
			return -1;
		if (is != type)
			continue;
		n++;
		*last = len;
		if (len <= room)
			memcpy(body, any, len);
	}
	return n;
}

static int region_fd = -1;

static void write_page(uint64_t page, int id)
{
	uint8_t p[PAGE];

	content(p, id);
	if (pwrite(region_fd, p, PAGE, page * PAGE) != (ssize_t)PAGE)
		exit(1);
	module->dirty[page / 8] |= 1 << page % 8;
}

static void reset_region(void)
{
	for (uint64_t p = 0; p < PAGES; p++)
		write_page(p, 2 + (int)p);
	memset(module->dirty, 0, sizeof(module->dirty));
}

/* the worker waits for us: it has done all that it can before */
static void wait_for_recv(void)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/syscall", worker.pid);
	for (int i = 0; i < 500; i++) {
		FILE *f = fopen(path, "r");
		bool waits = f && fgets(text, sizeof(text), f) && !strncmp(text, "45 ", 3);

		if (f)
			fclose(f);
		if (waits)
			return;
		usleep(10000);
	}
}

static void test_send(void)
{
	static uint8_t body[1 << 20];
	uint32_t len = 0, n = 0;
	struct plan_head h;
	digest_t d[8], sum;
	int turns = 0;

	still = true;
	worker_begin(plan_send_main, 1);
	still = false;
	/* asked in the first turn: what is so, what is not, and what nobody can know */
	ended(turn_of(PLAN_PAGES, body, sizeof(body), &len) == 1, "source: names pages");
	memcpy(&h, body, sizeof(h));
	n = le32toh(h.count);
	digest_of(2, d[0]);
	tap_ok(!h.region && !h.first && n && n <= PAGES &&
	       len == sizeof(h) + n / 8 + n * PLAN_PREFIX &&
	       !memcmp(body + sizeof(h) + n / 8, d[0], PLAN_PREFIX), "source: by their digests");
	for (int i = 0; i < 8; i++)
		digest_of(2 + i, d[i]);
	gnutls_hash_fast(GNUTLS_DIG_SHA256, d, sizeof(d), sum);
	put_ask(0, 8, 0, sum);
	put_ask(0, 8, 1, sum);
	put_ask(0, 8, 0, NULL);
	put(PLAN_TURN, NULL, 0);
	flush();
	tap_ok(get(body, sizeof(body), &len) == PLAN_SAME && !len,
	       "source: says that they are the same");
	tap_ok(get(body, sizeof(body), &len) == PLAN_DIGESTS && len == 8 * DIGEST_SIZE &&
	       !memcmp(body, d[1], DIGEST_SIZE), "source: or what they are");
	tap_ok(get(body, sizeof(body), &len) == PLAN_DIGESTS && !memcmp(body, d, sizeof(d)),
	       "source: and whoever does not know is told");
	do {
		put(PLAN_TURN, NULL, 0);
	} while (turn_of(PLAN_DONE, body, sizeof(body), &len) == 0 && flush() && ++turns < 100);
	ended(worker_end() && !*error_of() && said("named") == PAGES && !said("stale"),
	      "source: its end");
}

/* a page is hashed, written to, and named in the turn that says that it is stale */
static void test_send_stale(void)
{
	static uint8_t body[1 << 20];
	digest_t before, after, sum, zero = { 0 };
	uint32_t len = 0, n;
	struct plan_head h;
	bool was_same = false, told_old = false, told_new = false;
	int turns = 0, type;
	uint64_t page;

	worker_begin(plan_send_main, 1);
	turn_of(PLAN_PAGES, body, sizeof(body), &len);
	memcpy(&h, body, sizeof(h));
	n = le32toh(h.count);
	wait_for_recv();
	page = n;
	write_page(page, 3000);
	write_page(5, 3001);
	module->frozen = true;
	put(PLAN_TURN, NULL, 0);
	flush();
	tap_ok(n < PAGES && turn_of(PLAN_STALE, body, sizeof(body), &len) == 1 &&
	       len == 8 + 2 * sizeof(struct plan_run), "source: says which pages are stale");
	digest_of(2 + (int)page, before);
	digest_of(3000, after);
	gnutls_hash_fast(GNUTLS_DIG_SHA256, before, sizeof(before), sum);
	put_ask(0, 1, page, sum);
	put_ask(0, 1, page, NULL);
	do {
		put(PLAN_TURN, NULL, 0);
		flush();
		while ((type = get(body, sizeof(body), &len)) > 0 && type != PLAN_TURN &&
		       type != PLAN_DONE) {
			memcpy(&h, body, sizeof(h));
			was_same |= type == PLAN_SAME;
			told_old |= type == PLAN_DIGESTS && memcmp(body, zero, sizeof(zero)) != 0 &&
				    memcmp(body, after, sizeof(after)) != 0;
			told_new |= type == PLAN_PAGES && le64toh(h.first) == page &&
				    !memcmp(body + sizeof(h) + 1, after, PLAN_PREFIX);
		}
	} while (type == PLAN_TURN && ++turns < 100);
	tap_ok(!was_same && !told_old, "source: what is stale is not what it was");
	tap_ok(told_new, "source: it is named anew");
	ended(worker_end() && !*error_of() && said("stale") == 2,
	      "source: its end, with stale pages");

	/* somebody else clears dirty bits */
	reset_region();
	worker_begin(plan_send_main, 1);
	turn_of(PLAN_PAGES, body, sizeof(body), &len);
	wait_for_recv();
	module->harvests++;
	module->frozen = true;
	put(PLAN_TURN, NULL, 0);
	flush();
	turn_of(PLAN_STALE, body, sizeof(body), &len);
	worker_end();
	ended(said("stale") >= n,
	      "source: all is stale when others have cleared dirty bits");
}

/* the region is being frozen when the plan begins, which fails, and goes on */
static void test_send_failed_freeze(void)
{
	static uint8_t body[1 << 20];
	uint32_t len;

	reset_region();
	still = freezing = true;
	worker_begin(plan_send_main, 1);
	still = freezing = false;
	tap_ok(turn_of(PLAN_FENCE, body, sizeof(body), &len) == 0,
	       "source: a freeze that fails is no fence");
	wait_for_recv();
	write_page(5, 3002);
	module->freezing = false;
	module->frozen = true;
	put(PLAN_TURN, NULL, 0);
	flush();
	tap_ok(turn_of(PLAN_STALE, body, sizeof(body), &len) == 1,
	       "source: and what is written then is stale");
	worker_end();
}

/* it cannot plan, now or later: that is said, so that nobody waits for another try */
static void test_send_given_up(void)
{
	uint8_t body[64];
	uint32_t len;

	absent = 1;
	worker_begin(plan_send_main, 1);
	absent = 0;
	tap_ok(get(body, sizeof(body), &len) == PLAN_DONE, "source: says that it cannot plan");
	ended(worker_end() && *error_of() && !broken(), "source: which is for good");
}

static void ask_beyond(void) { put_ask(0, 1, PAGES - 1, NULL); }
static void ask_over(void) { put_ask(0, PAGES, 1, NULL); }
static void ask_region(void) { put_ask(7, 1, 0, NULL); }
static void ask_wrap(void) { put_ask(0, 2, UINT64_MAX, NULL); }
static void ask_none(void) { put_ask(0, 0, 0, NULL); }
static void ask_short(void) { put_head(PLAN_ASK, 0, 1, 0, DIGEST_SIZE - 1); }
static void ask_one(void) { put_ask(0, 200, 0, NULL); }

static void test_send_wrong(void)
{
	static uint8_t body[1 << 20];
	static const struct wrong asks[] = {
		{ "no word", false, say_nothing },
		{ "half a header", false, say_half },
		{ "a message of type 0", false, say_type_0 },
		{ "a message of no type", false, say_type_13 },
		{ "a message that is too long", false, say_long },
		{ "a message that is cut", false, say_cut },
		{ "pages", false, say_found },
		{ "an answer", false, say_same },
		{ "an image that it did not ask about", false, say_have },
		{ "the end", false, say_done },
		{ "a fence", false, say_fence_twice },
		{ "a question about pages that were not named yet", false, ask_beyond },
		{ "a question about pages over the end", false, ask_over },
		{ "a question about no region", false, ask_region },
		{ "a question whose end wraps", false, ask_wrap },
		{ "a question about nothing", false, ask_none },
		{ "a question that is too short", false, ask_short },
	};
	char what[128];
	uint32_t len;

	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		still = true;
		worker_begin(plan_send_main, 1);
		still = false;
		turn_of(PLAN_PAGES, body, sizeof(body), &len);
		asks[i].say();
		flush();
		snprintf(what, sizeof(what), "source: %s", asks[i].what);
		ended(worker_end() && *error_of() && broken() == is_cut(&asks[i]), what);
	}
}

/* --- whatever comes --------------------------------------------------------------- */

static uint64_t seed = 88172645463325252ULL;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void mutate(void)
{
	static const uint8_t bytes[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x7f, 0x80, 0xff };
	unsigned int n = 1 + rnd(4);

	while (n--) {
		size_t at = rnd(out.len), len = rnd(64);

		/* where headers are likely, more often */
		switch (rnd(6)) {
		case 0:
			out.len = at + 1;
			break;
		case 1:
			if (at + len < out.len) {
				memmove(out.data + at, out.data + at + len, out.len - at - len);
				out.len -= len;
			}
			break;
		case 2:
			if (at + 2 * len < out.len)
				memcpy(out.data + at, out.data + at + len, len);
			break;
		default:
			out.data[at] = rnd(2) ? bytes[rnd(sizeof(bytes))] : rnd(256);
		}
	}
}

static void answers(void)
{
	for (int i = 0; i < 6; i++) {
		put_ask(0, 8, 8 * i, NULL);
		put_ask(0, 200, i, NULL);
		put(PLAN_TURN, NULL, 0);
	}
}

static void test_mutants(int (*fn)(int ctl, void *work), void (*valid)(void), const char *what)
{
	unsigned int good = 0, i;

	for (i = 0; i < MUTANTS; i++) {
		uint64_t from = seed;

		still = true;
		worker_begin(fn, 2);
		still = false;
		valid();
		mutate();
		flush();
		if (worker_end()) {
			good++;
			continue;
		}
		tap_note("seed %llu: status %x, wrong %u, %ld KiB", (unsigned long long)from,
			 worker.status, module->wrong, worker.rss);
		break;
	}
	tap_ok(good == MUTANTS, "%s: %u conversations that somebody has spoilt", what, MUTANTS);
}

/* ------------------------------------------------------------------------------------ */

static void make_world(void)
{
	static int ids[PAGES];
	char path[PATH_MAX];
	int fd;

	if (!mkdtemp(top))
		exit(1);
	snprintf(path, sizeof(path), "%s/images", top);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/images/vm", top);
	mkdir(path, 0700);
	for (unsigned int p = 0; p < PAGES; p++)
		ids[p] = 2 + (int)p;
	/* the image has the first 128 pages */
	fd = make_pages(path, "vm.mem", ids, 128, 0);
	snprintf(path, sizeof(path), "%s/images/vm/vm.mem" INDEX_SUFFIX, top);
	if (index_build(fd, path, NULL, NULL, NULL))
		exit(1);
	close(fd);
	region_fd = make_pages(top, "vm", ids, PAGES, 0);
	close(make_pages(top, "vm.1", ids, PAGES / 2, 0));
	agent.dir = top;
	agent.state = top;
	agent.images = xasprintf("%s/images", top);
}

int main(void)
{
	char command[64];

	module = mmap(NULL, sizeof(*module), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (module == MAP_FAILED)
		return 1;
	make_world();
	test_receive();
	test_receive_again();
	test_receive_again_used();
	test_receive_given_up();
	test_receive_scattered();
	test_receive_wrong();
	flood(plan_receive_main, "destination: pages without an end", say_found);
	flood(plan_receive_main, "destination: scattered pages without an end", say_scattered);
	test_send();
	test_send_stale();
	test_send_failed_freeze();
	test_send_given_up();
	test_send_wrong();
	flood(plan_send_main, "source: questions without an end", ask_one);
	test_mutants(plan_receive_main, transcript, "destination");
	test_mutants(plan_send_main, answers, "source");
	snprintf(command, sizeof(command), "rm -r %s", top);
	if (system(command))
		return 1;
	return tap_done();
}
