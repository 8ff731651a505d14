// SPDX-License-Identifier: GPL-2.0
/*
 * fault.c - tasks that need absent pages, over a network with a round trip
 *
 * Source and destination are in this one kernel, joined through a network
 * namespace behind 25 ms. Imports do not push unless a test is about that.
 */
#include <linux/falloc.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "peer.h"

#define RTT_MS	25
#define NR	512UL
#define SIZE	(NR * TK_PAGE)

static struct tk_pair pair;

/* region "s" with content, frozen, and region "d" that fills from it on demand */
static uint8_t *absent(uint32_t seed, bool frozen)
{
	tk_new("s", NR);
	tk_fill("s", 0, NR, seed);
	if (frozen)
		tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_import(&pair, "s", "d", false);
	/* what is asked for is counted here: only what a task needs */
	tk_ok(tk_write_file("/sys/fs/telepage/d/prefetch", "none"), "prefetch");
	return tk_map("d", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static void done(uint8_t *map)
{
	if (map)
		tk_unmap(map, NR);
	tk_import_end("s", "d");
}

/* ---- many at once ---- */

#define THREADS	64
#define ROUNDS	4

static pthread_barrier_t barrier;

struct toucher {
	const uint8_t *page;
	unsigned long index;
	bool right;
};

static void *touch(void *arg)
{
	struct toucher *t = arg;

	pthread_barrier_wait(&barrier);
	t->right = tk_is_page(t->page, 1, t->index);
	return NULL;
}

#define EXPORT	5	/* our number of the region "p" */

/*
 * We are the source, and answer nothing before all have asked: 64 faults cost one round
 * trip, if it is as long as it wants. Whoever asks for one page after the other never
 * asks for the second.
 */
static void test_many_faults_share_a_round_trip(void)
{
	static uint8_t list[TP_LIST_MAX * TP_DEMAND_LEN], page[TK_PAGE];
	unsigned int i, right = 0, asked = 0, messages = 0;
	struct tp_demand demand[THREADS];
	struct toucher t[THREADS];
	pthread_t thread[THREADS];
	struct tp_hdr hdr;
	uint32_t link;
	uint8_t *map;
	int fd;

	tk_ok(tp_link_new(tk_nl, "", &link), "link");
	fd = peer_greeted_lane(link, 0);
	tk_new("p", THREADS);
	tk_ok(tp_region_import(tk_nl, "p", link, EXPORT, false), "import");
	map = tk_map("p", THREADS, PROT_READ, MAP_SHARED);
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (i = 0; i < THREADS; i++) {
		t[i] = (struct toucher){ .page = map + i * TK_PAGE, .index = i };
		thread[i] = tk_thread(touch, &t[i]);
	}
	while (asked < THREADS && peer_hear(fd, &hdr, list, sizeof(list))) {
		if (hdr.type != TP_MSG_DEMAND)
			continue;
		messages++;
		for (i = 0; i < hdr.count && asked < THREADS; i++)
			tp_wire_get_demand(list + i * TP_DEMAND_LEN, &demand[asked++]);
	}
	tap_ok(asked == THREADS, "64 threads that fault ask for their pages together (%u did)",
	       asked);
	tap_note("in %u messages", messages);
	for (i = 0; i < asked; i++) {
		tk_page(page, 1, demand[i].index);
		hdr = (struct tp_hdr){ .type = TP_MSG_DATA, .export = EXPORT, .count = 1,
				       .index = demand[i].index, .gen = demand[i].gen,
				       .len = TP_PAGE };
		peer_say(fd, &hdr, page, TP_PAGE);
	}
	for (i = 0; i < THREADS; i++)
		right += tk_join(thread[i]) && t[i].right;
	tap_ok(right == THREADS, "and get them (%u did)", right);
	pthread_barrier_destroy(&barrier);
	tk_unmap(map, THREADS);
	if (tk_stat("p").absent)
		tk_ok(tp_region_abandon(tk_nl, "p"), "abandon");
	tk_del("p");
	close(fd);
	tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, link, NULL);
	tk_ok(tp_link_del(tk_nl, link), "link del");
}

static void test_many_faults(void)
{
	struct toucher t[THREADS];
	pthread_t thread[THREADS];
	uint8_t *map = absent(1, true);
	unsigned int i, round, right = 0;
	uint64_t begin, took;

	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < THREADS; i++) {
			t[i].index = round * THREADS + (i * 7) % THREADS;
			t[i].page = map + t[i].index * TK_PAGE;
			thread[i] = tk_thread(touch, &t[i]);
		}
		pthread_barrier_wait(&barrier);
		begin = tk_now_ms();
		for (i = 0; i < THREADS; i++) {
			tk_join(thread[i]);
			right += t[i].right;
		}
		took = tk_now_ms() - begin;
		tap_note("%u faults over %u ms took %llu ms", THREADS, RTT_MS,
			 (unsigned long long)took);
	}
	tap_ok(right == THREADS * ROUNDS,
	       "64 threads each fault a page of their own and see its content");
	tap_ok(tk_stat("d").stats.demand_sent == THREADS * ROUNDS &&
	       tk_stat("d").absent == NR - THREADS * ROUNDS, "nothing else was asked for");
	pthread_barrier_destroy(&barrier);
	done(map);
}

static void test_one_page_crosses_once(void)
{
	struct toucher t[16];
	pthread_t thread[16];
	uint8_t *map = absent(1, true);
	unsigned int i, right = 0;

	pthread_barrier_init(&barrier, NULL, 16);
	for (i = 0; i < 16; i++) {
		t[i] = (struct toucher){ .page = map + 5 * TK_PAGE, .index = 5 };
		thread[i] = tk_thread(touch, &t[i]);
	}
	for (i = 0; i < 16; i++) {
		tk_join(thread[i]);
		right += t[i].right;
	}
	tap_ok(right == 16 && tk_stat("d").stats.demand_sent == 1 &&
	       tk_stat("d").stats.demand == 1, "16 threads on one page: it crosses once");
	pthread_barrier_destroy(&barrier);
	done(map);
}

/* ---- waits that end otherwise ---- */

static int read_a_byte(void *arg)
{
	return tk_load(arg) < 0;
}

static int pread_a_byte(void *arg)
{
	int fd = tk_open("d", O_RDONLY);
	char c;

	return pread(fd, &c, 1, 9 * TK_PAGE) != 1;
}

static bool waits(pid_t pid)
{
	uint64_t asked = tk_stat("d").stats.demand_sent;
	int i;

	/* give it time to come to an end if it does not wait */
	for (i = 0; i < 20 && !asked; i++) {
		tk_nap_ms(10);
		asked = tk_stat("d").stats.demand_sent;
	}
	tk_nap_ms(100);
	return asked && waitpid(pid, NULL, WNOHANG) == 0;
}

static void test_a_wait_can_be_killed(void)
{
	uint8_t *map = absent(2, false);
	bool waited;
	pid_t pid;

	pid = tk_fork(read_a_byte, map + 3 * TK_PAGE);
	waited = waits(pid);
	kill(pid, SIGKILL);
	tap_ok(waited && tk_reap(pid) == 128 + SIGKILL,
	       "a task that waits for a page can be killed");
	pid = tk_fork(pread_a_byte, NULL);
	waited = waits(pid);
	kill(pid, SIGKILL);
	tap_ok(waited && tk_reap(pid) == 128 + SIGKILL, "also when it waits in read()");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tap_ok(tk_is_page(map + 3 * TK_PAGE, 2, 3) && tk_is_page(map + 9 * TK_PAGE, 2, 9),
	       "the next who needs these pages gets them");
	done(map);
}

static volatile sig_atomic_t handled;

static void on_signal(int sig)
{
	handled = 1;
}

struct victim {
	uint8_t *page;
	bool right;
};

static void *signalled(void *arg)
{
	struct victim *v = arg;

	v->right = tk_is_page(v->page, 2, 4);
	return NULL;
}

static void test_a_signal_is_handled_while_waiting(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	uint8_t *map = absent(2, false);
	struct victim v = { .page = map + 4 * TK_PAGE };
	pthread_t t;

	sigaction(SIGUSR1, &sa, NULL);
	handled = 0;
	t = tk_thread(signalled, &v);
	tk_until(tk_stat("d").stats.demand_sent == 1);
	tk_nap_ms(50);
	pthread_kill(t, SIGUSR1);
	tap_ok(tk_until(handled), "a signal handler runs while its task waits for a page");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tap_ok(tk_join(t) && v.right, "and the page comes all the same");
	done(map);
}

/* ---- other ways to a page ---- */

static void test_nowait(void)
{
	uint8_t *map = absent(3, true), page[TK_PAGE];
	struct iovec iov = { .iov_base = page, .iov_len = TK_PAGE };
	int fd = tk_open("d", O_RDWR);
	uint64_t begin = tk_now_ms();
	ssize_t n;

	tk_ok(tp_lane_detach(tk_nl, pair.src, 0), "detach");
	n = preadv2(fd, &iov, 1, 7 * TK_PAGE, RWF_NOWAIT);
	tap_ok(n < 0 && errno == EAGAIN, "a read that may not wait answers EAGAIN");
	n = pwritev2(fd, &iov, 1, 8 * TK_PAGE, RWF_NOWAIT);
	/* EINVAL: buffered writes that may not wait are for file systems that say so */
	tap_ok(n < 0 && (errno == EAGAIN || errno == EINVAL), "nor does such a write wait");
	tk_pair_detach(&pair, 0);
	tk_pair_attach(&pair, 0);
	tap_ok(tk_until(preadv2(fd, &iov, 1, 7 * TK_PAGE, RWF_NOWAIT) == (ssize_t)TK_PAGE) &&
	       tk_is_page(page, 3, 7), "the page was asked for and is there later");
	tap_note("%llu ms", (unsigned long long)(tk_now_ms() - begin));
	close(fd);
	done(map);
}

static void test_looking_does_not_fetch(void)
{
	uint8_t *map = absent(4, true);
	int fd = tk_open("d", O_RDONLY);
	unsigned char in[NR];

	tap_ok(!mincore(map, SIZE, in) && !in[0] && !in[NR - 1], "mincore() says not here");
	tap_ok(lseek(fd, 5 * TK_PAGE, SEEK_DATA) == 5 * (off_t)TK_PAGE &&
	       lseek(fd, 0, SEEK_HOLE) == (off_t)SIZE, "SEEK_DATA: what is at the peer is data");
	posix_fadvise(fd, 0, SIZE, POSIX_FADV_WILLNEED);
	posix_fadvise(fd, 0, SIZE, POSIX_FADV_DONTNEED);
	readahead(fd, 0, SIZE);
	madvise(map, SIZE, MADV_WILLNEED);
	madvise(map, SIZE, MADV_HUGEPAGE);
	madvise(map, SIZE, MADV_DONTNEED);
	tap_ok(!tk_stat("d").stats.demand_sent && tk_stat("d").absent == NR,
	       "none of this and no advice asked the peer for anything");
	tap_ok(tk_is_page(map + 100 * TK_PAGE, 4, 100) && tk_stat("d").stats.demand_sent == 1,
	       "a fault asks for its page only, huge pages advised or not");
	close(fd);
	done(map);
}

static void test_writes(void)
{
	uint8_t *map = absent(5, true), want[TK_PAGE], *clone;
	int fd = tk_open("d", O_RDWR);

	tk_page(want, 5, 1);
	memset(want + 1000, 0x11, 50);
	tap_ok(pwrite(fd, want + 1000, 50, TK_PAGE + 1000) == 50 &&
	       !memcmp(map + TK_PAGE, want, TK_PAGE),
	       "write() into an absent page keeps its other bytes");
	tk_page(want, 5, 2);
	want[17] ^= 0xff;
	map[2 * TK_PAGE + 17] ^= 0xff;
	tap_ok(!memcmp(map + 2 * TK_PAGE, want, TK_PAGE), "so does a store");
	tap_ok(pwrite(fd, want, TK_PAGE, 3 * TK_PAGE) == (ssize_t)TK_PAGE &&
	       !memcmp(map + 3 * TK_PAGE, want, TK_PAGE), "a page overwritten as a whole");

	clone = tk_map("d", NR, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	tk_page(want, 5, 20);
	clone[20 * TK_PAGE + 5] = ~want[5];
	want[5] = ~want[5];
	tap_ok(!memcmp(clone + 20 * TK_PAGE, want, TK_PAGE),
	       "a store into a MAP_PRIVATE mapping of an absent page");
	tap_ok(tk_is_page(map + 20 * TK_PAGE, 5, 20), "leaves the region's page alone");
	tk_unmap(clone, NR);
	close(fd);
	done(map);
}

static void test_punch(void)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	uint8_t *map = absent(6, false), want[TK_PAGE];
	int fd = tk_open("d", O_RDWR);
	pid_t pid;

	tap_ok(!fallocate(fd, punch, 10 * TK_PAGE, 5 * TK_PAGE) &&
	       tk_is_zero(map + 10 * TK_PAGE, 5 * TK_PAGE) && !tk_stat("d").stats.demand_sent,
	       "an absent page that is punched reads zero at once, nobody is asked");
	pid = tk_fork(read_a_byte, map + 4 * TK_PAGE);
	waits(pid);
	tap_ok(!fallocate(fd, punch, 4 * TK_PAGE, TK_PAGE) && !tk_reap(pid) &&
	       tk_is_zero(map + 4 * TK_PAGE, TK_PAGE),
	       "who waits for a page that is punched goes on with zeros");
	map[11 * TK_PAGE] = 0x42;
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tap_ok(tk_is_page(map + 5 * TK_PAGE, 6, 5), "pages begin to come");
	tk_nap_ms(4 * RTT_MS);
	tap_ok(tk_is_zero(map + 4 * TK_PAGE, TK_PAGE) && map[11 * TK_PAGE] == 0x42 &&
	       tk_is_zero(map + 11 * TK_PAGE + 1, 4 * TK_PAGE - 1) &&
	       tk_is_zero(map + 10 * TK_PAGE, TK_PAGE),
	       "but what was punched in flight is never filled with old content");
	tap_ok(!fallocate(fd, punch, 30 * TK_PAGE + 50, TK_PAGE), "punch over parts of absent pages");
	tk_page(want, 6, 30);
	memset(want + 50, 0, TK_PAGE - 50);
	tap_ok(!memcmp(map + 30 * TK_PAGE, want, TK_PAGE), "the first keeps its beginning");
	tk_page(want, 6, 31);
	memset(want, 0, 50);
	tap_ok(!memcmp(map + 31 * TK_PAGE, want, TK_PAGE), "the last keeps its end");
	close(fd);
	done(map);
}

struct remote {
	pid_t pid;
	uint8_t *map;
};

static int idle(void *arg)
{
	for (;;)
		pause();
	return 0;
}

static void test_access_by_other_tasks(void)
{
	uint8_t *map = absent(7, true), page[TK_PAGE];
	pid_t pid = tk_fork(idle, NULL);
	struct iovec here = { .iov_base = page, .iov_len = TK_PAGE };
	struct iovec there = { .iov_base = map + 40 * TK_PAGE, .iov_len = TK_PAGE };
	char path[64];
	ssize_t n;
	long w;
	int fd;

	n = process_vm_readv(pid, &here, 1, &there, 1, 0);
	if (n < 0 && errno == ENOSYS) {
		tap_skip("process_vm_readv() and writev()", "this kernel was built without them");
	} else {
		tap_ok(n == (ssize_t)TK_PAGE && tk_is_page(page, 7, 40),
		       "process_vm_readv() of an absent page");
		there.iov_base = map + 41 * TK_PAGE;
		there.iov_len = 100;
		here.iov_len = 100;
		tap_ok(process_vm_writev(pid, &here, 1, &there, 1, 0) == 100 &&
		       !memcmp(map + 41 * TK_PAGE, page, 100), "process_vm_writev() into one");
	}
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY);
	tap_ok(pread(fd, page, TK_PAGE, (off_t)(uintptr_t)(map + 42 * TK_PAGE)) ==
	       (ssize_t)TK_PAGE && tk_is_page(page, 7, 42), "/proc/PID/mem");
	close(fd);
	if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) || waitpid(pid, NULL, 0) != pid)
		tk_die("ptrace: %m");
	tk_page(page, 7, 43);
	errno = 0;
	w = ptrace(PTRACE_PEEKDATA, pid, map + 43 * TK_PAGE, NULL);
	tap_ok(!errno && !memcmp(&w, page, sizeof(w)), "ptrace");
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	kill(pid, SIGKILL);
	tk_reap(pid);
	done(map);
}

/* A VMM's disk goes straight from and to guest memory. */
static void test_direct_io(void)
{
	uint8_t *map = absent(8, true), *buf = aligned_alloc(TK_PAGE, 8 * TK_PAGE);
	const char *path = getenv("OUT");
	char name[256];
	bool direct;
	int fd;

	snprintf(name, sizeof(name), "%s/direct", path ? path : "/tmp");
	fd = open(name, O_RDWR | O_CREAT | O_DIRECT, 0600);
	direct = fd >= 0;
	if (!direct) {
		tap_skip("O_DIRECT from and into absent pages", "no file system for it");
		goto out;
	}
	tap_ok(pwrite(fd, map + 50 * TK_PAGE, 8 * TK_PAGE, 0) == 8 * (ssize_t)TK_PAGE &&
	       pread(fd, buf, 8 * TK_PAGE, 0) == 8 * (ssize_t)TK_PAGE &&
	       !memcmp(buf, map + 50 * TK_PAGE, 8 * TK_PAGE) && !tk_wrong(map, 50, 8, 8),
	       "a disk write with O_DIRECT straight from absent pages");
	tap_ok(pread(fd, map + 70 * TK_PAGE, 8 * TK_PAGE, 0) == 8 * (ssize_t)TK_PAGE &&
	       !memcmp(map + 70 * TK_PAGE, buf, 8 * TK_PAGE),
	       "a disk read with O_DIRECT straight into absent pages");
	close(fd);
	unlink(name);
out:
	free(buf);
	done(map);
}

static int child_reads(void *arg)
{
	return !tk_is_page((uint8_t *)arg + 60 * TK_PAGE, 9, 60) ||
	       !tk_is_page((uint8_t *)arg + 61 * TK_PAGE, 9, 61);
}

static void test_fork(void)
{
	uint8_t *map = absent(9, true);
	pid_t pid;

	tap_ok(tk_is_page(map + 60 * TK_PAGE, 9, 60), "a page before fork()");
	pid = tk_fork(child_reads, map);
	tap_ok(!tk_reap(pid), "a child faults in the mapping it inherited");
	map[61 * TK_PAGE] = 1;
	tap_ok(tk_stat("d").openers == 1, "and lets go of it");
	done(map);
}

static int hungry(void *arg)
{
	char path[] = "/sys/fs/cgroup/tk/cgroup.procs", pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	if (tk_write_file(path, pid))
		return 9;
	memset(arg, 1, 64 << 20);
	return 0;
}

static void test_memory_limit(void)
{
	const unsigned long pages = (64 << 20) / TK_PAGE;
	uint8_t *map;
	int status;

	tk_write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	mkdir("/sys/fs/cgroup/tk", 0755);
	if (tk_write_file("/sys/fs/cgroup/tk/memory.max", "16M")) {
		tap_skip("a memory limit", "no memory cgroup");
		return;
	}
	tk_new("m", pages);
	map = tk_map("m", pages, PROT_READ | PROT_WRITE, MAP_SHARED);
	map[63 << 20] = 3;
	status = tk_reap(tk_fork(hungry, map));
	tap_ok(status == 128 + SIGKILL, "who writes over its memory limit is killed, as always");
	tap_ok(map[63 << 20] == 3 && tk_stat("m").resident < 16 << 8,
	       "what it made counted for it; the region lives on");
	map[62 << 20] = 4;
	tap_ok(map[62 << 20] == 4, "and others go on in it");
	tk_unmap(map, pages);
	tk_del("m");
	tk_until(!rmdir("/sys/fs/cgroup/tk"));
}

int main(void)
{
	tk_init();
	tk_far("25ms", "");
	tk_pair_open(&pair, 0, true);
	test_many_faults_share_a_round_trip();
	test_many_faults();
	test_one_page_crosses_once();
	test_a_wait_can_be_killed();
	test_a_signal_is_handled_while_waiting();
	test_nowait();
	test_looking_does_not_fetch();
	test_writes();
	test_punch();
	test_access_by_other_tasks();
	test_direct_io();
	test_fork();
	test_memory_limit();
	tk_pair_close(&pair);
	return tap_done();
}
