// SPDX-License-Identifier: GPL-2.0
/*
 * The lab's hand inside an emulated host. One static binary, five uses:
 *
 *   agent run OUT ERR CMD...    run CMD, carry its stdout and stderr to files
 *   agent serve PORT            run commands for the other host
 *   agent call ADDR PORT SECONDS CMD...
 *                               run CMD on the other host, as if it were here;
 *                               SECONDS is how long to wait for it to listen
 *   agent sweep                 end all processes but init; name those that
 *                               SIGKILL does not end, and fail
 *   agent tsc                   print how fast the time stamp counter runs, in kHz;
 *                               this one is for the machine, see lib/accel.sh
 *
 * The exit status is the command's, 128 + N after signal N, 255 when the other
 * host cannot be reached or is lost. A command is over when its process has
 * exited, as with system(3): what a process left behind writes later is not
 * waited for. When the caller goes away the command's session is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define CHUNK 32768
#define LOST 255

/* Frames: a type, a length in network order, the content. */
enum frame_type {
	FRAME_ARGV = 'A',	/* strings, each with its NUL */
	FRAME_STDIN = 'I',	/* of length 0: end of file */
	FRAME_STDOUT = 'O',
	FRAME_STDERR = 'E',
	FRAME_EXIT = 'X',	/* one u32 in network order */
};

struct frame {
	uint8_t type;
	uint32_t len;
} __attribute__((packed));

/* What carries a command's output away. */
struct sink {
	int out;
	int err;
	int sock;	/* or -1; then out and err are used */
};

static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(LOST);
}

static int write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= n;
	}
	return 0;
}

static int read_all(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= n;
	}
	return 0;
}

static int send_frame(int fd, enum frame_type type, const void *buf, size_t len)
{
	struct frame head = { .type = type, .len = htonl(len) };

	if (write_all(fd, &head, sizeof(head)))
		return -1;
	return write_all(fd, buf, len);
}

/* Returns a buffer to free, with a NUL behind the content; NULL when lost. */
static char *recv_frame(int fd, struct frame *head)
{
	char *buf;

	if (read_all(fd, head, sizeof(*head)))
		return NULL;
	head->len = ntohl(head->len);
	if (head->len > (1 << 20))
		return NULL;
	buf = malloc(head->len + 1);
	if (!buf)
		return NULL;
	if (read_all(fd, buf, head->len)) {
		free(buf);
		return NULL;
	}
	buf[head->len] = 0;
	return buf;
}

static int sink_write(struct sink *s, enum frame_type type, const void *buf,
		      size_t len)
{
	if (s->sock >= 0)
		return send_frame(s->sock, type, buf, len);
	return write_all(type == FRAME_STDOUT ? s->out : s->err, buf, len);
}

/* Moves what is there now, and no more: who writes for ever must not hold us.
 * Returns 0 at the end of the file, -1 if the sink is lost, 1 otherwise.
 */
static int drain(int fd, struct sink *s, enum frame_type type)
{
	char buf[CHUNK];
	int left;

	if (ioctl(fd, FIONREAD, &left))
		return 0;
	for (;;) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 1 : 0;
		if (n == 0)
			return 0;
		if (sink_write(s, type, buf, n))
			return -1;
		left -= n;
		if (left <= 0)
			return 1;
	}
}

struct command {
	pid_t pid;
	int pidfd;
	int in;		/* -1: closed or never there */
	int out;
	int err;
	char *pending;	/* a frame for stdin that did not fit yet */
	size_t pending_at;
	size_t pending_len;
};

static void nonblock(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void command_start(struct command *c, char **argv, int with_stdin)
{
	int in[2] = { -1, -1 }, out[2], err[2];

	memset(c, 0, sizeof(*c));
	if ((with_stdin && pipe2(in, O_CLOEXEC)) || pipe2(out, O_CLOEXEC) ||
	    pipe2(err, O_CLOEXEC))
		die("agent: pipe: %m");
	c->pid = fork();
	if (c->pid < 0)
		die("agent: fork: %m");
	if (!c->pid) {
		/* Its own session, so that it can be killed as a whole. */
		setsid();
		signal(SIGPIPE, SIG_DFL);
		signal(SIGCHLD, SIG_DFL);
		if (!with_stdin)
			in[0] = open("/dev/null", O_RDONLY);
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		execvp(argv[0], argv);
		fprintf(stderr, "%s: %m\n", argv[0]);
		_exit(errno == ENOENT ? 127 : 126);
	}
	if (with_stdin) {
		close(in[0]);
		nonblock(in[1]);
	}
	close(out[1]);
	close(err[1]);
	nonblock(out[0]);
	nonblock(err[0]);
	c->in = in[1];
	c->out = out[0];
	c->err = err[0];
	c->pidfd = pidfd_open(c->pid, 0);
	if (c->pidfd < 0)
		die("agent: pidfd_open: %m");
}

static void command_close_stdin(struct command *c)
{
	if (c->in >= 0)
		close(c->in);
	c->in = -1;
	free(c->pending);
	c->pending = NULL;
}

static void command_feed(struct command *c)
{
	ssize_t n = write(c->in, c->pending + c->pending_at, c->pending_len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		/* It does not want more; the rest is dropped. */
		command_close_stdin(c);
		return;
	}
	c->pending_at += n;
	c->pending_len -= n;
	if (!c->pending_len) {
		free(c->pending);
		c->pending = NULL;
	}
}

/* Returns 0, or -1 when the caller is lost. */
static int command_input(struct command *c, int sock)
{
	struct frame head;
	char *buf = recv_frame(sock, &head);

	if (!buf || head.type != FRAME_STDIN)
		return -1;
	if (c->in < 0) {
		free(buf);
	} else if (!head.len) {
		free(buf);
		command_close_stdin(c);
	} else {
		c->pending = buf;
		c->pending_at = 0;
		c->pending_len = head.len;
	}
	return 0;
}

static void command_kill(struct command *c)
{
	struct pollfd p = { .fd = c->pidfd, .events = POLLIN };

	kill(-c->pid, SIGTERM);
	if (poll(&p, 1, 2000) == 0)
		kill(-c->pid, SIGKILL);
}

/* Runs until the command has exited. Returns its status, -1 if lost. */
static int command_relay(struct command *c, struct sink *s)
{
	int status;

	for (;;) {
		struct pollfd p[] = {
			{ .fd = c->pidfd, .events = POLLIN },
			{ .fd = c->out, .events = POLLIN },
			{ .fd = c->err, .events = POLLIN },
			/* Not read while a frame is pending: that is the
			 * back pressure; a hangup is still seen.
			 */
			{ .fd = s->sock, .events = c->pending ? POLLRDHUP : POLLIN },
			{ .fd = c->pending ? c->in : -1, .events = POLLOUT },
		};
		int got;

		if (poll(p, 5, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (p[1].revents) {
			got = drain(c->out, s, FRAME_STDOUT);
			if (got < 0)
				return -1;
			if (!got)
				c->out = -1;
		}
		if (p[2].revents) {
			got = drain(c->err, s, FRAME_STDERR);
			if (got < 0)
				return -1;
			if (!got)
				c->err = -1;
		}
		if (p[4].revents)
			command_feed(c);
		if (p[0].revents)
			break;
		if (p[3].revents && (c->pending || command_input(c, s->sock)))
			return -1;
	}
	/* All it wrote is in the pipes by now. */
	if ((c->out >= 0 && drain(c->out, s, FRAME_STDOUT) < 0) ||
	    (c->err >= 0 && drain(c->err, s, FRAME_STDERR) < 0))
		return -1;
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(char **argv)
{
	struct sink s = { .sock = -1 };
	struct command c;

	s.out = open(argv[0], O_WRONLY | O_APPEND | O_CLOEXEC);
	s.err = open(argv[1], O_WRONLY | O_APPEND | O_CLOEXEC);
	if (s.out < 0 || s.err < 0)
		die("agent: cannot open %s or %s: %m", argv[0], argv[1]);
	command_start(&c, argv + 2, 0);
	return command_relay(&c, &s);
}

static void keepalive(int sock)
{
	int one = 1;

	setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Closing a socket that holds something unread takes back what was sent and has not
 * arrived: the end of what the command said. So the caller closes first.
 */
static void hang_up(int sock)
{
	struct timeval patience = { .tv_sec = 30 };
	char buf[CHUNK];

	shutdown(sock, SHUT_WR);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while (read(sock, buf, sizeof(buf)) > 0)
		;
}

static void serve_one(int sock)
{
	struct sink s = { .sock = sock };
	struct command c;
	struct frame head;
	char *args, *p, **argv;
	uint32_t status;
	int n = 0;

	args = recv_frame(sock, &head);
	if (!args || head.type != FRAME_ARGV || !head.len)
		return;
	for (p = args; p < args + head.len; p += strlen(p) + 1)
		n++;
	argv = calloc(n + 1, sizeof(*argv));
	if (!argv)
		return;
	for (n = 0, p = args; p < args + head.len; p += strlen(p) + 1)
		argv[n++] = p;
	command_start(&c, argv, 1);
	n = command_relay(&c, &s);
	if (n < 0) {
		command_kill(&c);
		return;
	}
	status = htonl(n);
	if (!send_frame(sock, FRAME_EXIT, &status, sizeof(status)))
		hang_up(sock);
}

static int serve(const char *port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_port = htons(atoi(port)),
	};
	int one = 1, sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(sock, (void *)&a, sizeof(a)) || listen(sock, 128))
		die("agent: cannot listen on port %s: %m", port);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept4(sock, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		keepalive(fd);
		if (!fork()) {
			close(sock);
			signal(SIGCHLD, SIG_DFL);
			serve_one(fd);
			_exit(0);
		}
		close(fd);
	}
}

static int dial(const char *addr, const char *port, int seconds)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_port = htons(atoi(port)),
	};
	int tries;

	if (inet_pton(AF_INET, addr, &a.sin_addr) != 1)
		die("agent: bad address %s", addr);
	for (tries = seconds * 10; ; tries--) {
		int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (!connect(sock, (void *)&a, sizeof(a)))
			return sock;
		if (tries <= 0)
			die("peer: %s: %m", addr);
		close(sock);
		usleep(100000);
	}
}

static int call(char **argv)
{
	int sock = dial(argv[0], argv[1], atoi(argv[2]));
	char args[CHUNK], out[sizeof(struct frame) + CHUNK];
	size_t len = 0, out_at = 0, out_len = 0;
	struct frame head;
	int in = 0;

	for (argv += 3; *argv; argv++) {
		size_t n = strlen(*argv) + 1;

		if (len + n > sizeof(args))
			die("peer: the command is too long");
		memcpy(args + len, *argv, n);
		len += n;
	}
	keepalive(sock);
	if (send_frame(sock, FRAME_ARGV, args, len))
		die("peer: lost");
	/* Writes to the socket must not block here: the other side may be
	 * blocked writing to us.
	 */
	for (;;) {
		struct pollfd p[] = {
			{ .fd = sock, .events = POLLIN | (out_len ? POLLOUT : 0) },
			{ .fd = out_len ? -1 : in, .events = POLLIN },
		};
		ssize_t n;

		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			die("peer: poll: %m");
		}
		if (p[0].revents & (POLLIN | POLLHUP | POLLERR)) {
			char *buf = recv_frame(sock, &head);
			uint32_t status;

			if (!buf)
				die("peer: the other host was lost");
			switch (head.type) {
			case FRAME_STDOUT:
			case FRAME_STDERR:
				if (write_all(head.type == FRAME_STDOUT ? 1 : 2,
					      buf, head.len))
					return 128 + SIGPIPE;
				break;
			case FRAME_EXIT:
				memcpy(&status, buf, sizeof(status));
				return ntohl(status);
			}
			free(buf);
		}
		if (out_len && p[0].revents & POLLOUT) {
			n = send(sock, out + out_at, out_len,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n > 0) {
				out_at += n;
				out_len -= n;
			}
		}
		if (p[1].revents) {
			struct frame f = { .type = FRAME_STDIN };

			n = read(in, out + sizeof(f), CHUNK);
			if (n < 0 && (errno == EINTR || errno == EAGAIN))
				continue;
			if (n <= 0) {
				n = 0;
				in = -1;
			}
			f.len = htonl(n);
			memcpy(out, &f, sizeof(f));
			out_at = 0;
			out_len = sizeof(f) + n;
		}
	}
}

/* A process that can run or wait: no kernel thread, no zombie. */
static int alive(const char *pid)
{
	char path[64], line[512], *p, state;
	unsigned int flags;
	FILE *f;
	int ok;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	p = fgets(line, sizeof(line), f);
	fclose(f);
	/* The name may hold anything; it ends at the last parenthesis. */
	p = p ? strrchr(line, ')') : NULL;
	if (!p)
		return 0;
	ok = sscanf(p, ") %c %*d %*d %*d %*d %*d %u", &state, &flags) == 2;
	return ok && state != 'Z' && state != 'X' && !(flags & 0x00200000);
}

static void name_stuck(const char *pid)
{
	static const char *const files[] = { "comm", "stack" };
	char path[64], buf[4096];
	unsigned int i;

	printf("lab: process %s cannot be killed:\n", pid);
	for (i = 0; i < 2; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/%s", pid, files[i]);
		f = fopen(path, "r");
		while (f && fgets(buf, sizeof(buf), f))
			printf("lab: %s", buf);
		if (f)
			fclose(f);
	}
}

/* How many processes are left besides init and us. */
static int count_alive(int name_them)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	int n = 0;

	while (dir && (d = readdir(dir))) {
		int pid = atoi(d->d_name);

		if (pid > 1 && pid != getpid() && alive(d->d_name)) {
			n++;
			if (name_them)
				name_stuck(d->d_name);
		}
	}
	if (dir)
		closedir(dir);
	return n;
}

static int sweep(void)
{
	int tick;

	/* The kernel log takes a line for each write. */
	setlinebuf(stdout);
	kill(-1, SIGTERM);
	for (tick = 0; tick < 600; tick++) {
		if (!count_alive(0))
			return 0;
		if (tick >= 50)
			kill(-1, SIGKILL);
		usleep(20000);
	}
	return count_alive(1) != 0;
}

/* The counter and the clock at one moment. */
struct moment {
	double ticks;
	double ns;
};

static double clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Of several readings the one that was disturbed least: we may lose the CPU between the two. */
static struct moment moment_now(void)
{
	struct moment best = { 0, 0 };
	double least = 0;
	int n;

	for (n = 0; n < 16; n++) {
		double before = clock_ns(), ticks = __rdtsc(), took = clock_ns() - before;

		if (!n || took < least) {
			least = took;
			best.ticks = ticks;
			best.ns = before + took / 2;
		}
	}
	return best;
}

static double khz(struct moment from, struct moment to)
{
	return (to.ticks - from.ticks) / (to.ns - from.ns) * 1e6;
}

/* Two halves have to agree, or the counter does not run evenly and says nothing of time. */
static int tsc(void)
{
	struct moment at[3];
	double ratio;
	int i;

	for (i = 0; i < 3; i++) {
		if (i)
			usleep(50000);
		at[i] = moment_now();
	}
	ratio = khz(at[0], at[1]) / khz(at[1], at[2]);
	if (!(ratio > 0.999 && ratio < 1.001))
		return 1;
	printf("%.0f\n", khz(at[0], at[2]));
	return 0;
}

int main(int argc, char **argv)
{
	/* A lost reader is seen by the write that fails. */
	signal(SIGPIPE, SIG_IGN);
	if (argc > 4 && !strcmp(argv[1], "run"))
		return run(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(argv[2]);
	if (argc > 5 && !strcmp(argv[1], "call"))
		return call(argv + 2);
	if (argc == 2 && !strcmp(argv[1], "sweep"))
		return sweep();
	if (argc == 2 && !strcmp(argv[1], "tsc"))
		return tsc();
	die("usage: agent run|serve|call|sweep|tsc ...");
}
