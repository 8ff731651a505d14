// SPDX-License-Identifier: GPL-2.0
/*
 * hook.c - running the operator's script
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hook.h"

#define MOVE_ENV	"TELEPAGE_MOVE"
#define VM_ENV		"TELEPAGE_VM"
#define ENVIRON_MAX	(256 << 10)

struct hook {
	char verb[16];
	pid_t pid;
	int pidfd, pipe;
	struct watch *wpid, *wpipe;
	struct timer timer;
	bool timed_out;
	char line[256], last[256];	/* of stderr: the one being read, the last whole one */
	size_t len;
	hook_fn fn;
	void *arg;
	char early[256];		/* it could not even be started */
};

static void hook_free(struct hook *h)
{
	timer_clear(&h->timer);
	watch_del(h->wpid);
	watch_del(h->wpipe);
	if (h->pidfd >= 0)
		close(h->pidfd);
	if (h->pipe >= 0)
		close(h->pipe);
	loop_free(h);
}

void hook_cancel(struct hook *h)
{
	if (!h)
		return;
	if (h->pid <= 0) {
		hook_free(h);
		return;
	}
	/* it may be long in coming down (D state): pid_event() waits, nobody else does */
	kill(-h->pid, SIGKILL);
	timer_clear(&h->timer);
	watch_del(h->wpipe);
	h->wpipe = NULL;
	h->fn = NULL;
}

static void end_line(struct hook *h)
{
	h->line[h->len] = 0;
	if (h->len) {
		memcpy(h->last, h->line, h->len + 1);
		note("hook %s: %s", h->verb, h->line);
	}
	h->len = 0;
}

/* what the script says goes to our log, and its last line to whoever asked */
static void read_pipe(struct hook *h)
{
	char buf[512];
	ssize_t n, i;

	while ((n = read(h->pipe, buf, sizeof(buf))) > 0)
		for (i = 0; i < n; i++) {
			if (buf[i] == '\n')
				end_line(h);
			else if (h->len < sizeof(h->line) - 1)
				h->line[h->len++] = buf[i];
		}
	if (!n) {
		watch_del(h->wpipe);
		h->wpipe = NULL;
	}
}

static void pipe_event(uint32_t events, void *arg)
{
	(void)events;
	read_pipe(arg);
}

static void pid_event(uint32_t events, void *arg)
{
	struct hook *h = arg;
	char words[512];
	int status = 0;

	(void)events;
	waitpid(h->pid, &status, 0);
	h->pid = 0;
	if (!h->fn) {
		hook_free(h);
		return;
	}
	/* not until end of file: a daemon it started may keep the pipe open */
	read_pipe(h);
	end_line(h);
	if (WIFEXITED(status) && !WEXITSTATUS(status)) {
		h->fn(NULL, h->arg);
	} else {
		if (h->timed_out)
			snprintf(words, sizeof(words), "hook %s took too long and was killed",
				 h->verb);
		else if (h->last[0])
			snprintf(words, sizeof(words), "hook %s: %s", h->verb, h->last);
		else
			snprintf(words, sizeof(words), "hook %s: exit status %d", h->verb,
				 WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
		h->fn(words, h->arg);
	}
	hook_free(h);
}

static void hook_timeout(void *arg)
{
	struct hook *h = arg;

	h->timed_out = true;
	kill(-h->pid, SIGKILL);
}

static void early_end(void *arg)
{
	struct hook *h = arg;

	h->fn(h->early, h->arg);
	hook_free(h);
}

static void put_env(const struct hook_env *e)
{
	/* what move_probe.c tells; the keys are the peer's, so no others */
	static const struct { const char *key, *name; } machine[] = {
		{ "name", "TELEPAGE_SOURCE_NAME" },
		{ "uuid", "TELEPAGE_SOURCE_UUID" },
		{ "version", "TELEPAGE_SOURCE_VERSION" },
		{ "machine", "TELEPAGE_SOURCE_MACHINE" },
	};
	char key[40], value[512];
	const char *v;
	unsigned int i;

	/* not theirs to say that the agent is ready */
	unsetenv("NOTIFY_SOCKET");
	setenv(MOVE_ENV, e->move, 1);
	setenv(VM_ENV, e->vm, 1);
	setenv("TELEPAGE_VM_DIR", e->vm_dir, 1);
	setenv("TELEPAGE_QMP", e->qmp, 1);
	setenv("TELEPAGE_INCOMING", "defer", 1);
	if (e->args_file)
		setenv("TELEPAGE_ARGS_FILE", e->args_file, 1);
	for (i = 0; i < sizeof(machine) / sizeof(machine[0]); i++) {
		v = json_string_value(json_object_get(e->machine, machine[i].key));
		if (v)
			setenv(machine[i].name, v, 1);
	}
	snprintf(value, sizeof(value), "%u", e->nr);
	setenv("TELEPAGE_REGIONS", value, 1);
	for (i = 0; i < e->nr; i++) {
		snprintf(key, sizeof(key), "TELEPAGE_REGION_%u", i);
		setenv(key, e->region[i].name, 1);
		snprintf(key, sizeof(key), "TELEPAGE_REGION_PATH_%u", i);
		snprintf(value, sizeof(value), "%s/%s", agent.dir, e->region[i].name);
		setenv(key, value, 1);
		snprintf(key, sizeof(key), "TELEPAGE_REGION_SIZE_%u", i);
		snprintf(value, sizeof(value), "%llu", (unsigned long long)e->region[i].size);
		setenv(key, value, 1);
	}
}

static void run_child(const char *verb, const struct hook_env *env, int out)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	put_env(env);
	execl(agent.hook, agent.hook, verb, env->vm, (char *)NULL);
	dprintf(2, "%s: %s\n", agent.hook, strerror(errno));
	_exit(127);
}

struct hook *hook_run(const char *verb, const struct hook_env *env, unsigned int timeout_ms,
		      hook_fn fn, void *arg)
{
	struct hook *h = xcalloc(1, sizeof(*h));
	int fds[2];

	snprintf(h->verb, sizeof(h->verb), "%s", verb);
	h->fn = fn;
	h->arg = arg;
	h->pidfd = -1;
	h->pipe = -1;
	if (pipe2(fds, O_CLOEXEC)) {
		snprintf(h->early, sizeof(h->early), "hook: %s", strerror(errno));
		timer_set(&h->timer, 0, early_end, h);
		return h;
	}
	h->pid = fork();
	if (!h->pid)
		run_child(verb, env, fds[1]);
	close(fds[1]);
	h->pipe = fds[0];
	if (h->pid > 0) {
		setpgid(h->pid, h->pid);
		h->pidfd = pidfd_open(h->pid, 0);
	}
	if (h->pidfd < 0) {
		snprintf(h->early, sizeof(h->early), "hook: %s", strerror(errno));
		if (h->pid > 0) {
			kill(-h->pid, SIGKILL);
			waitpid(h->pid, NULL, 0);
		}
		h->pid = 0;
		timer_set(&h->timer, 0, early_end, h);
		return h;
	}
	fcntl(h->pipe, F_SETFL, O_NONBLOCK);
	h->wpipe = watch_add(h->pipe, EPOLLIN, pipe_event, h);
	h->wpid = watch_add(h->pidfd, EPOLLIN, pid_event, h);
	timer_set(&h->timer, timeout_ms, hook_timeout, h);
	return h;
}

/* with the NULs around it; the environment's first variable has none before */
static bool has_var(const char *env, size_t len, const char *name, const char *value)
{
	char want[128];
	int n = snprintf(want, sizeof(want), "%c%s=%s", 0, name, value);

	return n > 0 && (size_t)n < sizeof(want) && memmem(env, len, want, n + 1);
}

void hook_kill(const char *move, const char *vm)
{
	char path[300], *buf = xcalloc(1, ENVIRON_MAX);
	DIR *proc = opendir("/proc");
	struct dirent *de;

	while (proc && (de = readdir(proc))) {
		pid_t pid = atoi(de->d_name);
		ssize_t n;
		int fd;

		if (pid <= 1 || pid == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%d/environ", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		buf[0] = 0;
		n = read(fd, buf + 1, ENVIRON_MAX - 1);
		close(fd);
		if (n > 0 && has_var(buf, n + 1, MOVE_ENV, move) &&
		    has_var(buf, n + 1, VM_ENV, vm)) {
			note("move %.8s of %s: killing process %d", move, vm, pid);
			kill(pid, SIGKILL);
		}
	}
	if (proc)
		closedir(proc);
	free(buf);
}
