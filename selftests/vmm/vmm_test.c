// SPDX-License-Identifier: GPL-2.0
/*
 * vmm_test.c - the VMM that other tests rely on: does it see what is wrong?
 *
 * Each kind of guest RAM, good, and with faults planted by us or by the handler that
 * serves it over a userfaultfd.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handler.h"
#include "tap.h"
#include "vmm.h"

#define SIZE	(8UL << 20)
#define SEED	7
#define SOCKET	"/tmp/tk-vmm-test.sock"

static const char * const backings[] = { "anon", "memfd", "huge", "huge-memfd" };

static char said[512];

static const char *report(struct vmm *vm)
{
	return vmm_report(vm, said, sizeof(said));
}

/* huge pages for two such guests, or they are left out */
static bool have_huge(void)
{
	static const char path[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
	unsigned long n = 0;
	FILE *f = fopen(path, "r+");

	if (!f)
		return false;
	fprintf(f, "%lu", SIZE >> 20);
	fclose(f);
	f = fopen(path, "r");
	if (f && fscanf(f, "%lu", &n) != 1)
		n = 0;
	if (f)
		fclose(f);
	return n >= SIZE >> 20;
}

static void give_back_huge(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "w");

	if (f) {
		fputs("0", f);
		fclose(f);
	}
}

/* ---- without a handler ---- */

static void test_programs(const char *spec, unsigned int cpus, unsigned int flags)
{
	const char *how = flags ? ", interrupt controllers" : "";
	unsigned long pages = SIZE / VMM_PAGE;
	struct vmm_ram ram;
	struct vmm vm;

	vmm_ram_open(&ram, spec, SIZE);
	vmm_open(&vm, &ram, cpus, flags);
	vmm_share(&vm, VMM_APART);
	tap_ok(vmm_run(&vm, VMM_FILL, SEED) && vmm_done(&vm) == pages &&
	       !vmm_wrong(ram.mem, pages, SEED), "%s, %u vCPUs%s: fill writes every page", spec, cpus,
	       how);
	vmm_share(&vm, VMM_WHOLE);
	tap_ok(vmm_run(&vm, VMM_VERIFY, SEED) && vmm_run(&vm, VMM_RANDOM, SEED) &&
	       vmm_done(&vm) == pages * cpus, "verify and random see that, and all of it");
	ram.mem[1234 * VMM_PAGE + 4095] ^= 1;
	vmm_start(&vm, VMM_VERIFY, SEED);
	tap_ok(vmm_wait(&vm) && vmm_bad(&vm) == cpus && vm.cpu[0].box->bad_page == 1234 &&
	       vm.cpu[0].box->bad_word == 511, "verify finds one wrong bit");
	vmm_start(&vm, VMM_RANDOM, SEED);
	tap_ok(vmm_wait(&vm) && vmm_bad(&vm) == cpus, "so does random");
	vmm_close(&vm);
	vmm_ram_close(&ram);
}

static void test_hammer(unsigned int cpus)
{
	unsigned long pages = SIZE / VMM_PAGE, rounds, wrong = 0;
	struct vmm_ram ram;
	struct vmm_box *box;
	struct vmm vm;
	uint64_t page;
	bool moved = true, still = true;

	vmm_ram_open(&ram, "anon", SIZE);
	vmm_open(&vm, &ram, cpus, 0);
	vmm_share(&vm, VMM_APART);
	vmm_run(&vm, VMM_FILL, SEED);
	vmm_start(&vm, VMM_HAMMER, 0);
	for (rounds = 0; rounds < 20; rounds++) {
		uint64_t before = vmm_done(&vm), at;

		while (vmm_done(&vm) < before + 2 * pages)
			usleep(1000);
		moved &= vmm_pause(&vm) && vmm_count(&vm, VMM_PAUSED) == cpus;
		at = vmm_done(&vm);
		wrong += vmm_hammer_wrong(&vm, ram.mem, SEED);
		still &= vmm_done(&vm) == at;
		vmm_resume(&vm);
	}
	tap_ok(moved && still && !wrong,
	       "hammer, %u vCPUs: paused 20 times, RAM holds what they wrote", cpus);
	vmm_pause(&vm);
	/* a page that is not the one being written: its value is a pass too old */
	box = vm.cpu[cpus - 1].box;
	page = box->first + (vmm_at(box) + box->pages / 2) % box->pages * box->step;
	*(uint64_t *)(ram.mem + page * VMM_PAGE) -= 1UL << 32;
	tap_ok(vmm_hammer_wrong(&vm, ram.mem, 0) == 1, "a page with an older value is seen from outside");
	vmm_resume(&vm);
	for (rounds = 0; rounds < VMM_LONG * 1000 && !vmm_bad(&vm); rounds++)
		usleep(1000);
	vmm_stop(&vm);
	tap_ok(vmm_wait(&vm) && vmm_bad(&vm) == 1 && box->bad_page == page,
	       "and by the guest, when it comes there");
	vmm_close(&vm);
	vmm_ram_close(&ram);
}

static void test_crash(void)
{
	struct vmm_ram ram;
	struct vmm vm;

	vmm_ram_open(&ram, "anon", SIZE);
	vmm_open(&vm, &ram, 1, 0);
	vm.cpu[0].box->first = 1UL << 50;	/* no canonical address */
	vmm_start(&vm, VMM_VERIFY, SEED);
	tap_ok(vmm_wait(&vm) && vmm_count(&vm, VMM_CRASHED) == 1 && vm.cpu[0].box->trap == 13,
	       "a guest that crashes is no good one");
	vmm_close(&vm);
	vmm_ram_close(&ram);
}

static void test_readback(void)
{
	struct vmm_ram ram;
	uint64_t value = 0x42;
	struct vmm vm;

	vmm_ram_open(&ram, "memfd", SIZE);
	vmm_open(&vm, &ram, 1, 0);
	vmm_start(&vm, VMM_READBACK, 0);
	tap_ok(vmm_ask(&vm.cpu[0], VMM_WRITE, 10, 5, &value) && ram.mem[14 * VMM_PAGE] == 0x42 &&
	       !ram.mem[15 * VMM_PAGE], "the guest writes when asked");
	tap_ok(vmm_ask(&vm.cpu[0], VMM_READ, 14, 1, &value) && value == 0x42 &&
	       vmm_ask(&vm.cpu[0], VMM_READ, 15, 100, &value) && !value, "and reads");
	vmm_discard(&vm, 12, 3);
	tap_ok(vmm_ask(&vm.cpu[0], VMM_READ, 12, 3, &value) && !value &&
	       vmm_ask(&vm.cpu[0], VMM_READ, 11, 2, &value) && value == 0x42,
	       "what was discarded is zero for it");
	vmm_stop(&vm);
	vmm_wait(&vm);
	vmm_close(&vm);
	vmm_ram_close(&ram);
}

/* ---- with a handler ---- */

struct served {
	struct handler handler;
	struct vmm_ram ram;
	struct vmm_uffd uffd;
	struct vmm vm;
};

static void serve(struct served *s, const char *spec, unsigned int cpus, enum vmm_sizes sizes,
		  bool minor)
{
	vmm_ram_open(&s->ram, spec, SIZE);
	handler_start(&s->handler, SOCKET, SEED, s->ram.page_size);
	vmm_open(&s->vm, &s->ram, cpus, 0);
	vmm_uffd_open(&s->uffd, &s->ram, SOCKET, sizes, 0, minor);
}

static void served_end(struct served *s)
{
	vmm_close(&s->vm);
	handler_end(&s->handler);
	vmm_uffd_close(&s->uffd);
	vmm_ram_close(&s->ram);
}

static void test_handler(const char *spec, unsigned int cpus)
{
	static const char * const words[] = { "both page sizes", "one", "none" };
	unsigned long pages = SIZE / VMM_PAGE;
	enum vmm_sizes sizes;
	struct served s = { };

	for (sizes = VMM_SIZES_BOTH; sizes <= VMM_SIZES_NONE; sizes++) {
		const struct handler *h = &s.handler;

		/* the message is the same for all */
		if (sizes != VMM_SIZES_BOTH && (cpus > 1 || s.ram.shared))
			break;
		serve(&s, spec, cpus, sizes, false);
		if (sizes != VMM_SIZES_BOTH)
			s.vm.cpu[0].box->pages = pages = 512;
		vmm_start(&s.vm, VMM_RANDOM, SEED);
		tap_ok(vmm_wait(&s.vm) && vmm_count(&s.vm, VMM_IDLE) == cpus && !vmm_bad(&s.vm) &&
		       vmm_done(&s.vm) == pages * cpus &&
		       h->missing >= pages * VMM_PAGE / s.ram.page_size,
		       "%s, %u vCPUs: every page comes from the handler", spec, cpus);
		tap_ok(h->base == (uintptr_t)s.ram.mem && h->size == SIZE && h->peer == getpid() &&
		       h->both_sizes == (sizes == VMM_SIZES_BOTH) &&
		       h->page_size == (sizes == VMM_SIZES_NONE ? 0 : s.ram.page_size),
		       "told where RAM is, and of page sizes %s", words[sizes]);
		served_end(&s);
	}
	vmm_ram_open(&s.ram, spec, SIZE);
	handler_start(&s.handler, SOCKET, SEED, s.ram.page_size);
	s.handler.wrong_page = 999;
	vmm_open(&s.vm, &s.ram, cpus, 0);
	vmm_uffd_open(&s.uffd, &s.ram, SOCKET, VMM_SIZES_BOTH, 0, false);
	vmm_start(&s.vm, VMM_RANDOM, SEED);
	if (!tap_ok(vmm_wait(&s.vm) && vmm_bad(&s.vm) == cpus && s.vm.cpu[0].box->bad_page == 999,
		    "%s, %u vCPUs: the one page that the handler gets wrong is found", spec, cpus))
		tap_note("%s", report(&s.vm));
	served_end(&s);
}

static void test_minor(void)
{
	struct served s;
	void *other;
	unsigned long i;

	vmm_ram_open(&s.ram, "memfd", SIZE);
	/* half of it is in the memfd, through another mapping, before anybody looks */
	other = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s.ram.fd, 0);
	for (i = 0; i < SIZE / VMM_PAGE; i += 2)
		vmm_page((uint8_t *)other + i * VMM_PAGE, SEED, i);
	munmap(other, SIZE);
	handler_start(&s.handler, SOCKET, SEED, VMM_PAGE);
	vmm_open(&s.vm, &s.ram, 2, 0);
	vmm_uffd_open(&s.uffd, &s.ram, SOCKET, VMM_SIZES_BOTH, 0, true);
	tap_ok(vmm_run(&s.vm, VMM_RANDOM, SEED) && s.handler.minor >= SIZE / VMM_PAGE / 2 &&
	       s.handler.missing >= SIZE / VMM_PAGE / 2, "memfd: missing and minor faults");
	served_end(&s);
}

static void look_on(struct served *s, uint64_t times)
{
	uint64_t end = vmm_done(&s->vm) + times;
	unsigned int naps = 0;

	while (vmm_done(&s->vm) < end && vmm_count(&s->vm, VMM_RUNS) == s->vm.nr_cpus) {
		if (++naps > VMM_LONG * 10000)
			vmm_die("the guest does not go on: %s", report(&s->vm));
		usleep(100);
	}
}

/* discards at random while vCPUs fault; ends early when one saw what it must not */
static void inflate(struct served *s, bool forgets)
{
	uint64_t unit = s->ram.page_size / VMM_PAGE, units = vmm_pages(&s->ram) / unit, i;

	s->handler.forgets = forgets;
	vmm_share(&s->vm, VMM_APART);
	vmm_start(&s->vm, VMM_BALLOON, SEED);
	for (i = 0; i < 600 && !vmm_bad(&s->vm); i++) {
		uint64_t first = random() % units, n = 1 + random() % 3;

		if (n > units - first)
			n = units - first;
		vmm_discard(&s->vm, first * unit, n * unit);
		/* let the guest look, but not each time: several may fall into one look */
		if (i % 4 == 0)
			look_on(s, 8);
	}
	/* the last may not have been looked at yet */
	look_on(s, 400);
	vmm_stop(&s->vm);
}

static void test_balloon(const char *spec, unsigned int cpus)
{
	struct served s;

	serve(&s, spec, cpus, VMM_SIZES_BOTH, false);
	inflate(&s, false);
	if (!tap_ok(vmm_wait(&s.vm) && vmm_count(&s.vm, VMM_IDLE) == cpus && !vmm_bad(&s.vm) &&
		    s.handler.removed, "%s, %u vCPUs: a balloon's pages are zero or written anew", spec,
		    cpus))
		tap_note("%s", report(&s.vm));
	tap_note("%lu pages discarded, %lu faults, %llu looks", s.handler.removed, s.handler.missing,
		 (unsigned long long)vmm_done(&s.vm));
	served_end(&s);

	serve(&s, spec, cpus, VMM_SIZES_BOTH, false);
	inflate(&s, true);
	tap_ok(vmm_wait(&s.vm) && vmm_bad(&s.vm), "a handler that brings old content back is caught");
	served_end(&s);
}

int main(void)
{
	unsigned int nr = 4, i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (vmm_missing()) {
		tap_skip("the VMM", vmm_missing());
		return tap_done();
	}
	if (!have_huge()) {
		tap_skip("RAM of huge pages", "not enough of them");
		nr = 2;
	}
	test_programs("anon", 1, 0);
	test_programs("memfd", 4, 0);
	test_programs("anon", 4, VMM_ASYNC_PF);
	test_crash();
	test_hammer(1);
	test_hammer(4);
	test_readback();
	for (i = 0; i < nr; i++) {
		test_handler(backings[i], 1);
		test_handler(backings[i], 4);
		test_balloon(backings[i], i % 2 ? 4 : 1);
	}
	test_minor();
	give_back_huge();
	return tap_done();
}
