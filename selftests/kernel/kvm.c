// SPDX-License-Identifier: GPL-2.0
/*
 * kvm.c - what the module does to a region reaches the tables of a KVM guest on it
 *
 * KVM keeps translations of its own, and only MMU notifiers tell it that one is no
 * longer true. The guest is the VMM's of vmm.h: each of its vCPUs writes flat out, so
 * one translation left behind shows as a write that nobody was told of.
 */
#include <linux/falloc.h>
#include <sched.h>
#include <sys/uio.h>

#include "../vmm/vmm.h"
#include "tk.h"

#define CPUS	4
#define NR	2048UL
#define SIZE	(NR * TK_PAGE)

static struct tk_pair pair;
static struct vmm_ram ram;
static struct vmm vm;
static uint8_t copy[SIZE], again[SIZE];
static int fd;		/* the region, beside the guest's mapping */
static char said[512];

static const char *report(void)
{
	return vmm_report(&vm, said, sizeof(said));
}

/*
 * With four that never pause there would be few rounds in a short test. The vCPUs'
 * threads inherit what was when they were made, so this is for when they are there.
 */
static void before_others(bool yes)
{
	struct sched_param p = { .sched_priority = yes };

	if (sched_setscheduler(0, yes ? SCHED_FIFO : SCHED_OTHER, &p))
		tap_note("no real-time priority: %s", strerror(errno));
}

/* a guest on region @name; whoever looks at RAM does so through a descriptor */
static void boot(const char *name, unsigned int flags)
{
	char spec[64];

	snprintf(spec, sizeof(spec), "region:%s", name);
	vmm_ram_open(&ram, spec, 0);
	vmm_open(&vm, &ram, CPUS, flags);
	vmm_share(&vm, VMM_APART);
	fd = tk_open(name, O_RDWR);
	before_others(true);
}

static void power_off(void)
{
	before_others(false);
	vmm_close(&vm);
	vmm_ram_close(&ram);
	close(fd);
}

/* a local region with a guest on it, all of it written to */
static void boot_local(void)
{
	tk_new("g", NR);
	tk_fill("g", 0, NR, 1);
	boot("g", 0);
}

static void end_local(void)
{
	power_off();
	tk_del("g");
}

/*
 * Region "g" fills from a memfd at the peer, @delay away; with @push also by itself.
 * Returns the memfd.
 */
static int boot_filling(bool push, unsigned int flags)
{
	int src = memfd_create("source", MFD_CLOEXEC);
	uint8_t page[TK_PAGE];
	unsigned long i;
	uint32_t id;

	for (i = 0; i < NR; i++) {
		tk_page(page, 1, i);
		if (pwrite(src, page, TK_PAGE, i * TK_PAGE) != (ssize_t)TK_PAGE)
			tk_die("memfd: %m");
	}
	tk_ok(tp_export_new_fd(tk_nl, "s", src, 0, 0), "export");
	tk_ok(tp_export_serve(tk_nl, "s", pair.src, &id), "serve");
	tk_new("g", NR);
	tk_ok(tp_region_import(tk_nl, "g", pair.dst, id, push), "import");
	boot("g", flags);
	return src;
}

static void end_filling(int src)
{
	power_off();
	if (tk_stat("g").state == TELEPAGE_REGION_FILLING)
		tk_ok(tp_region_abandon(tk_nl, "g"), "abandon");
	tk_del("g");
	tk_ok(tp_export_del(tk_nl, "s"), "release");
	close(src);
}

static void read_ram(uint8_t *to)
{
	if (pread(fd, to, SIZE, 0) != (ssize_t)SIZE)
		tk_die("read of the region: %m");
}

/* the pages that are here, without a wait for others; who they are is in @here */
static void read_what_is_here(uint8_t *to, bool *here)
{
	unsigned long i;

	for (i = 0; i < NR; i++) {
		struct iovec iov = { .iov_base = to + i * TK_PAGE, .iov_len = TK_PAGE };

		here[i] = preadv2(fd, &iov, 1, i * TK_PAGE, RWF_NOWAIT) == (ssize_t)TK_PAGE;
	}
}

/* until the vCPUs have written @pages more, or one of them does not run */
static bool progress(uint64_t pages)
{
	uint64_t end = vmm_done(&vm) + pages;

	return tk_until(vmm_done(&vm) >= end || vmm_count(&vm, VMM_RUNS) < CPUS) &&
	       vmm_count(&vm, VMM_RUNS) == CPUS;
}

static bool all_refused(void)
{
	unsigned int i, n = 0;

	if (!vmm_wait(&vm) || vmm_count(&vm, VMM_FAULTED) != CPUS)
		return false;
	for (i = 0; i < CPUS; i++)
		n += vm.cpu[i].err == EFAULT;
	return n == CPUS;
}

/* ---- the fence ---- */

static void test_what_a_page_is(void)
{
	boot_local();
	tap_ok(vmm_run(&vm, VMM_VERIFY, 1), "the guest reads what was written to the region");
	vmm_run(&vm, VMM_FILL, 2);
	read_ram(copy);
	tap_ok(!tk_wrong(copy, 0, NR, 2), "what it writes is in the region");
	end_local();
}

struct fence {
	unsigned int rounds;
	unsigned long landed;	/* pages that changed behind the fence */
	unsigned long lost;	/* pages without what the guest had written before */
	unsigned int went_on;	/* vCPUs that were not refused */
	unsigned int stuck;	/* rounds after which the guest did not go on */
};

/* One freeze under full load. */
static void freeze_once(struct fence *f, uint32_t seed)
{
	static bool here[NR];
	unsigned int retries;
	unsigned long i;

	f->rounds++;
	tk_ok(tp_region_freeze(tk_nl, "g"), "freeze");
	/* from here on nothing may change; the vCPUs are running still */
	read_what_is_here(copy, here);
	if (!all_refused()) {
		f->went_on += CPUS - vmm_count(&vm, VMM_FAULTED);
		tap_note("%s", report());
	}
	for (retries = 0; retries < 3 && !f->went_on; retries++) {
		vmm_resume(&vm);
		if (!all_refused())
			f->went_on++;
	}
	read_ram(again);
	for (i = 0; i < NR; i++)
		f->landed += here[i] && memcmp(copy + i * TK_PAGE, again + i * TK_PAGE, TK_PAGE);
	f->lost += vmm_hammer_wrong(&vm, again, seed);
	tk_ok(tp_region_thaw(tk_nl, "g"), "thaw");
	vmm_resume(&vm);
}

static void tell(const struct fence *f)
{
	tap_note("%u rounds, %lu pages changed, %lu lost, %u vCPUs went on", f->rounds, f->landed,
		 f->lost, f->went_on);
	if (vmm_bad(&vm))
		tap_note("%s", report());
}

static void test_freeze(void)
{
	struct fence f = { };

	boot_local();
	vmm_start(&vm, VMM_HAMMER, 0);
	while (f.rounds < 15 && !f.went_on && !f.stuck) {
		/* all translations are there, or only some */
		f.stuck += !progress(f.rounds % 3 ? NR * 3 : 500);
		freeze_once(&f, 1);
	}
	f.stuck += !progress(NR * 3);
	vmm_stop(&vm);
	tell(&f);
	tap_ok(!f.landed, "once a freeze has returned no write of 4 vCPUs lands any more");
	tap_ok(!f.went_on, "each is refused, again and again: KVM_RUN fails with EFAULT");
	tap_ok(!f.lost, "what they had written before is there");
	tap_ok(!f.stuck && vmm_wait(&vm) && vmm_count(&vm, VMM_IDLE) == CPUS && !vmm_bad(&vm),
	       "after thaw the guest goes on where it was refused, and finds its own writes");
	end_local();
}

/* The same when only a few pages are dirty: they are fenced one by one. */
static void test_freeze_few(void)
{
	struct fence f = { };
	unsigned int i;

	boot_local();
	for (i = 0; i < CPUS; i++) {
		vm.cpu[i].box->first = 500 + i;
		vm.cpu[i].box->pages = 8;
	}
	vmm_start(&vm, VMM_HAMMER, 0);
	while (f.rounds < 15 && !f.went_on && !f.stuck) {
		/* forget what was written by others and before */
		tk_ok(tp_region_dirty(tk_nl, "g", 0, NR, true, copy), "dirty");
		f.stuck += !progress(200);
		freeze_once(&f, 1);
	}
	vmm_stop(&vm);
	tell(&f);
	tap_ok(!f.landed && !f.went_on && !f.lost, "so it is with a few dirty pages");
	tap_ok(!f.stuck && vmm_wait(&vm) && vmm_count(&vm, VMM_IDLE) == CPUS && !vmm_bad(&vm),
	       "and the guest goes on");
	end_local();
}

/* ---- dirty pages ---- */

static uint8_t bits[NR / 8];

/* copies to @copy what is dirty in a range, and clears that; how many pages */
static unsigned long harvest(unsigned long start, unsigned long count)
{
	unsigned long i, n = 0;

	memset(bits, 0, sizeof(bits));
	tk_ok(tp_region_dirty(tk_nl, "g", start, count, true, bits), "dirty");
	for (i = 0; i < count; i++) {
		size_t at = (start + i) * TK_PAGE;

		if (!(bits[i / 8] >> i % 8 & 1))
			continue;
		if (pread(fd, copy + at, TK_PAGE, at) != (ssize_t)TK_PAGE)
			tk_die("read of the region: %m");
		n++;
	}
	return n;
}

/* Each vCPU writes to @pages pages of its share. @ranges: not the whole region at a time. */
static void harvest_rounds(const char *what, unsigned int rounds, unsigned long pages,
			   bool ranges)
{
	unsigned long copied, differ = 0, i;
	unsigned int c, n;
	bool runs = true, ended;

	for (c = 0; c < CPUS; c++)
		if (vm.cpu[c].box->pages > pages)
			vm.cpu[c].box->pages = pages;
	copied = harvest(0, NR);
	vmm_start(&vm, VMM_HAMMER, 0);
	for (n = 0; n < rounds && runs; n++) {
		unsigned long start = ranges ? (n * 389) % NR : 0;
		unsigned long count = ranges ? 1 + (n * 97) % (NR - start) : NR;

		copied += harvest(start, count);
		/* mostly in the middle of it, now and then when all was written again */
		if (n % 8 == 0)
			runs = progress(NR);
		else
			tk_nap_ms(n % 3);
	}
	vmm_stop(&vm);
	ended = vmm_wait(&vm) && vmm_count(&vm, VMM_IDLE) == CPUS;
	copied += harvest(0, NR);
	read_ram(again);
	for (i = 0; i < NR; i++)
		differ += !!memcmp(copy + i * TK_PAGE, again + i * TK_PAGE, TK_PAGE);
	tap_note("%u harvests, %llu writes, %lu pages copied, %lu differ", n,
		 (unsigned long long)vmm_done(&vm), copied, differ);
	if (!tap_ok(runs && ended && !vmm_bad(&vm) && !differ, "%s", what))
		tap_note("%s", report());
}

static void test_harvest(void)
{
	boot_local();
	read_ram(copy);
	harvest_rounds("copying what each harvest shows misses no write of 4 vCPUs", 60, NR,
		       false);
	tap_ok(!harvest(0, NR), "nothing is left behind the last");
	harvest_rounds("harvests of ranges miss none", 60, NR, true);
	harvest_rounds("few pages, cleaned one by one: none", 100, 10, false);
	end_local();
}

/* ---- samples ---- */

/* are these pages in the sample, and nothing else? @one is behind the others */
static bool told(unsigned long start, unsigned long count, unsigned long one)
{
	static struct telepage_run runs[TELEPAGE_RUNS_MAX];
	struct tp_sample s;
	size_t n;

	tk_ok(tp_region_sampled(tk_nl, "g", 0, runs, &n, &s), "sampled");
	if (n == 2 && s.touched == count + 1 && runs[0].start == start && runs[0].count == count &&
	    runs[1].start == one && runs[1].count == 1)
		return true;
	tap_note("%zu runs, %llu pages", n, (unsigned long long)s.touched);
	for (size_t i = 0; i < n && i < 8; i++)
		tap_note("%llu+%llu", (unsigned long long)runs[i].start,
			 (unsigned long long)runs[i].count);
	return false;
}

static void test_sample(void)
{
	struct vmm_cpu *cpu = &vm.cpu[0];
	uint64_t seen;
	bool runs;

	boot_local();
	vmm_run(&vm, VMM_FILL, 2);		/* the guest has translations of all pages */
	vmm_start_cpu(cpu, VMM_READBACK, 0);
	runs = vmm_ask(cpu, VMM_READ, 3, 1, &seen);
	tk_ok(tp_region_sample(tk_nl, "g", 1, 0), "sample");
	runs &= vmm_ask(cpu, VMM_READ, 100, 20, &seen) && vmm_ask(cpu, VMM_READ, 1500, 1, &seen);
	tap_ok(runs && told(100, 20, 1500), "a sample tells which pages a guest reads");
	tk_ok(tp_region_sample(tk_nl, "g", 1, 0), "sample");
	seen = 0x77;
	runs = vmm_ask(cpu, VMM_WRITE, 600, 5, &seen) && vmm_ask(cpu, VMM_READ, 1700, 1, &seen);
	tap_ok(runs && told(600, 5, 1700), "and writes, in a sample of its own");
	vmm_stop(&vm);
	vmm_wait(&vm);
	end_local();
}

/* Samples one after the other, under vCPUs that write flat out. */
static void test_sample_rounds(void)
{
	unsigned int n;
	bool runs = true;

	boot_local();
	vmm_start(&vm, VMM_HAMMER, 0);
	for (n = 0; n < 60 && runs; n++) {
		tk_ok(tp_region_sample(tk_nl, "g", 1 + n % 3, n), "sample");
		runs = n % 8 || progress(NR);
	}
	runs &= progress(NR * 3);
	vmm_stop(&vm);
	runs &= vmm_wait(&vm) && vmm_count(&vm, VMM_IDLE) == CPUS;
	read_ram(again);
	if (!tap_ok(runs && !vmm_bad(&vm) && !vmm_hammer_wrong(&vm, again, 1),
		    "a guest that is sampled again and again finds what it wrote"))
		tap_note("%s", report());
	end_local();
}

/* ---- discards ---- */

static void punch(struct vmm *m, uint64_t page, uint64_t count)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page * TK_PAGE,
		      count * TK_PAGE))
		tk_die("punch: %m");
}

/*
 * vCPU 0 reads and writes below @split when it is asked, and does not leave the guest
 * for that; the others write above it. @old: what it finds first, or 0.
 */
static void punch_rounds(const char *what, unsigned int rounds, unsigned long split, bool write)
{
	struct vmm_cpu *reader = &vm.cpu[0];
	unsigned int n, c, unread = 0, old = 0, silent = 0;
	uint32_t x = 12345;

	for (c = 1; c < CPUS; c++) {
		vm.cpu[c].box->first = split + c - 1;
		vm.cpu[c].box->step = CPUS - 1;
		vm.cpu[c].box->pages = (NR - split) / (CPUS - 1);
		vmm_start_cpu(&vm.cpu[c], VMM_HAMMER, 0);
	}
	vmm_start_cpu(reader, VMM_READBACK, 0);
	for (n = 0; n < rounds && !silent; n++) {
		uint64_t value = 0x1000 + n, seen;
		unsigned long page, count;

		x = x * 1664525 + 1013904223;
		count = 1 + (x >> 16) % (n % 4 ? 4 : 64);
		page = (x >> 8) % (split - count);
		if (write)
			silent += !vmm_ask(reader, VMM_WRITE, page, count, &value);
		/* its translations are there, and it sees what it wrote */
		if (n % 2) {
			silent += !vmm_ask(reader, VMM_READ, page, count, &seen);
			unread += write && seen != value;
		}
		punch(&vm, page, count);
		silent += !vmm_ask(reader, VMM_READ, page, count, &seen);
		old += !!seen;
	}
	vmm_stop(&vm);
	tap_note("%u discards, %u not zero", n, old);
	if (!tap_ok(vmm_wait(&vm) && vmm_count(&vm, VMM_IDLE) == CPUS && !silent && !unread && !old &&
		    !vmm_bad(&vm), "%s", what))
		tap_note("%s", report());
	vmm_share(&vm, VMM_APART);
}

/* Discards under vCPUs that read and write the same pages at the same time. */
static void balloon(const char *what, unsigned int rounds)
{
	unsigned int n;
	uint32_t x = 54321;

	vmm_start(&vm, VMM_BALLOON, 1);
	for (n = 0; n < rounds && !vmm_bad(&vm); n++) {
		unsigned long count, page;

		x = x * 1664525 + 1013904223;
		count = 1 + (x >> 16) % 16;
		page = (x >> 8) % (NR - count);
		vmm_discard_by(&vm, page, count, punch);
		if (n % 16 == 0)
			progress(200);
	}
	progress(NR);
	vmm_stop(&vm);
	if (!tap_ok(vmm_wait(&vm) && vmm_count(&vm, VMM_IDLE) == CPUS && !vmm_bad(&vm), "%s", what))
		tap_note("%s", report());
	tap_note("%u discards, %llu looks", n, (unsigned long long)vmm_done(&vm));
}

static void test_punch(void)
{
	boot_local();
	punch_rounds("once a discard has returned the guest reads zeros", 150, 512, true);
	end_local();
	boot_local();
	balloon("4 vCPUs on the same pages: zeros, or what they wrote after", 800);
	end_local();
}

/* ---- all of it while the region fills ---- */

static void test_filling(unsigned int flags)
{
	const char *how = flags ? "halted vCPUs" : "vCPUs in their faults";
	int src = boot_filling(false, flags);
	unsigned int i;

	tk_ok(tk_write_file("/sys/fs/telepage/g/prefetch", "none"), "prefetch");
	vmm_share(&vm, VMM_WHOLE);
	for (i = 0; i < CPUS; i++)
		vm.cpu[i].box->pages = NR / 4;
	if (!tap_ok(vmm_run(&vm, VMM_RANDOM, 1), "4 vCPUs wait for each page, %s: all are right", how))
		tap_note("%s", report());
	tap_ok(tk_stat("g").absent == NR - NR / 4, "and nothing else came");
	end_filling(src);

	src = boot_filling(true, flags);
	vmm_share(&vm, VMM_WHOLE);
	if (!tap_ok(vmm_run(&vm, VMM_RANDOM, 1), "the same while pages are pushed"))
		tap_note("%s", report());
	end_filling(src);
}

static void test_freeze_filling(void)
{
	struct fence f = { };
	int src = boot_filling(true, 0);

	/* two have their pages soon and write to them again and again */
	vm.cpu[0].box->pages = 40;
	vm.cpu[1].box->pages = 40;
	vmm_start(&vm, VMM_HAMMER, 0);
	while (f.rounds < 6 && !f.went_on && !f.stuck) {
		f.stuck += !progress(600);
		freeze_once(&f, 1);
	}
	f.stuck += !progress(NR);
	vmm_stop(&vm);
	tell(&f);
	tap_ok(!f.landed && !f.went_on && !f.lost,
	       "filling: once a freeze has returned no write lands, none is lost");
	tap_ok(!f.stuck && vmm_wait(&vm) && vmm_count(&vm, VMM_IDLE) == CPUS && !vmm_bad(&vm),
	       "filling: after thaw the guest goes on");
	end_filling(src);
}

static void test_harvest_filling(void)
{
	int src = boot_filling(true, 0);
	unsigned long i;

	/* what came from the peer is not dirty, so the copy begins with that */
	for (i = 0; i < NR; i++)
		tk_page(copy + i * TK_PAGE, 1, i);
	harvest_rounds("filling: no write is missed", 40, NR, false);
	end_filling(src);
}

static void test_punch_filling(void)
{
	int src = boot_filling(true, 0);

	punch_rounds("filling: a page that is discarded before it came is zero", 60, 512, false);
	end_filling(src);
	src = boot_filling(true, 0);
	balloon("filling: zeros, or what they wrote after; the peer's page only before", 300);
	end_filling(src);
}

/* ---- a guest that nobody can give its pages ---- */

static int run_guest(void *arg)
{
	vmm_ram_open(&ram, "region:g", 0);
	vmm_open(&vm, &ram, CPUS, *(unsigned int *)arg);
	vmm_share(&vm, VMM_WHOLE);
	vmm_run(&vm, VMM_RANDOM, 1);
	return 0;
}

/* how many VMs there are, and whatever else holds KVM */
static int kvm_users(void)
{
	char buf[32];

	if (*tk_cat("/sys/module/kvm_amd/refcnt", buf, sizeof(buf)))
		return atoi(buf);
	return atoi(tk_cat("/sys/module/kvm_intel/refcnt", buf, sizeof(buf)));
}

/*
 * The link is down for good, perhaps. KVM has kernel threads wait for the pages of
 * halted vCPUs, and a VM whose VMM was killed waits for these with all its memory.
 */
static void test_killed(unsigned int flags)
{
	int users = kvm_users();
	uint32_t link;
	pid_t pid;

	tk_ok(tp_link_new(tk_nl, "", &link), "link");
	tk_new("g", NR);
	tk_ok(tp_region_import(tk_nl, "g", link, 1, false), "import");
	pid = tk_fork(run_guest, &flags);
	/* the first faults may be the VMM's own */
	tk_until(tk_stat("g").stats.faults >= (flags ? 1 : CPUS));
	tk_nap_ms(500);
	kill(pid, SIGKILL);
	tap_ok(tk_reap(pid) == 128 + SIGKILL && tk_until(kvm_users() == users),
	       "a VMM can be killed while the link is down, %s",
	       flags ? "vCPUs halted" : "vCPUs in their faults");
	tap_ok(tk_stat("g").state == TELEPAGE_REGION_FILLING, "which does not give up its pages");
	tk_ok(tp_region_abandon(tk_nl, "g"), "abandon");
	tk_until(!tp_region_del(tk_nl, "g"));
	tk_ok(tp_link_del(tk_nl, link), "link del");
}

int main(void)
{
	if (vmm_missing()) {
		tap_skip("a KVM guest on a region", vmm_missing());
		return tap_done();
	}
	tk_init();
	test_what_a_page_is();
	test_freeze();
	test_freeze_few();
	test_harvest();
	test_sample();
	test_sample_rounds();
	test_punch();
	tk_far("2ms", "");
	tk_pair_open(&pair, 1, true);
	test_filling(0);
	test_filling(VMM_ASYNC_PF);
	test_freeze_filling();
	test_harvest_filling();
	test_punch_filling();
	tk_pair_close(&pair);
	test_killed(0);
	test_killed(VMM_ASYNC_PF);
	return tap_done();
}
