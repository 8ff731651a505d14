// SPDX-License-Identifier: GPL-2.0
/*
 * indexer.c - indexes for the images of a store, in the background
 *
 * A worker does it: reading a disk that does not answer, or a store on one, holds up nobody else
 * then. It gets CPU and disk only when nobody else wants them.
 */
#include <errno.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "images.h"
#include "indexer.h"
#include "loop.h"
#include "worker.h"

#define LOOK_S		60		/* between two looks, and before another child */
#define QUIET_S		30		/* a file that was written to since is left alone */
#define AGAIN_MAX_S	3600		/* between two tries with one that cannot be indexed */

static struct {
	const char *dir;
	uint64_t rate;
	struct worker *worker;
	struct timer again;
} ix;

/* --- in the child ------------------------------------------------------------ */

/*
 * One that could not be indexed, as it was then: it is told once. It is tried again, for what was
 * in the way may have gone; the later the longer it lasts, as each time may read all of it.
 */
struct failed {
	char *path;
	time_t when;
	uint64_t size;
	uint64_t again_ms;		/* not before */
	unsigned int pause_s;
	struct failed *next;
};

static struct failed *failed;

static struct failed *find_failed(const struct images_entry *e)
{
	struct failed *f = failed;

	while (f && strcmp(f->path, e->path) != 0)
		f = f->next;
	return f;
}

static bool is_as_it_was(const struct failed *f, const struct images_entry *e)
{
	return f && f->when == e->when && f->size == e->size;
}

static bool may_try(const struct images_entry *e)
{
	const struct failed *f = find_failed(e);

	return !is_as_it_was(f, e) || now_ms() >= f->again_ms;
}

/* true: it is to be told */
static bool remember(const struct images_entry *e)
{
	struct failed *f = find_failed(e);
	bool news = !is_as_it_was(f, e);

	if (!f) {
		f = xcalloc(1, sizeof(*f));
		f->path = xstrdup(e->path);
		f->next = failed;
		failed = f;
	}
	f->when = e->when;
	f->size = e->size;
	f->pause_s = news ? LOOK_S : 2 * f->pause_s;
	if (f->pause_s > AGAIN_MAX_S)
		f->pause_s = AGAIN_MAX_S;
	f->again_ms = now_ms() + f->pause_s * 1000;
	return news;
}

/* told once, or it would be each minute */
static void tell_missing(const struct images_entry *e)
{
	char group[GROUP_TEXT_LEN];

	if (remember(e))
		note("image %s/%s: %s: %s", group_text(group, e->group), e->name, e->path,
		     images_error(e));
}

static bool is_quiet(const struct images_entry *e)
{
	time_t now = time(NULL);

	/* a time to come says nothing */
	return e->when > now || now - e->when >= QUIET_S;
}

static void index_one(const struct images_entry *e)
{
	const struct digest_opts o = { .threads = 1, .rate = ix.rate };
	int fd = images_open(e, NULL), err;

	if (fd < 0)
		return;
	err = index_build(fd, e->index, &o, NULL, NULL);
	if (!err)
		images_indexed(ix.dir, e, fd);
	close(fd);
	/* it is written to, or somebody else does it: another look will tell */
	if (!err || err == -ESTALE || err == -EBUSY)
		return;
	if (remember(e))
		note("no index of %s: %s", e->path, strerror(-err));
}

static void look(void)
{
	struct images_entry *v;
	size_t n;

	images_sweep(ix.dir);
	if (images_list(ix.dir, NULL, &v, &n))
		return;
	for (size_t i = 0; i < n; i++) {
		index_sweep(v[i].index);
		if (v[i].err)
			tell_missing(&v[i]);
		else if (!v[i].indexed && !v[i].old && v[i].size && is_quiet(&v[i]) &&
			 may_try(&v[i]))
			index_one(&v[i]);
	}
	images_free(v, n);
}

static int run(int ctl, void *job)
{
	struct sched_param param = { 0 };

	(void)job;
	close(ctl);			/* there is nothing to be heard or said */
	sched_setscheduler(0, SCHED_IDLE, &param);
	setpriority(PRIO_PROCESS, 0, 19);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
	do {
		look();
	} while (!sleep(LOOK_S));
	return 0;
}

/* --- in the agent -------------------------------------------------------------- */

static void start(void *arg);

static void ended(struct worker *w, int status, void *arg)
{
	(void)w;
	(void)arg;
	ix.worker = NULL;
	note("indexing of images ended with %s %d, and begins anew in %d s",
	     WIFEXITED(status) ? "status" : "signal",
	     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), LOOK_S);
	timer_set(&ix.again, LOOK_S * 1000, start, NULL);
}

static const struct worker_ops ops = { .name = "telepage-index", .main = run, .ended = ended };

static void start(void *arg)
{
	(void)arg;
	ix.worker = worker_start(&ops, NULL, -1, NULL);
	if (ix.worker)
		return;
	note("images are not indexed yet: %s", strerror(errno));
	timer_set(&ix.again, LOOK_S * 1000, start, NULL);
}

void indexer_start(const char *dir, uint64_t rate)
{
	ix.dir = dir;
	ix.rate = rate;
	start(NULL);
}

void indexer_stop(void)
{
	timer_clear(&ix.again);
	worker_kill(ix.worker);
	ix.worker = NULL;
}
