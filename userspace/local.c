// SPDX-License-Identifier: GPL-2.0
/*
 * local.c - commands of this host over the agent's unix socket
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd.h"
#include "import.h"
#include "local.h"
#include "move.h"
#include "unix.h"

static int listen_fd = -1;
static struct watch *listening;

bool watchers_add(struct watchers *w, struct conn *c)
{
	unsigned int i;

	for (i = 0; i < w->n; i++)
		if (w->c[i] == c)
			return true;
	if (w->n == WATCHERS_MAX)
		return false;
	w->c[w->n++] = c;
	return true;
}

void watchers_del(struct watchers *w, struct conn *c)
{
	unsigned int i;

	for (i = 0; i < w->n; i++)
		if (w->c[i] == c) {
			w->c[i] = w->c[--w->n];
			return;
		}
}

void watchers_tell(struct watchers *w, json_t *msg)
{
	unsigned int i;

	for (i = 0; i < w->n; i++)
		conn_send(w->c[i], json_incref(msg));
	json_decref(msg);
}

/* who may be a watcher ends only here: a connection may have asked more than once */
static void finish(struct conn *c)
{
	move_src_unwatch(c);
	import_unwatch(c);
	conn_finish(c);
}

void watchers_end(struct watchers *w, json_t *msg)
{
	watchers_tell(w, msg);
	while (w->n)
		finish(w->c[--w->n]);
}

static void refuse(struct conn *c, const char *why)
{
	conn_send(c, json_pack("{s:s}", "error", why));
	finish(c);
}

static const char *do_move(struct conn *c, json_t *msg)
{
	struct move_request req = { .bulk = TP_BULK_LANES };
	const char *mode = NULL;
	/* as wide as JSON has them: one that is cut would be another one */
	json_int_t bulk, after = 0, warm = MOVE_WARM_MS, sample = MOVE_SAMPLE_MS;

	if (json_unpack(msg, "{s:s, s?s, s?s, s?s, s:I, s?s, s?I, s?I, s?I}", "vm", &req.vm,
			"qmp", &req.qmp, "vm_dir", &req.vm_dir, "as", &req.as, "bulk", &bulk,
			"mode", &mode, "switch_after", &after, "warm", &warm, "sample", &sample) ||
	    (mode && !move_mode_parse(mode, &req.mode)) || after < 0 || after > MOVE_AFTER_MAX ||
	    warm < 0 || warm > MOVE_WARM_MAX || sample < 0 || sample > MOVE_SAMPLE_MAX ||
	    !target_from_json(&req.target, json_object_get(msg, "target")))
		return "bad request";
	if (bulk < 1 || bulk > TELEPAGE_LANE_MAX)
		return "bad number of bulk lanes";
	req.bulk = bulk;
	/* who limits the pushing before the VM moves wants it pushed before */
	if (after && !mode)
		req.mode = MOVE_HYBRID;
	req.mode_said = mode || after;
	req.switch_after = after;
	req.warm_ms = warm;
	req.sample = sample;
	return move_src_begin(&req, c);
}

static const char *do_import(struct conn *c, json_t *msg)
{
	struct import_request req = { .push = true };
	json_int_t bulk;
	int push, uffd = 0;

	if (json_unpack(msg, "{s:s, s:s, s:I, s:b, s?s, s?b}", "region", &req.region,
			"export", &req.export, "bulk", &bulk, "push", &push,
			"group", &req.group, "uffd", &uffd) ||
	    !target_from_json(&req.target, json_object_get(msg, "target")))
		return "bad request";
	if (bulk < 1 || bulk > TELEPAGE_LANE_MAX)
		return "bad number of bulk lanes";
	req.bulk = bulk;
	req.push = push;
	req.uffd = uffd;
	return import_begin(&req, c);
}

static void do_status(struct conn *c)
{
	json_t *list = move_src_list(), *more = move_dst_list();

	json_array_extend(list, more);
	json_decref(more);
	conn_send(c, json_pack("{s:{s:o, s:o}}", "done", "moves", list,
			       "imports", import_list()));
	finish(c);
}

/* how much memory images may take, and where: for telepage images */
static void do_images(struct conn *c)
{
	char *dir = realpath(agent.images, NULL);
	/* one that is not there yet by what it is to be called */
	json_t *path = json_string(dir ? dir : agent.images);

	/* one that is no UTF-8 is nobody's */
	conn_send(c, json_pack("{s:{s:o, s:I}}", "done", "dir", path ? path : json_null(),
			       "budget", (json_int_t)agent.keep_images));
	free(dir);
	finish(c);
}

static void local_line(struct conn *c, json_t *msg, void *arg)
{
	const char *cmd = json_string_value(json_object_get(msg, "cmd"));
	const char *vm = json_string_value(json_object_get(msg, "vm"));
	const char *why = "unknown command";

	(void)arg;
	if (!cmd) {
		why = "bad request";
	} else if (!strcmp(cmd, "move")) {
		why = do_move(c, msg);
	} else if (!strcmp(cmd, "abort") && vm) {
		why = move_src_abort(vm, c);
	} else if (!strcmp(cmd, "forget") && vm) {
		why = move_src_forget(vm, c);
	} else if (!strcmp(cmd, "watch") && vm) {
		why = move_src_watch(vm, c);
	} else if (!strcmp(cmd, "import")) {
		why = do_import(c, msg);
	} else if (!strcmp(cmd, "images")) {
		do_images(c);
		why = NULL;
	} else if (!strcmp(cmd, "status")) {
		do_status(c);
		why = NULL;
	}
	if (why)
		refuse(c, why);
}

static void local_closed(struct conn *c, const char *why, void *arg)
{
	(void)why;
	(void)arg;
	move_src_unwatch(c);
	import_unwatch(c);
}

static const struct conn_ops ops = {
	.line = local_line,
	.closed = local_closed,
};

static void listen_event(uint32_t events, void *arg)
{
	int fd = watch_accept(listening, NULL, NULL);

	(void)events;
	(void)arg;
	if (fd >= 0)
		conn_new(fd, CONN_LINE_MAX, &ops, NULL);
}

static int unix_socket(const char *path, struct sockaddr_un *sa)
{
	int fd;

	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(sa->sun_path))
		return -ENAMETOOLONG;
	copy_str(sa->sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

int local_listen(const char *path)
{
	struct sockaddr_un sa;
	struct stat st;
	mode_t mask;
	int err;

	err = unix_connect(path, SOCK_NONBLOCK);
	if (err >= 0)
		close(err);
	/* EAGAIN: its queue is full, somebody has it */
	if (err >= 0 || err == -EAGAIN)
		return -EADDRINUSE;
	/* what a dead agent left, never somebody's file */
	if (!lstat(path, &st) && !S_ISSOCK(st.st_mode))
		return -EEXIST;
	unlink(path);
	listen_fd = unix_socket(path, &sa);
	if (listen_fd < 0)
		return listen_fd;
	mask = umask(0177);
	err = bind(listen_fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(listen_fd, 16) ?
	      -errno : 0;
	umask(mask);
	if (err) {
		close(listen_fd);
		return err;
	}
	listening = watch_add(listen_fd, EPOLLIN, listen_event, NULL);
	return 0;
}

/* the commands' side */

/* what the agent could not say itself */
static int own_words(int (*fn)(json_t *msg, void *arg), void *arg, bool lost, const char *fmt, ...)
{
	char line[512];
	json_t *msg;
	va_list ap;
	int ret;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	msg = json_pack("{s:s, s:b}", "error", plain(line), "lost", lost);
	ret = fn(msg, arg);
	json_decref(msg);
	return ret < 0 ? TP_FAILED : ret;
}

int agent_ask(const char *path, json_t *request, unsigned int seconds,
	      int (*fn)(json_t *msg, void *arg), void *arg)
{
	const struct timeval wait = { .tv_sec = seconds };
	char *text = json_dumps(request, JSON_COMPACT), *line = NULL;
	size_t room = 0;
	int fd = unix_connect(path, 0), ret = -1;
	FILE *f = NULL;

	json_decref(request);
	if (fd < 0) {
		free(text);
		return own_words(fn, arg, false, "%s: %s (is the agent running? see telepage-agent(8))",
				 path, strerror(-fd));
	}
	/* 0: for ever */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	f = fdopen(fd, "r+e");
	if (!f || !text) {
		free(text);
		return own_words(fn, arg, false, "out of memory");
	}
	fprintf(f, "%s\n", text);
	fflush(f);
	free(text);
	while (ret < 0 && getline(&line, &room, f) > 0) {
		json_t *msg = json_loads(line, 0, NULL);

		if (msg)
			ret = fn(msg, arg);
		json_decref(msg);
	}
	if (ret < 0)
		ret = own_words(fn, arg, true, "the agent went away");
	free(line);
	fclose(f);
	return ret;
}

int agent_talk(const char *path, json_t *request, int (*fn)(json_t *msg, void *arg), void *arg)
{
	return agent_ask(path, request, 0, fn, arg);
}
