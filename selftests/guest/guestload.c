// SPDX-License-Identifier: GPL-2.0
/*
 * guestload.c - the whole user space of a test guest
 *
 * It is PID 1 and owns most of the guest's memory, whose pages are written anew and
 * verified all the time, see guestpages.h. Parameters, on the kernel's command line:
 *
 *   gl.mem=PERCENT    of the memory to own (60)
 *   gl.load=idle|light|heavy   rewrites a second and worker: 0, 200, all it can
 *   gl.rate=N         another number of rewrites for light
 *   gl.verify=N       another number of verifications for light (1000)
 *   gl.ws=PERCENT     of the memory: pages scattered at random, and light and heavy
 *                     touch only these, in gl.pattern's order, to verify and to rewrite
 *   gl.noise=PERCENT  of each page that does not compress (100)
 *   gl.pattern=random|seq|hot|zipf   which pages; hot: 9 of 10 in a tenth of them;
 *                     zipf: the n-th about 1/n as often as the first, scattered
 *   gl.workers=N      threads that write and verify, each its own pages (2)
 *   gl.beat=MS        between two heartbeats (20)
 *   gl.brief=1        heartbeats are "hb COUNT VERIFIED": the console is slow, and most
 *                     of what an emulated guest can do goes into it
 *   gl.file=MIB       of file data in the page cache (8)
 *
 * On the console, a line each:
 *
 *   ready boot=SEED pages=N file=MIB
 *   hb COUNT t=SECONDS w=WRITES v=VERIFIED bad=N boot=SEED
 *   (commands: verify, write, load KIND, waits [new], off)
 *   verify ok pages=N files=2 bad=0 ms=N        or "verify FAILED …"
 *   write ok pages=N ms=N
 *   waits n=N p50=US p99=US p999=US max=US      how long visits of a page took since "waits
 *                     new", which is answered "waits new", by the guest's clock
 *   bad page=…                                  what was wrong, the first few
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "guestconsole.h"
#include "guestpages.h"

#define MAX_WORKERS	8
#define LIGHT_RATE	200
#define LIGHT_VERIFY	1000
#define IDLE_VERIFY	50
#define TICK_MS		20

enum load { IDLE, LIGHT, HEAVY };
enum task { NO_TASK, VERIFY, WRITE };

struct worker {
	pthread_t thread;
	unsigned int nr;
	size_t first, count;		/* its pages; nobody else touches them */
	uint32_t *set;			/* with gl.ws those that it touches */
	size_t set_count;
	size_t cursor, next_write;	/* of the running verification, of seq */
	uint64_t dice;
	uint64_t writes;		/* since the pages were made */
	uint64_t task_done;		/* number of the last task it finished */
	size_t task_bad;
};

static struct {
	unsigned int mem, rate, verify, ws, noise, workers, beat_ms, file_mib, brief;
	enum { RANDOM, SEQ, HOT, ZIPF } pattern;
} opt = { 60, LIGHT_RATE, LIGHT_VERIFY, 0, 100, 2, 20, 8, 0, RANDOM };

static unsigned char *pages;
static uint32_t *gens;
static size_t nr_pages;
static struct worker workers[MAX_WORKERS];
static _Atomic enum load load = LIGHT;
static _Atomic uint64_t all_writes;

/*
 * How many visits took how long: a bucket for each quarter of an octave of microseconds, which
 * counts those that took less than its upper bound.
 */
#define BUCKETS		128
static _Atomic uint64_t waits[BUCKETS];

/* the task in hand; guarded by lock, so is task_done of each worker */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news;
static enum task task;
static uint64_t task_nr;
static uint64_t task_start_ms;

/* waits */

/* the bucket's upper bound */
static uint64_t bucket_us(unsigned int b)
{
	return b < 4 ? b + 1 : (5ULL + b % 4) << (b / 4 - 1);
}

static void took(uint64_t us)
{
	unsigned int octave = us < 4 ? 0 : 62 - __builtin_clzll(us);
	unsigned int b = us < 4 ? us : 4 * octave + (us >> (octave - 1)) % 4;

	if (b >= BUCKETS)
		b = BUCKETS - 1;
	atomic_fetch_add_explicit(&waits[b], 1, memory_order_relaxed);
}

/* What so many of a thousand visits took less than; 0: there were none. */
static unsigned long long least_us(uint64_t all, unsigned int of_1000)
{
	uint64_t sum = 0;

	for (unsigned int b = 0; b < BUCKETS; b++) {
		sum += waits[b];
		if (sum && sum * 1000 >= all * of_1000)
			return bucket_us(b);
	}
	return 0;
}

static void say_waits(void)
{
	uint64_t all = 0;

	for (unsigned int b = 0; b < BUCKETS; b++)
		all += waits[b];
	say("waits n=%llu p50=%llu p99=%llu p999=%llu max=%llu", (unsigned long long)all,
	    least_us(all, 500), least_us(all, 990), least_us(all, 999), least_us(all, 1000));
}

static void forget_waits(void)
{
	for (unsigned int b = 0; b < BUCKETS; b++)
		waits[b] = 0;
	say("waits new");
}

/* workers */

static bool verify_one(size_t i)
{
	return check_page(pages + i * PAGE, i, gens[i]);
}

static void write_one(struct worker *w, size_t i)
{
	gens[i]++;
	make_page(pages + i * PAGE, i, gens[i]);
	w->writes++;
	atomic_fetch_add_explicit(&all_writes, 1, memory_order_relaxed);
}

/*
 * About 1/n as likely as the first: an octave of them is as likely as any other. Which pages
 * they are has to do nothing with where they are.
 */
static size_t zipf(struct worker *w, size_t n)
{
	unsigned int octaves = 64 - __builtin_clzll(n);
	size_t rank;

	do {
		unsigned int octave = (w->dice >> 8) % octaves;

		w->dice = mix(w->dice + 1);
		rank = (1ULL << octave) - 1 + (w->dice & ((1ULL << octave) - 1));
	} while (rank >= n);
	/* a prime, so that no two become one */
	return rank * 2654435761ULL % n;
}

static size_t pick(struct worker *w)
{
	size_t n = w->set ? w->set_count : w->count, i;

	w->dice = mix(w->dice + 1);
	switch (opt.pattern) {
	case SEQ:
		w->next_write = (w->next_write + 1) % n;
		i = w->next_write;
		break;
	case ZIPF:
		i = zipf(w, n);
		break;
	case HOT:
		if (w->dice % 10 && n > 10)
			n /= 10;
		i = (w->dice >> 8) % n;
		break;
	default:
		i = (w->dice >> 8) % n;
		break;
	}
	return w->set ? w->set[i] : w->first + i;
}

static void visit(struct worker *w)
{
	if (w->set) {
		verify_one(pick(w));
		return;
	}
	verify_one(w->first + w->cursor);
	w->cursor = (w->cursor + 1) % w->count;
}

static void step(struct worker *w, unsigned int verifies, unsigned int writes)
{
	uint64_t then = now_us(), now;

	for (; verifies; verifies--, then = now) {
		visit(w);
		now = now_us();
		took(now - then);
	}
	for (; writes; writes--)
		write_one(w, pick(w));
}

static size_t verify_all(struct worker *w)
{
	uint64_t sum = 0;
	size_t bad = 0;

	for (size_t i = w->first; i < w->first + w->count; i++) {
		bad += !verify_one(i);
		sum += gens[i];
	}
	/* Were both a page and its generation old, they would still agree. */
	if (sum != w->writes + w->count) {
		report("worker %u: generations add up to %llu, not %llu", w->nr,
		       (unsigned long long)sum, (unsigned long long)w->writes + w->count);
		bad++;
	}
	if (!w->nr)
		bad += check_files();
	return bad;
}

static void do_task(struct worker *w, enum task what)
{
	w->task_bad = 0;
	if (what == VERIFY)
		w->task_bad = verify_all(w);
	else
		for (size_t i = w->first; i < w->first + w->count; i++)
			write_one(w, i);
}

/* Takes the lock; waits for a tick at most. Returns what there is to do. */
static enum task wait_for_news(struct worker *w, bool may_sleep)
{
	struct timespec ts;
	enum task what;

	pthread_mutex_lock(&lock);
	if (may_sleep && w->task_done == task_nr) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_nsec += TICK_MS * 1000000L;
		if (ts.tv_nsec >= 1000000000L) {
			ts.tv_nsec -= 1000000000L;
			ts.tv_sec++;
		}
		pthread_cond_timedwait(&news, &lock, &ts);
	}
	what = w->task_done == task_nr ? NO_TASK : task;
	pthread_mutex_unlock(&lock);
	return what;
}

static unsigned int per_tick(unsigned int a_second, uint64_t *rest)
{
	unsigned int n;

	*rest += a_second * TICK_MS;
	n = *rest / 1000;
	*rest %= 1000;
	return n;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t rest_v = 0, rest_w = 0;

	for (;;) {
		enum load l = atomic_load(&load);
		enum task what = wait_for_news(w, l != HEAVY);

		if (what != NO_TASK) {
			do_task(w, what);
			pthread_mutex_lock(&lock);
			w->task_done = task_nr;
			pthread_mutex_unlock(&lock);
		} else if (l == HEAVY) {
			step(w, 16, 16);
		} else if (l == LIGHT) {
			step(w, per_tick(opt.verify, &rest_v), per_tick(opt.rate, &rest_w));
		} else {
			step(w, per_tick(IDLE_VERIFY, &rest_v), 0);
		}
	}
	return NULL;
}

/* tasks and the console */

static void start_task(enum task what)
{
	pthread_mutex_lock(&lock);
	task = what;
	task_nr++;
	task_start_ms = now_ms();
	pthread_cond_broadcast(&news);
	pthread_mutex_unlock(&lock);
}

static void end_task(void)
{
	const char *bad_page;
	size_t bad = 0;
	enum task what;

	pthread_mutex_lock(&lock);
	what = task;
	for (unsigned int i = 0; i < opt.workers && what != NO_TASK; i++) {
		if (workers[i].task_done != task_nr)
			what = NO_TASK;
		bad += workers[i].task_bad;
	}
	if (what != NO_TASK)
		task = NO_TASK;
	pthread_mutex_unlock(&lock);
	while ((bad_page = next_report()))
		say("bad %s", bad_page);
	if (what == VERIFY)
		say("verify %s pages=%zu files=2 bad=%zu ms=%llu", bad ? "FAILED" : "ok", nr_pages,
		    bad, (unsigned long long)(now_ms() - task_start_ms));
	else if (what == WRITE)
		say("write ok pages=%zu ms=%llu", nr_pages,
		    (unsigned long long)(now_ms() - task_start_ms));
}

static bool set_load(const char *kind)
{
	if (!strcmp(kind, "idle"))
		atomic_store(&load, IDLE);
	else if (!strcmp(kind, "light"))
		atomic_store(&load, LIGHT);
	else if (!strcmp(kind, "heavy"))
		atomic_store(&load, HEAVY);
	else
		return false;
	return true;
}

static void command(const char *line)
{
	if (!strcmp(line, "verify") || !strcmp(line, "write")) {
		if (task != NO_TASK)
			say("busy");
		else
			start_task(*line == 'v' ? VERIFY : WRITE);
	} else if (!strncmp(line, "load ", 5)) {
		say(set_load(line + 5) ? "load ok" : "load: idle, light or heavy");
	} else if (!strcmp(line, "waits")) {
		say_waits();
	} else if (!strcmp(line, "waits new")) {
		forget_waits();
	} else if (!strcmp(line, "off")) {
		say("off ok");
		power_off();
	} else if (*line) {
		say("commands: verify, write, load KIND, waits [new], off");
	}
}

static void read_commands(void)
{
	static char line[64];
	static size_t len;
	char c;

	while (read(0, &c, 1) == 1) {
		if (c == '\n' || c == '\r') {
			line[len] = 0;
			len = 0;
			command(line);
		} else if (len < sizeof(line) - 1) {
			line[len++] = c;
		}
	}
}

static void heartbeat(uint64_t count)
{
	uint64_t t = now_ms();

	if (opt.brief) {
		say("hb %llu %llu", (unsigned long long)count,
		    (unsigned long long)atomic_load(&all_verified));
		return;
	}
	say("hb %llu t=%llu.%03llu w=%llu v=%llu bad=%llu boot=%08x", (unsigned long long)count,
	    (unsigned long long)t / 1000, (unsigned long long)t % 1000,
	    (unsigned long long)atomic_load(&all_writes),
	    (unsigned long long)atomic_load(&all_verified),
	    (unsigned long long)atomic_load(&all_bad), (unsigned int)seed);
}

static void beat_for_ever(void)
{
	uint64_t next = now_ms(), count = 0;

	for (;;) {
		struct pollfd p = { .fd = 0, .events = POLLIN };
		uint64_t now = now_ms();

		if (now >= next) {
			heartbeat(++count);
			end_task();
			/* none is made up for after a pause */
			next = next + opt.beat_ms > now ? next + opt.beat_ms : now + opt.beat_ms;
			continue;
		}
		if (poll(&p, 1, next - now) > 0)
			read_commands();
	}
}

/* setting up */

static void option(const char *word)
{
	static const char * const patterns[] = { "random", "seq", "hot", "zipf" };

	if (!strncmp(word, "gl.load=", 8) && !set_load(word + 8))
		say("guestload: %s ignored", word);
	if (strncmp(word, "gl.pattern=", 11))
		return;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		if (!strcmp(word + 11, patterns[i])) {
			opt.pattern = i;
			return;
		}
	}
	say("guestload: %s ignored", word);
}

static const struct guest_number numbers[] = {
	{ "gl.mem=", &opt.mem, 1, 85 },
	{ "gl.rate=", &opt.rate, 0, 1000000 },
	{ "gl.verify=", &opt.verify, 0, 1000000 },
	{ "gl.ws=", &opt.ws, 1, 85 },
	{ "gl.noise=", &opt.noise, 0, 100 },
	{ "gl.workers=", &opt.workers, 1, MAX_WORKERS },
	{ "gl.beat=", &opt.beat_ms, 1, 10000 },
	{ "gl.file=", &opt.file_mib, 1, 1024 },
	{ "gl.brief=", &opt.brief, 0, 1 },
};

static void *map(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		give_up("memory");
	return p;
}

/* Which pages: a draw of so many without putting back, the same in each boot. */
static void make_set(struct worker *w)
{
	size_t want = w->count * opt.ws / opt.mem, dice = w->nr;

	if (!opt.ws)
		return;
	w->set = map((want + 1) * sizeof(*w->set));
	for (size_t i = 0; i < w->count && w->set_count < want; i++) {
		dice = mix(dice + 1);
		if ((dice >> 8) % (w->count - i) < want - w->set_count)
			w->set[w->set_count++] = w->first + i;
	}
}

static void set_up_pages(void)
{
	struct sysinfo si;

	sysinfo(&si);
	nr_pages = (uint64_t)si.totalram * si.mem_unit / 100 * opt.mem / PAGE;
	nr_pages -= nr_pages % opt.workers;
	gens = map(nr_pages * sizeof(*gens));
	pages = map(nr_pages * PAGE);
	for (size_t i = 0; i < nr_pages; i++) {
		gens[i] = 1;
		make_page(pages + i * PAGE, i, 1);
	}
}

static void start_workers(void)
{
	struct sched_param first = { .sched_priority = 1 };
	pthread_condattr_t attr;
	size_t share = nr_pages / opt.workers;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&news, &attr);
	for (unsigned int i = 0; i < opt.workers; i++) {
		struct worker *w = &workers[i];

		w->nr = i;
		w->first = i * share;
		w->count = share;
		w->dice = seed + i;
		make_set(w);
		errno = pthread_create(&w->thread, NULL, work, w);
		if (errno)
			give_up("thread");
	}
	/* A busy worker must not hold up the heart. */
	sched_setscheduler(0, SCHED_FIFO, &first);
}

int main(void)
{
	set_up_guest();
	options(numbers, sizeof(numbers) / sizeof(numbers[0]), option);
	if (getrandom(&seed, sizeof(seed), GRND_INSECURE) != sizeof(seed))
		give_up("getrandom");
	page_noise = opt.noise;
	if (opt.ws > opt.mem)
		opt.ws = opt.mem;
	if (make_files(opt.file_mib))
		give_up(FILE_PATH);
	set_up_pages();
	start_workers();
	say("ready boot=%08x pages=%zu file=%u", (unsigned int)seed, nr_pages, opt.file_mib);
	beat_for_ever();
}
