// SPDX-License-Identifier: GPL-2.0
/*
 * tk.c - what the tests of the module share, see tk.h
 */
#include <linux/tls.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include "tk.h"

#define FAR_NS		"/run/netns/far"
#define FAR_ADDR	"10.99.0.2"

struct tp_nl *tk_nl;
static struct tp_nl *events;

void tk_die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	fputs("Bail out! ", stdout);
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
	fflush(stdout);
	_exit(TAP_FAIL);
}

void tk_ok(int err, const char *what)
{
	if (err)
		tk_die("%s: %s (%s)", what, strerror(-err), tp_nl_error(tk_nl));
}

static void bus(int sig);

void tk_init(void)
{
	struct sigaction sa = { .sa_handler = bus, .sa_flags = SA_NODEFER };
	struct statfs fs;
	int err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGBUS, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	err = tp_nl_open(&tk_nl);
	if (err)
		tk_die("netlink: %s", tp_nl_error(NULL));
	err = tp_nl_events_open(&events);
	if (err)
		tk_die("events: %s", tp_nl_error(NULL));
	mkdir(TK_DIR, 0755);
	if (statfs(TK_DIR, &fs) || fs.f_type != 0x74656c65)
		if (mount("telepage", TK_DIR, "telepage", 0, NULL))
			tk_die("mount: %m");
}

/* regions */

void tk_new(const char *name, unsigned long pages)
{
	tk_ok(tp_region_new(tk_nl, name, pages * TK_PAGE, 0600, 0, 0, NULL), name);
}

void tk_del(const char *name)
{
	uint64_t end = tk_now_ms() + TK_LONG * 1000;
	int err;

	/* a process that was killed lets go of its files a moment later */
	do {
		err = tp_region_del(tk_nl, name);
		if (err == -EBUSY)
			tk_nap_ms(20);
	} while (err == -EBUSY && tk_now_ms() < end);
	tk_ok(err, name);
}

int tk_open(const char *name, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), TK_DIR "/%s", name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		tk_die("open %s: %m", path);
	return fd;
}

uint8_t *tk_map(const char *name, unsigned long pages, int prot, int flags)
{
	int fd = tk_open(name, prot & PROT_WRITE && flags & MAP_SHARED ? O_RDWR : O_RDONLY);
	void *p = mmap(NULL, pages * TK_PAGE, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		tk_die("mmap %s: %m", name);
	close(fd);
	return p;
}

void tk_unmap(void *map, unsigned long pages)
{
	if (munmap(map, pages * TK_PAGE))
		tk_die("munmap: %m");
}

struct tp_region tk_stat(const char *name)
{
	struct tp_region r;

	tk_ok(tp_region_get(tk_nl, name, &r), name);
	return r;
}

struct tp_export tk_export_stat(const char *name)
{
	struct tp_export ex, clear;

	tk_ok(tp_export_get(tk_nl, name, &ex), name);
	clear = ex;
	tp_export_clear(&clear);
	ex.links = NULL;
	return ex;
}

/* content */

static uint64_t word(uint32_t seed, unsigned long index, unsigned int i)
{
	uint64_t x = (uint64_t)seed << 48 ^ (uint64_t)index << 9 ^ i;

	x = (x ^ x >> 31) * 0x9e3779b97f4a7c15;
	return (x ^ x >> 29) | 1;
}

void tk_page(void *buf, uint32_t seed, unsigned long index)
{
	uint64_t *p = buf;
	unsigned int i;

	for (i = 0; i < TK_PAGE / 8; i++)
		p[i] = word(seed, index, i);
}

bool tk_is_page(const void *buf, uint32_t seed, unsigned long index)
{
	uint64_t page[TK_PAGE / 8];

	tk_page(page, seed, index);
	return !memcmp(page, buf, TK_PAGE);
}

bool tk_is_zero(const void *buf, size_t len)
{
	const uint8_t *p = buf;

	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

void tk_fill(const char *name, unsigned long first, unsigned long pages, uint32_t seed)
{
	int fd = tk_open(name, O_WRONLY);
	uint8_t page[TK_PAGE];
	unsigned long i;

	for (i = first; i < first + pages; i++) {
		tk_page(page, seed, i);
		if (pwrite(fd, page, TK_PAGE, i * TK_PAGE) != TK_PAGE)
			tk_die("write %s page %lu: %m", name, i);
	}
	close(fd);
}

unsigned long tk_wrong(const uint8_t *map, unsigned long first, unsigned long pages,
		       uint32_t seed)
{
	unsigned long i, n = 0;

	for (i = first; i < first + pages; i++)
		n += !tk_is_page(map + i * TK_PAGE, seed, i);
	return n;
}

/* A SIGBUS of a thread that does not expect one ends the test. */
static __thread sigjmp_buf *volatile catcher;

static void bus(int sig)
{
	if (!catcher) {
		static const char msg[] = "Bail out! unexpected SIGBUS\n";

		if (write(1, msg, sizeof(msg) - 1) < 0)
			_exit(3);
		_exit(TAP_FAIL);
	}
	siglongjmp(*catcher, 1);
}

int tk_load(const volatile uint8_t *p)
{
	sigjmp_buf env;
	int v;

	if (sigsetjmp(env, 0)) {
		catcher = NULL;
		return -SIGBUS;
	}
	catcher = &env;
	v = *p;
	catcher = NULL;
	return v;
}

int tk_store(volatile uint8_t *p, uint8_t v)
{
	sigjmp_buf env;

	if (sigsetjmp(env, 0)) {
		catcher = NULL;
		return -SIGBUS;
	}
	catcher = &env;
	*p = v;
	catcher = NULL;
	return 0;
}

/* links */

void tk_far(const char *delay, const char *more)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), ". tk-lib.sh && far_net %s %s", delay, more);
	if (system(cmd))
		tk_die("no delayed network: %s", cmd);
}

void tk_tcp_pair(int sv[2], bool far)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int here = -1, there, l;

	inet_pton(AF_INET, far ? FAR_ADDR : "127.0.0.1", &a.sin_addr);
	if (far) {
		/* a socket belongs to the namespace it was made in */
		here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		there = open(FAR_NS, O_RDONLY | O_CLOEXEC);
		if (here < 0 || there < 0 || setns(there, CLONE_NEWNET))
			tk_die("setns: %m");
		close(there);
	}
	l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(l, (void *)&a, sizeof(a)) || listen(l, 1) || getsockname(l, (void *)&a, &len))
		tk_die("listen: %m");
	if (far) {
		if (setns(here, CLONE_NEWNET))
			tk_die("setns: %m");
		close(here);
	}
	sv[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(sv[1], (void *)&a, sizeof(a)))
		tk_die("connect: %m");
	sv[0] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	if (sv[0] < 0)
		tk_die("accept: %m");
	close(l);
}

static bool lane_up(uint32_t id, unsigned int nr)
{
	struct tp_link link;
	bool up = false;
	size_t i;

	tk_ok(tp_link_get(tk_nl, id, &link), "link get");
	for (i = 0; i < link.nr_lanes; i++)
		up |= link.lanes[i].lane == nr && link.lanes[i].up;
	tp_link_clear(&link);
	return up;
}

void tk_pair_attach(struct tk_pair *p, unsigned int lane)
{
	int sv[2];

	tk_tcp_pair(sv, p->far);
	tk_ok(tp_lane_attach(tk_nl, p->src, lane, sv[0]), "attach");
	tk_ok(tp_lane_attach(tk_nl, p->dst, lane, sv[1]), "attach");
	close(sv[0]);
	close(sv[1]);
	if (!tk_until(lane_up(p->src, lane) && lane_up(p->dst, lane)))
		tk_die("lane %u does not come up", lane);
}

static bool lane_gone(uint32_t id, unsigned int nr)
{
	struct tp_link link;
	bool gone = true;
	size_t i;

	tk_ok(tp_link_get(tk_nl, id, &link), "link get");
	for (i = 0; i < link.nr_lanes; i++)
		gone &= link.lanes[i].lane != nr;
	tp_link_clear(&link);
	return gone;
}

/* one end is detached, the other notices */
void tk_pair_detach(struct tk_pair *p, unsigned int lane)
{
	int err = tp_lane_detach(tk_nl, p->src, lane);

	if (err && err != -ENOENT)
		tk_ok(err, "detach");
	if (!tk_until(lane_gone(p->dst, lane)))
		tk_die("lane %u stays though its peer has gone", lane);
}

bool tk_tls(int fd, uint16_t version, uint8_t tx, uint8_t rx)
{
	struct tls12_crypto_info_aes_gcm_128 c = {
		.info = { .version = version, .cipher_type = TLS_CIPHER_AES_GCM_128 },
	};

	if (setsockopt(fd, SOL_TCP, TCP_ULP, "tls", 4))
		return false;
	memset(c.key, tx, sizeof(c.key));
	if (setsockopt(fd, SOL_TLS, TLS_TX, &c, sizeof(c)))
		return false;
	memset(c.key, rx, sizeof(c.key));
	return !setsockopt(fd, SOL_TLS, TLS_RX, &c, sizeof(c));
}

void tk_pair_open(struct tk_pair *p, unsigned int bulk, bool far)
{
	unsigned int i;

	p->far = far;
	tk_ok(tp_link_new(tk_nl, "test source", &p->src), "link");
	tk_ok(tp_link_new(tk_nl, "test destination", &p->dst), "link");
	for (i = 0; i <= bulk; i++)
		tk_pair_attach(p, i);
}

void tk_pair_close(struct tk_pair *p)
{
	tk_ok(tp_link_del(tk_nl, p->dst), "link del");
	tk_ok(tp_link_del(tk_nl, p->src), "link del");
}

uint32_t tk_serve(struct tk_pair *p, const char *src)
{
	uint32_t id;

	if (!tk_stat(src).exports)
		tk_ok(tp_export_new_region(tk_nl, src, src), "export");
	tk_ok(tp_export_serve(tk_nl, src, p->src, &id), "serve");
	return id;
}

void tk_import(struct tk_pair *p, const char *src, const char *dst, bool push)
{
	uint32_t id = tk_serve(p, src);

	tk_new(dst, tk_stat(src).size / TK_PAGE);
	tk_ok(tp_region_import(tk_nl, dst, p->dst, id, push), "import");
}

void tk_import_end(const char *src, const char *dst)
{
	struct tp_region r = tk_stat(dst);
	int err = 0;

	if (r.state == TELEPAGE_REGION_FILLING || r.state == TELEPAGE_REGION_BROKEN)
		err = tp_region_abandon(tk_nl, dst);
	/* the last page may have come just now */
	if (err && err != -EINVAL)
		tk_ok(err, "abandon");
	if (err && !tk_wait_state(dst, TELEPAGE_REGION_LOCAL))
		tk_die("%s does not end", dst);
	tk_del(dst);
	err = tp_export_del(tk_nl, src);
	if (err && err != -ENOENT)
		tk_ok(err, "release");
	tk_del(src);
}

bool tk_wait_state(const char *name, enum telepage_region_state state)
{
	return tk_until(tk_stat(name).state == state);
}

/* events: what came while another was waited for is kept */

static struct tp_event seen[256];
static unsigned int nr_seen;

static void event_take(const struct tp_event *ev, void *arg)
{
	if (nr_seen == 256)
		memmove(seen, seen + 1, sizeof(*seen) * --nr_seen);
	seen[nr_seen++] = *ev;
}

void tk_events_forget(void)
{
	tp_nl_events_read(events, event_take, NULL);
	nr_seen = 0;
}

bool tk_event(enum telepage_event kind, const char *name, uint32_t link, struct tp_event *out)
{
	uint64_t end = tk_now_ms() + TK_LONG * 1000;

	for (;;) {
		struct pollfd p = { .fd = tp_nl_fd(events), .events = POLLIN };
		unsigned int i;

		tp_nl_events_read(events, event_take, NULL);
		for (i = 0; i < nr_seen; i++) {
			struct tp_event ev = seen[i];

			if (ev.kind != kind || (name && strcmp(name, ev.region)) ||
			    (link && (!ev.has_link || ev.link != link)))
				continue;
			nr_seen--;
			memmove(seen + i, seen + i + 1, sizeof(*seen) * (nr_seen - i));
			if (out)
				*out = ev;
			return true;
		}
		if (tk_now_ms() >= end)
			return false;
		poll(&p, 1, 100);
	}
}

/* time, tasks, files */

uint64_t tk_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

void tk_nap_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

pid_t tk_fork(int (*fn)(void *arg), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		tk_die("fork: %m");
	if (!pid)
		_exit(fn(arg));
	return pid;
}

int tk_reap(pid_t pid)
{
	int status;

	if (!tk_until(waitpid(pid, &status, WNOHANG) == pid))
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

pthread_t tk_thread(void *(*fn)(void *arg), void *arg)
{
	pthread_t t;
	int err = pthread_create(&t, NULL, fn, arg);

	if (err)
		tk_die("thread: %s", strerror(err));
	return t;
}

bool tk_join(pthread_t t)
{
	struct timespec end;

	/* not the time of day, which a test may set */
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += TK_LONG;
	return !pthread_clockjoin_np(t, NULL, CLOCK_MONOTONIC, &end);
}

static const char *_Atomic busy;
static atomic_uint busy_nr, beat;

static void *watcher(void *arg)
{
	unsigned int last = 0, same = 0, limit = TK_LONG * 2;
	const char *slow = getenv("LAB_SLOW");

	if (slow)
		limit *= atoi(slow);
	for (;;) {
		const char *what;

		sleep(1);
		what = busy;
		if (!what || beat != last) {
			last = beat;
			same = 0;
		} else if (++same == limit) {
			printf("Bail out! %s %u does not come back\n", what, busy_nr);
			_exit(TAP_FAIL);
		}
	}
	return NULL;
}

void tk_watch(void)
{
	tk_thread(watcher, NULL);
}

void tk_busy(const char *what, unsigned int nr)
{
	if (what) {
		beat++;
		busy_nr = nr;
	}
	busy = what;
}

const char *tk_cat(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, len - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return buf;
}

const char *tk_link_file(uint32_t link, const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), "/sys/fs/telepage/.links/%u/%s", link, file);
	return path;
}

int tk_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	int err = n < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}
