// SPDX-License-Identifier: GPL-2.0
/*
 * worker.c - children of the agent
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conn.h"
#include "loop.h"
#include "worker.h"

#define WORKER_NICE	5		/* behind the VMs, if there is not enough for all */

struct worker {
	const struct worker_ops *ops;
	void *arg;
	pid_t pid;
	int pidfd, fd;
	struct watch *watch;
	struct conn *conn;
};

/* --- in the child ------------------------------------------------------------ */

/* all but our notes, @a and @b, which may be -1; a range that is empty is no harm */
static void close_others(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a;

	if (low > STDERR_FILENO)
		close_range(STDERR_FILENO + 1, low - 1, 0);
	else
		low = STDERR_FILENO;
	close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);
}

static void run_child(const struct worker_ops *ops, void *job, pid_t parent, int ctl, int fd)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* it may have died before that */
	if (getppid() != parent)
		_exit(0);
	close_others(ctl, fd);
	/* what ends the agent ends us */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, ops->name);
	setpriority(PRIO_PROCESS, 0, WORKER_NICE);
	_exit(ops->main(ctl, job));
}

int worker_heard(int ctl, bool wait)
{
	char what;
	ssize_t n;

	do {
		n = recv(ctl, &what, 1, wait ? 0 : MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		return (unsigned char)what;
	return n < 0 && errno == EAGAIN ? 0 : -1;
}

void worker_say(int ctl, json_t *msg)
{
	char *text = json_dumps(msg, JSON_COMPACT);
	size_t len = strlen(text), done = 0;
	ssize_t n;

	text[len++] = '\n';
	while (done < len) {
		n = send(ctl, text + done, len - done, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			break;
		done += n > 0 ? n : 0;
	}
	free(text);
	json_decref(msg);
}

/* --- in the agent -------------------------------------------------------------- */

static void worker_free(struct worker *w)
{
	watch_del(w->watch);
	conn_close(w->conn);
	if (w->pidfd >= 0)
		close(w->pidfd);
	loop_free(w);
}

static void said(struct conn *c, json_t *msg, void *arg)
{
	struct worker *w = arg;

	(void)c;
	if (w->ops && w->ops->line)
		w->ops->line(w, msg, w->arg);
}

static void silent(struct conn *c, const char *why, void *arg)
{
	struct worker *w = arg;

	(void)c;
	(void)why;
	w->conn = NULL;
	w->fd = -1;
}

static const struct conn_ops conn_ops = { .line = said, .closed = silent };

static void has_ended(uint32_t events, void *arg)
{
	struct worker *w = arg;
	int status = 0;

	(void)events;
	waitpid(w->pid, &status, 0);
	if (w->ops)
		w->ops->ended(w, status, w->arg);
	worker_free(w);
}

struct worker *worker_start(const struct worker_ops *ops, void *job, int fd, void *arg)
{
	pid_t parent = getpid();
	struct worker *w;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return NULL;
	fcntl(sv[0], F_SETFL, O_NONBLOCK);	/* ours alone */
	w = xcalloc(1, sizeof(*w));
	w->ops = ops;
	w->arg = arg;
	w->pid = fork();
	if (!w->pid)
		run_child(ops, job, parent, sv[1], fd);
	close(sv[1]);
	w->pidfd = w->pid < 0 ? -1 : pidfd_open(w->pid, 0);
	if (w->pidfd < 0) {
		int err = errno;

		close(sv[0]);
		if (w->pid > 0) {
			kill(w->pid, SIGKILL);
			waitpid(w->pid, NULL, 0);
		}
		loop_free(w);
		errno = err;
		return NULL;
	}
	w->fd = sv[0];
	w->conn = conn_new(sv[0], CONN_LINE_MAX, &conn_ops, w);
	w->watch = watch_add(w->pidfd, EPOLLIN, has_ended, w);
	return w;
}

void worker_tell(struct worker *w, char what)
{
	/* one that does not listen any more is about to be heard of */
	if (w->fd >= 0 && send(w->fd, &what, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
		return;
}

void worker_stop(struct worker *w)
{
	kill(w->pid, SIGKILL);
}

void worker_kill(struct worker *w)
{
	if (!w)
		return;
	/* it may be long in coming down (D state): has_ended() waits, nobody else does */
	kill(w->pid, SIGKILL);
	w->ops = NULL;
}
