// SPDX-License-Identifier: GPL-2.0
/*
 * redisload.c - the first process of a guest that runs Redis and its own benchmark
 *
 * The initramfs has redis-server and redis-benchmark beside it. Redis is filled; then two
 * redis-benchmark work on it for ever, one gets values of random keys, one sets some. They
 * connect to this program, which passes their requests on, so many a second at most, as of
 * an application that has a limit; it looks whether answers are right, and counts them.
 * Parameters, on the kernel's command line:
 *
 *   gl.mem=PERCENT    of the memory for what Redis holds (40)
 *   gl.noise=PERCENT  of each value that does not compress (100)
 *   gl.rate=N         requests a second at most (0: no limit)
 *   gl.clients=N      connections that get (9), one more sets
 *   gl.beat=MS        between two heartbeats (20)
 *
 * On the console, a line each:
 *
 *   ready keys=N
 *   hb COUNT REQUESTS                answered so far
 *   bad …                            what was wrong
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guestconsole.h"

#define SERVER		"/redis.sock"
#define RELAY		"/relay.sock"
#define LOG		"/log"
#define VALUE		1000
#define KEY_BYTES	1120		/* of Redis' memory, a key with its value */
#define BATCH		64		/* keys, while filling */
#define MAX_CLIENTS	32
#define MAX_MESSAGE	65536
#define TICK_MS		20
#define WORD(x)		#x
#define TEXT(x)		WORD(x)

static struct {
	unsigned int mem, noise, rate, clients, beat_ms;
} opt = { 40, 100, 0, 9, 20 };

/* a client, and its way to the server; each has one request at a time */
static struct way {
	int client, server;
	enum { NOTHING, GET, SET, OTHER } asked;	/* and not answered yet */
	unsigned int key;
} ways[MAX_CLIENTS + 8];
static size_t nr_ways;

static uint64_t seed, answered;
static unsigned int nr_keys, credit;
static char benchmark_value[VALUE];	/* what redis-benchmark sets, always the same */
static bool have_benchmark_value;
static unsigned int nr_bad;

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ULL;
	x ^= x >> 29;
	x *= 0xd1b54a32d192ed03ULL;
	return x ^ (x >> 32);
}

/* what a key was filled with */
static void make_value(char *value, unsigned int key)
{
	uint64_t x = mix(seed ^ key);
	size_t noise = VALUE * opt.noise / 100 / sizeof(x) * sizeof(x);

	for (size_t i = 0; i < noise; i += sizeof(x)) {
		uint64_t y;

		x = x * 0x5851f42d4c957f2dULL + 0x14057b7ef767814fULL;
		y = x ^ (x >> 27);
		memcpy(value + i, &y, sizeof(y));
	}
	memset(value + noise, '.', VALUE - noise);
}

static void wrong(const char *what, const struct way *w)
{
	if (nr_bad++ < 8)
		say("bad %s: key %u, asked %d", what, w->key, w->asked);
}

/* sockets */

static int socket_at(const char *path, int (*use)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, path);
	if (s >= 0 && !use(s, (struct sockaddr *)&sa, sizeof(sa)))
		return s;
	if (s >= 0)
		close(s);
	return -1;
}

static void send_all(int s, const char *buf, size_t n)
{
	for (ssize_t ret; n; buf += ret, n -= ret) {
		ret = write(s, buf, n);
		if (ret < 0 && errno == EINTR)
			ret = 0;
		if (ret < 0)
			give_up("a socket");
	}
}

/* programs */

static void show_log(void)
{
	FILE *f = fopen(LOG, "r");
	char line[160];

	while (f && fgets(line, sizeof(line), f))
		say("%.*s", (int)strcspn(line, "\n"), line);
}

static void start(char *const argv[])
{
	int fd;

	switch (fork()) {
	case -1:
		give_up("fork");
		break;
	case 0:
		fd = open("/dev/null", O_RDONLY);
		dup2(fd, 0);
		fd = open(LOG, O_WRONLY | O_CREAT | O_APPEND, 0600);
		dup2(fd, 2);
		/* the benchmarks say several times a second how fast they are */
		if (strcmp(argv[0], "/redis-server"))
			fd = open("/dev/null", O_WRONLY);
		dup2(fd, 1);
		execv(argv[0], argv);
		perror(argv[0]);
		_exit(1);
	}
}

static void look_after_programs(void)
{
	int status;

	if (waitpid(-1, &status, WNOHANG) <= 0)
		return;
	show_log();
	errno = ECHILD;
	give_up("Redis or its benchmark");
}

static int start_redis(void)
{
	static char * const server[] = {
		"/redis-server", "--port", "0", "--unixsocket", SERVER, "--save", "",
		"--appendonly", "no", "--dir", "/", NULL
	};
	int s = -1;

	start(server);
	for (int tries = 0; s < 0; tries++) {
		if (tries == 3000)
			give_up(SERVER);
		look_after_programs();
		usleep(20000);
		s = socket_at(SERVER, connect);
	}
	return s;
}

static void start_benchmarks(void)
{
	char keys[16], clients[16];
	char *get[] = {
		"/redis-benchmark", "-s", RELAY, "-q", "-n", "2000000000", "-r", keys,
		"-c", clients, "-t", "get", NULL
	};
	char *set[] = {
		"/redis-benchmark", "-s", RELAY, "-q", "-n", "2000000000", "-r", keys,
		"-c", "1", "-d", TEXT(VALUE), "-t", "set", NULL
	};

	snprintf(keys, sizeof(keys), "%u", nr_keys);
	snprintf(clients, sizeof(clients), "%u", opt.clients);
	start(get);
	start(set);
}

/* filling, with keys as redis-benchmark names them */

static void expect_ok(int s, unsigned int answers)
{
	static const char ok[] = "+OK\r\n";
	char buf[BATCH * (sizeof(ok) - 1)];
	size_t want = answers * (sizeof(ok) - 1);

	for (size_t got = 0; got < want; ) {
		ssize_t n = read(s, buf + got, want - got);

		if (n <= 0)
			give_up(SERVER);
		got += n;
	}
	for (size_t at = 0; at < want; at += sizeof(ok) - 1)
		if (memcmp(buf + at, ok, sizeof(ok) - 1))
			give_up("Redis takes no value");
}

static void fill(int s)
{
	static char buf[BATCH * (VALUE + 64)];
	size_t len = 0;

	for (unsigned int key = 0; key < nr_keys; key++) {
		len += sprintf(buf + len, "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012u\r\n$" TEXT(VALUE)
			       "\r\n", key);
		make_value(buf + len, key);
		len += VALUE;
		len += sprintf(buf + len, "\r\n");
		if ((key + 1) % BATCH && key + 1 < nr_keys)
			continue;
		send_all(s, buf, len);
		expect_ok(s, key % BATCH + 1);
		len = 0;
	}
	close(s);
}

/* the relay */

static void new_way(int listener)
{
	struct way *w = &ways[nr_ways];

	if (nr_ways == sizeof(ways) / sizeof(ways[0]))
		give_up("more clients than there should be");
	w->client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	w->server = socket_at(SERVER, connect);
	if (w->client < 0 || w->server < 0)
		give_up("a new client");
	w->asked = NOTHING;
	nr_ways++;
}

/* What is asked. A request comes whole, for it was written by one call. */
static void note_request(struct way *w, const char *buf, size_t len)
{
	static const char get[] = "*2\r\n$3\r\nGET\r\n$16\r\nkey:";
	static const char set[] = "*3\r\n$3\r\nSET\r\n$16\r\nkey:";
	const size_t head = sizeof(get) - 1;

	w->asked = OTHER;
	if (len < head + 14)
		return;
	if (!memcmp(buf, get, head))
		w->asked = GET;
	else if (!memcmp(buf, set, head))
		w->asked = SET;
	else
		return;
	w->key = strtoul(buf + head, NULL, 10);
	if (w->asked == SET && len > VALUE + 2) {
		memcpy(benchmark_value, buf + len - VALUE - 2, VALUE);
		have_benchmark_value = true;
	}
}

static void check_answer(struct way *w, const char *buf, size_t len)
{
	static const char head[] = "$" TEXT(VALUE) "\r\n";
	char value[VALUE];

	if (w->asked == SET) {
		if (len != 5 || memcmp(buf, "+OK\r\n", 5))
			wrong("answer", w);
		return;
	}
	if (len != sizeof(head) - 1 + VALUE + 2 || memcmp(buf, head, sizeof(head) - 1)) {
		wrong("answer", w);
		return;
	}
	buf += sizeof(head) - 1;
	make_value(value, w->key);
	if (memcmp(buf, value, VALUE) &&
	    !(have_benchmark_value && !memcmp(buf, benchmark_value, VALUE)))
		wrong("value", w);
}

static char message[MAX_MESSAGE];

/* from one end to the other; how much, 0: it is closed */
static size_t pass(int from, int to)
{
	ssize_t n = read(from, message, sizeof(message));

	if (n <= 0)
		return 0;
	send_all(to, message, n);
	return n;
}

/* false: the client has gone */
static bool serve(struct way *w, const struct pollfd *client, const struct pollfd *server)
{
	size_t n;

	if (server->revents) {
		n = pass(w->server, w->client);
		if (!n)
			give_up("Redis hangs up");
		if (w->asked == GET || w->asked == SET) {
			check_answer(w, message, n);
			answered++;
		}
		w->asked = NOTHING;
	}
	if (client->revents && (credit || !opt.rate)) {
		n = pass(w->client, w->server);
		if (!n)
			return false;
		note_request(w, message, n);
		credit -= !!credit;
	}
	return true;
}

/* One round, no longer than MS. Each way is the first in its turn. */
static void relay(int listener, int ms)
{
	static size_t first;
	struct pollfd p[1 + 2 * sizeof(ways) / sizeof(ways[0])];
	size_t n = nr_ways;

	p[0] = (struct pollfd){ .fd = listener, .events = POLLIN };
	for (size_t i = 0; i < n; i++) {
		bool may = credit || !opt.rate;

		p[1 + 2 * i] = (struct pollfd){ .fd = may ? ways[i].client : -1, .events = POLLIN };
		p[2 + 2 * i] = (struct pollfd){ .fd = ways[i].server, .events = POLLIN };
	}
	if (poll(p, 1 + 2 * n, ms) <= 0)
		return;
	first++;
	for (size_t k = 0; k < n; k++) {
		size_t i = (first + k) % n;

		if (!serve(&ways[i], &p[1 + 2 * i], &p[2 + 2 * i])) {
			close(ways[i].client);
			close(ways[i].server);
			ways[i] = ways[--nr_ways];
			/* what was polled is no longer at its place */
			return;
		}
	}
	if (p[0].revents)
		new_way(listener);
}

static void beat_for_ever(int listener)
{
	uint64_t beat = now_ms(), tick = beat, count = 0;
	unsigned int rest = 0;

	for (;;) {
		uint64_t now = now_ms(), next;

		/* neither is made up for after a pause */
		if (now >= tick) {
			rest += opt.rate * TICK_MS;
			credit = rest / 1000;
			rest %= 1000;
			tick = tick + TICK_MS > now ? tick + TICK_MS : now + TICK_MS;
		}
		if (now >= beat) {
			count++;
			say("hb %llu %llu", (unsigned long long)count,
			    (unsigned long long)answered);
			look_after_programs();
			beat = beat + opt.beat_ms > now ? beat + opt.beat_ms : now + opt.beat_ms;
		}
		next = tick < beat ? tick : beat;
		relay(listener, next > now ? next - now : 0);
	}
}

static const struct guest_number numbers[] = {
	{ "gl.mem=", &opt.mem, 1, 60 },
	{ "gl.noise=", &opt.noise, 0, 100 },
	{ "gl.rate=", &opt.rate, 0, 1000000 },
	{ "gl.clients=", &opt.clients, 1, MAX_CLIENTS },
	{ "gl.beat=", &opt.beat_ms, 1, 10000 },
};

int main(void)
{
	struct sched_param first = { .sched_priority = 1 };
	struct sysinfo si;
	int listener;

	set_up_guest();
	options(numbers, sizeof(numbers) / sizeof(numbers[0]), NULL);
	mkdir("/dev", 0755);
	mkdir("/tmp", 0755);
	/* the kernel may have done it */
	if (mount("dev", "/dev", "devtmpfs", 0, NULL) && errno != EBUSY)
		give_up("/dev");
	if (getrandom(&seed, sizeof(seed), GRND_INSECURE) != sizeof(seed))
		give_up("getrandom");
	sysinfo(&si);
	nr_keys = (uint64_t)si.totalram * si.mem_unit / 100 * opt.mem / KEY_BYTES;
	fill(start_redis());
	listener = socket_at(RELAY, bind);
	if (listener < 0 || listen(listener, MAX_CLIENTS))
		give_up(RELAY);
	say("ready keys=%u", nr_keys);
	start_benchmarks();
	/* neither the heart nor the relay is held up by who waits for it */
	sched_setscheduler(0, SCHED_FIFO, &first);
	beat_for_ever(listener);
}
