// SPDX-License-Identifier: GPL-2.0
/*
 * planner.c - the agent's hold on the workers that plan
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plan_job.h"
#include "worker.h"

struct planner {
	struct worker *worker;
	struct plan_job job;
	struct plan_hold *hold;		/* the destination's, else NULL */
	bool plans;			/* else it only keeps images */
	bool looked;			/* at all there is, until the fence */
	bool keeps, told_to;		/* images; told now, or when the plan has ended */
	int fd;				/* the worker's connection, to cut it; or -1 */
	struct timer hurry;
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

static const struct worker_ops send_ops = {
	.name = "telepage-plan", .main = plan_send_main, .line = line, .ended = ended,
};

static const struct worker_ops receive_ops = {
	.name = "telepage-plan", .main = plan_receive_main, .line = line, .ended = ended,
};

static struct planner *start(int fd, const struct plan_job *job, struct plan_hold *hold,
			     bool keeps, planner_fn fn, void *arg)
{
	struct plan_work work = { .job = *job, .fd = fd };
	struct planner *p = xcalloc(1, sizeof(*p));

	if (fd >= 0)
		fcntl(fd, F_SETFL, 0);		/* the worker may wait */
	if (hold) {
		work.seen = hold->seen;
		work.again = hold->begun++;
	}
	p->job = *job;
	p->hold = hold;
	p->plans = fd >= 0;
	p->keeps = keeps;
	p->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	p->fn = fn;
	p->arg = arg;
	p->worker = worker_start(hold ? &receive_ops : &send_ops, &work, fd, p);
	if (!p->worker)
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
	h->planner = start(fd, &h->job, h, false, fn, arg);
	return h->planner;
}

struct planner *planner_send(int fd, const struct plan_job *job, bool keeps, planner_fn fn,
			     void *arg)
{
	return start(fd, job, NULL, keeps, fn, arg);
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
	return !p || p->looked || p->report;
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

/* The worker, which may wait for the other side for ever, takes it for a lost connection. */
static void cut(void *arg)
{
	struct planner *p = arg;

	if (p->fd >= 0)
		shutdown(p->fd, SHUT_RDWR);
}

void planner_hurry(struct planner *p, unsigned int ms)
{
	if (p && !p->report)
		timer_set(&p->hurry, ms, cut, p);
}

/* --- what is noted of regions ------------------------------------------------------ */

static const char *const notes[] = { "plan", "kept" };

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
