// SPDX-License-Identifier: GPL-2.0
/*
 * planner.c - the agent's hold on the workers that plan
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plan_job.h"
#include "worker.h"

#define LOOK_MS		1000
/* looks at a worker that find it as it was, and then it stands still: */
#define STILL_LOOKS	10		/* when it could do something */
#define PEER_LOOKS	15		/* when the other side should, whose agent sees it before us */
#define KEEP_LOOKS	600		/* when an image is written: a disk may be long in that */
#define STALLS_MAX	2		/* of a source's workers, then there will be no other */

struct planner {
	struct worker *worker;
	struct plan_job job;
	struct plan_hold *hold;		/* the destination's, else NULL */
	bool plans;			/* else it only keeps images */
	bool looked;			/* at all there is, until the fence */
	bool keeps, told_to;		/* images; told now, or when the plan has ended */
	unsigned int *stalls;		/* of those before, too */
	int fd;				/* the worker's connection, to cut it; or -1 */
	struct timer hurry;
	struct pulse *pulse;
	struct timer look;		/* at that */
	uint32_t beats;			/* as they were at the last look, */
	unsigned int still;		/* and at so many before, */
	unsigned int patience;		/* with as much patience */
	json_t *report;
	planner_fn fn;
	void *arg;
};

void plan_group(struct plan_job *job, const char *name, const char *own)
{
	job->common = name && name_ok(name);
	group_set(job->group, job->common ? name : NULL, own);
}

void plan_region(struct plan_job *job, const char *name, uint64_t bytes)
{
	if (job->nr == MOVE_REGIONS_MAX)
		return;
	snprintf(job->region[job->nr].name, sizeof(job->region[0].name), "%s", name);
	job->region[job->nr++].pages = bytes / TELEPAGE_PAGE_SIZE;
}

static void planner_free(struct planner *p)
{
	timer_clear(&p->hurry);
	timer_clear(&p->look);
	pulse_free(p->pulse);
	if (p->fd >= 0)
		close(p->fd);
	json_decref(p->report);
	loop_free(p);
}

static void tell_report(struct planner *p)
{
	const char *error = json_string_value(json_object_get(p->report, "error"));
	char *text = json_dumps(p->report, JSON_COMPACT);

	note("plan of %s: %s%s", p->job.region[0].name, error && *error ? "broken off: " : "",
	     text ? text : "?");
	free(text);
}

static void over(struct planner *p, json_t *report, bool broken)
{
	if (p->hold)
		p->hold->planner = NULL;
	p->fn(report, broken, p->arg);
	planner_free(p);
}

static void finished(struct planner *p)
{
	const char *error = json_string_value(json_object_get(p->report, "error"));

	worker_kill(p->worker);
	over(p, error && *error ? NULL : p->report,
	     json_is_true(json_object_get(p->report, "broken")));
}

static void line(struct worker *w, json_t *msg, void *arg)
{
	struct planner *p = arg;

	(void)w;
	if (json_object_get(msg, "looked")) {
		p->looked = true;
		return;
	}
	if (!p->report) {
		p->report = json_incref(msg);
		tell_report(p);
		/* another plan may come, whose digests an image is kept with */
		if (!p->keeps || json_is_true(json_object_get(msg, "broken")))
			finished(p);
		else if (p->told_to)
			worker_tell(p->worker, 'K');
		return;
	}
	json_decref(p->report);
	p->report = json_incref(msg);
	if (json_object_get(msg, "error"))
		note("not all of the memory of %s is kept: %s", p->job.region[0].name,
		     json_string_value(json_object_get(msg, "error")));
	finished(p);
}

static void ended(struct worker *w, int status, void *arg)
{
	struct planner *p = arg;

	(void)w;
	note("plan of %s: its worker died (%d)", p->job.region[0].name, status);
	over(p, NULL, p->plans && !p->report);
}

/* --- is it alive? ------------------------------------------------------------------- */

/* The worker, which may wait for the other side for ever, takes it for a lost connection. */
static void cut(void *arg)
{
	struct planner *p = arg;

	if (p->fd >= 0)
		shutdown(p->fd, SHUT_RDWR);
}

/* it waits for the other side, and not for what has come already */
static bool waits(const struct planner *p)
{
	uint32_t state = atomic_load(&p->pulse->state);
	struct pollfd ready = {
		.fd = p->fd, .events = state == PULSE_SENDS ? POLLOUT : POLLIN,
	};

	return state != PULSE_WORKS && p->fd >= 0 && !poll(&ready, 1, 0);
}

/*
 * How many looks it may stand still, 0: any number. A destination holds back what it waits for. A
 * source holds back nothing: it waits, and a move that waits for it does not any more
 * (planner_looked()).
 */
static unsigned int patience(const struct planner *p)
{
	if (p->report)
		return p->told_to ? KEEP_LOOKS : 0;
	if (!waits(p))
		return STILL_LOOKS;
	if (!p->hold || (atomic_load(&p->pulse->idle) && !p->hold->due))
		return 0;
	return PEER_LOOKS;
}

/*
 * Nobody waits for its end: what it hangs in may keep it from that. A destination's plan is over
 * then, for another worker would look at the same files; a source's has none to look at.
 */
static void stalled(struct planner *p)
{
	bool again = !p->hold && p->plans && !p->report;

	if (waits(p))
		note("plan of %s: the other side says nothing for %u s: given up",
		     p->job.region[0].name, p->still * LOOK_MS / 1000);
	else
		note("plan of %s: its worker stands still for %u s, and is killed",
		     p->job.region[0].name, p->still * LOOK_MS / 1000);
	if (again && p->stalls)
		++*p->stalls;
	cut(p);
	worker_kill(p->worker);
	over(p, NULL, again);
}

/* Looks are counted and not seconds: we may have stood still together with it. */
static void look(void *arg)
{
	struct planner *p = arg;
	uint32_t beats = atomic_load(&p->pulse->beats);
	unsigned int max = patience(p);

	/* what it has waited for, maybe for days, may have come just now */
	p->still = beats == p->beats && max == p->patience ? p->still + 1 : 0;
	p->beats = beats;
	p->patience = max;
	if (max && p->still >= max)
		stalled(p);
	else
		timer_set(&p->look, LOOK_MS, look, p);
}

void planner_due(struct plan_hold *h)
{
	h->due = true;
}

/* ------------------------------------------------------------------------------------ */

static const struct worker_ops send_ops = {
	.name = "telepage-plan", .main = plan_send_main, .line = line, .ended = ended,
};

static const struct worker_ops receive_ops = {
	.name = "telepage-plan", .main = plan_receive_main, .line = line, .ended = ended,
};

static struct planner *start(int fd, const struct plan_job *job, struct plan_hold *hold,
			     bool keeps, unsigned int *stalls, planner_fn fn, void *arg)
{
	struct plan_work work = { .job = *job, .fd = fd };
	struct planner *p = xcalloc(1, sizeof(*p));

	if (fd >= 0)
		fcntl(fd, F_SETFL, 0);		/* the worker may wait */
	if (hold) {
		work.seen = hold->seen;
		work.again = hold->begun++;
	}
	p->pulse = pulse_new();
	work.pulse = p->pulse;
	work.refuse = fd >= 0 && stalls && *stalls >= STALLS_MAX;
	p->stalls = stalls;
	p->job = *job;
	p->hold = hold;
	p->plans = fd >= 0;
	p->keeps = keeps;
	p->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	p->fn = fn;
	p->arg = arg;
	if (p->pulse)
		p->worker = worker_start(hold ? &receive_ops : &send_ops, &work, fd, p);
	if (p->worker)
		timer_set(&p->look, LOOK_MS, look, p);
	else
		note("plan of %s: no worker: %s", job->region[0].name, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (p->worker)
		return p;
	planner_free(p);
	return NULL;
}

bool planner_receive(struct plan_hold *h, int fd, planner_fn fn, void *arg)
{
	h->planner = start(fd, &h->job, h, false, NULL, fn, arg);
	return h->planner;
}

struct planner *planner_send(int fd, const struct plan_job *job, bool keeps,
			     unsigned int *stalls, planner_fn fn, void *arg)
{
	return start(fd, job, NULL, keeps, stalls, fn, arg);
}

const char *planner_refuses(struct planner *p, unsigned int begun)
{
	if (begun >= PLAN_TRIES)
		return "it was planned often enough";
	if (!p)
		return NULL;
	/* the other side has given it up; until it is dead it may still tell the module */
	worker_stop(p->worker);
	return "the plan before is being ended";
}

bool planner_accept(int fd, const char *refusal)
{
	if (!transport_answer(fd, refusal) && !refusal)
		return true;
	close(fd);
	return false;
}

bool planner_looked(const struct planner *p)
{
	return !p || p->looked || p->report || p->still >= PEER_LOOKS;
}

void planner_frozen(struct planner *p)
{
	if (p)
		worker_tell(p->worker, 'F');
}

void planner_keep(struct planner *p)
{
	if (p->told_to)
		return;
	p->told_to = true;
	if (p->report)
		worker_tell(p->worker, 'K');
}

void planner_hurry(struct planner *p, unsigned int ms)
{
	if (p && !p->report)
		timer_set(&p->hurry, ms, cut, p);
}

/* --- what is noted of regions ------------------------------------------------------ */

static const char *const notes[] = { "plan", "kept" };

void planner_came(const struct plan_job *job)
{
	for (unsigned int i = 0; i < job->nr; i++)
		plan_table_mark(agent.nl, job->region[i].name, job->group);
}

void planner_forget(const char *name)
{
	struct tp_region r;
	char *path;

	/* another one may have the name already */
	if (!name_ok(name) || tp_region_get(agent.nl, name, &r) != -ENOENT)
		return;
	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
		path = xasprintf("%s/%s/%s", agent.state, notes[i], name);
		unlink(path);
		free(path);
	}
}

void planner_forget_gone(void)
{
	struct dirent *d;
	char *path;
	DIR *dir;

	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
		path = xasprintf("%s/%s", agent.state, notes[i]);
		dir = opendir(path);
		free(path);
		while (dir && (d = readdir(dir)))
			planner_forget(d->d_name);
		if (dir)
			closedir(dir);
	}
}

void planner_end(struct planner *p)
{
	if (!p)
		return;
	worker_kill(p->worker);
	planner_free(p);
}
