// SPDX-License-Identifier: GPL-2.0
/*
 * move_warm.c - a move's source names the pages that the VM needs first
 *
 * It looks twice. While the VM still runs, which costs it nothing: where its kernel is, what
 * that executes and looks at, hardly changes from one moment to the next. And when it has
 * been stopped, for where it stands then. The destination has asked for the first pages
 * before they can be had, and for the others it takes no longer than its device state does.
 *
 * All of this only saves time. Whatever fails is said, and the VM moves without.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "guest_regs.h"
#include "move_src.h"

#define CMD_MS		5000
#define TELL_MS		15000		/* an answer takes, what is waited for not counted */
#define RUNNING_MS	400		/* to look while it runs; the agent does nothing else */
#define STOPPED_MS	100
#define STOPPED_PAGES	256		/* of the list are for what is found then */

static bool read_page(void *arg, unsigned int region, uint64_t index, void *buf)
{
	struct msrc *m = arg;
	struct iovec iov = { .iov_base = buf, .iov_len = GUEST_PAGE };
	ssize_t n;

	/* it is here, or it was taken for complete wrongly */
	n = preadv2(m->warm.fd[region], &iov, 1, index * GUEST_PAGE, RWF_NOWAIT);
	if (n < 0 && errno == EOPNOTSUPP)
		n = pread(m->warm.fd[region], buf, GUEST_PAGE, index * GUEST_PAGE);
	return n == (ssize_t)GUEST_PAGE;
}

static bool enough(void *arg)
{
	struct msrc *m = arg;

	return now_ms() >= m->warm.until;
}

static const struct guest_walk_ops walk_ops = {
	.read = read_page,
	.enough = enough,
};

void msrc_warm_end(struct msrc *m)
{
	guest_walk_free(m->warm.walk);
	m->warm.walk = NULL;
	while (m->warm.nr_fds)
		close(m->warm.fd[--m->warm.nr_fds]);
}

json_t *msrc_warm_summary(const struct msrc *m)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "pages", (json_int_t)m->warm.pages,
			 "here_pages", (json_int_t)m->warm.here,
			 "find_ms", (json_int_t)m->warm.find_ms,
			 "wait_ms", (json_int_t)m->warm.wait_ms);
}

static void hmp(struct msrc *m, const char *line, qmp_fn fn)
{
	qmp_cmd(m->qmp, "human-monitor-command", json_pack("{s:s}", "command-line", line), CMD_MS,
		fn, m);
}

/* what has been found and was not told yet, runs of each region: [[START, COUNT, ...], ...] */
static json_t *untold(struct msrc *m)
{
	json_t *lists = json_array();
	const struct guest_page *p;
	size_t n = 0, i, end;

	for (i = 0; i < m->ram.nr; i++)
		json_array_append_new(lists, json_array());
	p = m->warm.walk ? guest_walk_list(m->warm.walk, &n) : NULL;
	for (i = m->warm.told; i < n; i = end) {
		json_t *list = json_array_get(lists, p[i].region);

		for (end = i + 1; end < n && p[end].region == p[i].region &&
		     p[end].index == p[i].index + (end - i); end++)
			;
		json_array_append_new(list, json_integer(p[i].index));
		json_array_append_new(list, json_integer(end - i));
	}
	m->warm.told = n;
	m->warm.pages = n;
	return lists;
}

static void tell(struct msrc *m, unsigned int wait_ms, answer_fn fn)
{
	peer_ask(m->peer, "warm", json_pack("{s:s, s:o, s:i}", "move", m->id, "pages", untold(m),
					    "wait", (int)wait_ms), TELL_MS + wait_ms, fn, m);
}

/* false: @ret does not say where the CPUs are */
static bool walk(struct msrc *m, json_t *ret, unsigned int ms, size_t room)
{
	static struct guest_cpu cpus[GUEST_CPUS_MAX];
	const char *text = json_string_value(ret);
	unsigned int nr = text ? guest_regs_parse(text, cpus, GUEST_CPUS_MAX) : 0;
	uint64_t begun = now_ms();

	if (!nr)
		return false;
	m->warm.until = begun + ms;
	guest_walk_run(m->warm.walk, cpus, nr, room);
	m->warm.find_ms += now_ms() - begun;
	return true;
}

/* while it runs */

static void without(struct msrc *m, const char *why)
{
	msrc_note(m, "nothing is known of the pages that it needs first: %s", why);
	m->warm.on = false;
	msrc_warm_end(m);
	msrc_enter(m, SRC_STATE);
}

static void told(json_t *msg, const char *err, void *arg)
{
	struct msrc *m = arg;

	(void)msg;
	if (err)
		without(m, err);
	else
		msrc_enter(m, SRC_STATE);
}

static void got_regs(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;

	if (err)
		without(m, err);
	else if (!walk(m, ret, RUNNING_MS, MOVE_WARM_PAGES - STOPPED_PAGES))
		without(m, "its CPUs are not in 64-bit mode, or QEMU does not say so");
	else
		tell(m, 0, told);
}

static void got_ram(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;
	const char *text = json_string_value(ret);
	const char *names[MOVE_REGIONS_MAX];
	uint64_t sizes[MOVE_REGIONS_MAX];

	for (unsigned int i = 0; i < m->ram.nr; i++) {
		names[i] = m->ram.region[i].backend;
		sizes[i] = m->ram.region[i].size;
	}
	if (err) {
		without(m, err);
		return;
	}
	if (!text || !guest_ram_parse(text, names, sizes, m->ram.nr, &m->warm.ram)) {
		without(m, "QEMU does not say where its RAM is");
		return;
	}
	m->warm.walk = guest_walk_new(&m->warm.ram, &walk_ops, m, MOVE_WARM_PAGES);
	if (m->warm.walk)
		hmp(m, "info registers -a", got_regs);
	else
		without(m, "no memory");
}

/* its regions, to be read from; or why not */
static const char *open_regions(struct msrc *m)
{
	struct tp_region r;
	int fd;

	for (unsigned int i = 0; i < m->ram.nr; i++) {
		/* what is not here yet would be asked for by looking at it */
		if (tp_region_get(agent.nl, m->ram.region[i].name, &r) || r.absent)
			return "not all of its memory is here yet";
		fd = region_open(m->ram.region[i].name);
		if (fd < 0)
			return strerror(-fd);
		m->warm.fd[m->warm.nr_fds++] = fd;
	}
	return NULL;
}

void msrc_warm(struct msrc *m)
{
	const char *why = open_regions(m);

	if (why)
		without(m, why);
	else
		hmp(m, "info mtree -f", got_ram);
}

/* when it has been stopped */

static void warmed(json_t *msg, const char *err, void *arg)
{
	struct msrc *m = arg;

	m->warm.waits = false;
	m->warm.here = json_integer_value(json_object_get(msg, "here"));
	m->warm.wait_ms = json_integer_value(json_object_get(msg, "ms"));
	if (err)
		msrc_note(m, "pages that it needs first: %s", err);
	else
		msrc_note(m, "%llu of %llu pages that it needs first are there after %llu ms",
			  (unsigned long long)m->warm.here, (unsigned long long)m->warm.pages,
			  (unsigned long long)m->warm.wait_ms);
	msrc_check_switched(m);
}

static void got_stopped_regs(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;

	if (m->state != SRC_SWITCH)
		return;
	if (err || !walk(m, ret, STOPPED_MS, MOVE_WARM_PAGES))
		msrc_note(m, "where its CPUs stand: %s", err ? err : "QEMU does not say");
	tell(m, m->warm.ms, warmed);
	msrc_warm_end(m);
}

void msrc_warm_stopped(struct msrc *m)
{
	if (!m->warm.on)
		return;
	m->warm.waits = true;
	hmp(m, "info registers -a", got_stopped_regs);
}
