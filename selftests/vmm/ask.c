// SPDX-License-Identifier: GPL-2.0
/*
 * ask.c - what the guest did and found, and discards under its feet
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vmm.h"

unsigned int vmm_count(struct vmm *vm, enum vmm_state state)
{
	unsigned int i, n = 0;

	pthread_mutex_lock(&vm->lock);
	for (i = 0; i < vm->nr_cpus; i++)
		n += vm->cpu[i].state == state;
	pthread_mutex_unlock(&vm->lock);
	return n;
}

uint64_t vmm_bad(const struct vmm *vm)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < vm->nr_cpus; i++)
		n += vm->cpu[i].box->bad;
	return n;
}

uint64_t vmm_done(const struct vmm *vm)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < vm->nr_cpus; i++)
		n += vm->cpu[i].box->done;
	return n;
}

const char *vmm_report(struct vmm *vm, char *buf, size_t len)
{
	static const char * const is[] = { "is idle", "runs", "is paused", "faulted", "crashed" };
	size_t at = 0;
	unsigned int i;

	buf[0] = 0;
	pthread_mutex_lock(&vm->lock);
	for (i = 0; i < vm->nr_cpus && at < len; i++) {
		const struct vmm_cpu *cpu = &vm->cpu[i];
		const struct vmm_box *b = cpu->box;

		at += snprintf(buf + at, len - at, "%svCPU %u %s", i ? "; " : "", i,
			       is[cpu->state]);
		if (at < len && cpu->state == VMM_FAULTED)
			at += snprintf(buf + at, len - at, ": %s", strerror(cpu->err));
		if (at < len && cpu->state == VMM_CRASHED)
			at += snprintf(buf + at, len - at,
				       ": exit %u, trap %llu error %#llx at %#llx address %#llx",
				       cpu->reason, (unsigned long long)b->trap,
				       (unsigned long long)b->trap_error,
				       (unsigned long long)b->trap_at,
				       (unsigned long long)b->trap_address);
		if (at < len && b->bad)
			at += snprintf(buf + at, len - at,
				       ", bad %llu first %llu word %llu is %#llx not %#llx",
				       (unsigned long long)b->bad, (unsigned long long)b->bad_page,
				       (unsigned long long)b->bad_word,
				       (unsigned long long)b->bad_got,
				       (unsigned long long)b->bad_want);
	}
	pthread_mutex_unlock(&vm->lock);
	return buf;
}

static void tell_file(const struct vmm_cpu *cpu, const char *name)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", cpu->tid, name);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "vmm: vCPU %u %s: %s", cpu->nr, name, line);
	if (f)
		fclose(f);
}

void vmm_tell_hang(struct vmm *vm)
{
	unsigned int i, naps;

	pthread_mutex_lock(&vm->lock);
	for (i = 0; i < vm->nr_cpus; i++) {
		struct vmm_cpu *cpu = &vm->cpu[i];
		unsigned long runs = cpu->runs;
		struct kvm_regs r;

		if (cpu->state != VMM_RUNS)
			continue;
		fprintf(stderr, "vmm: vCPU %u runs, stop %u, done %llu\n", i, cpu->box->stop,
			(unsigned long long)cpu->box->done);
		tell_file(cpu, "stack");
		tell_file(cpu, "syscall");
		/* out of KVM_RUN for a moment, if it comes out: where is the guest? */
		cpu->pause = true;
		__atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		pthread_kill(cpu->thread, VMM_KICK);
		for (naps = 0; naps < 500 && cpu->state == VMM_RUNS; naps++) {
			pthread_mutex_unlock(&vm->lock);
			usleep(10000);
			pthread_mutex_lock(&vm->lock);
		}
		if (cpu->state == VMM_PAUSED && !ioctl(cpu->fd, KVM_GET_REGS, &r))
			fprintf(stderr, "vmm: vCPU %u left KVM_RUN %lu times, rip %#llx rsp %#llx\n", i,
				runs, r.rip, r.rsp);
		else
			fprintf(stderr, "vmm: vCPU %u does not come out of KVM_RUN\n", i);
		if (cpu->state == VMM_PAUSED) {
			cpu->run->immediate_exit = 0;
			cpu->state = VMM_RUNS;
			pthread_cond_broadcast(&vm->changed);
		}
		cpu->pause = false;
	}
	pthread_mutex_unlock(&vm->lock);
}

static bool is_hammered(const struct vmm_box *b, uint64_t i, const uint64_t *p)
{
	uint64_t page = b->first + i * b->step, epoch = vmm_epoch(b), at = vmm_at(b);
	uint64_t new = vmm_hammer_word(epoch, page), old = vmm_hammer_word(epoch - 1, page);
	uint64_t head = p[0], tail = p[VMM_WORDS - 1];

	if (i < at)
		return head == new && tail == new;
	if (epoch <= b->base + 1)
		return true;
	if (i > at)
		return head == old && tail == old;
	return (head == new && (tail == new || tail == old)) || (head == old && tail == old);
}

unsigned long vmm_hammer_wrong(struct vmm *vm, const uint8_t *mem, uint32_t seed)
{
	unsigned long n = 0;
	unsigned int c, w;
	uint64_t i;

	for (c = 0; c < vm->nr_cpus; c++) {
		const struct vmm_box *b = vm->cpu[c].box;

		for (i = 0; i < b->pages; i++) {
			uint64_t page = b->first + i * b->step;
			const uint64_t *p = (const uint64_t *)(mem + page * VMM_PAGE);
			bool good = is_hammered(b, i, p);

			for (w = 1; seed && good && w < VMM_WORDS - 1; w++)
				good = p[w] == vmm_word(seed, page, w);
			n += !good;
		}
	}
	return n;
}

bool vmm_ask(struct vmm_cpu *cpu, enum vmm_ask what, uint64_t page, uint64_t count,
	     uint64_t *value)
{
	struct vmm_box *b = cpu->box;
	unsigned int spins = 0;
	struct timespec now;
	time_t end;

	b->what = what;
	b->page = page;
	b->count = count;
	if (what == VMM_WRITE)
		b->value = *value;
	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec + VMM_LONG;
	__atomic_store_n(&b->ask, b->ask + 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&b->answer, __ATOMIC_SEQ_CST) != b->ask) {
		/* the guest's thread may need this CPU */
		if (++spins > 50)
			usleep(50);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > end)
			return false;
	}
	if (what == VMM_READ)
		*value = b->all;
	return true;
}

void vmm_discard_by(struct vmm *vm, uint64_t page, uint64_t count,
		    void (*how)(struct vmm *vm, uint64_t page, uint64_t count))
{
	struct vmm_mark *m = (struct vmm_mark *)(vm->own + VMM_MARKS);
	uint64_t i;

	for (i = page; i < page + count; i++)
		__atomic_add_fetch(&m[i].begun, 1, __ATOMIC_SEQ_CST);
	how(vm, page, count);
	for (i = page; i < page + count; i++)
		__atomic_add_fetch(&m[i].over, 1, __ATOMIC_SEQ_CST);
}

static void advise(struct vmm *vm, uint64_t page, uint64_t count)
{
	int err;

	/* a userfaultfd whose handler is behind lets one try again */
	do {
		err = madvise(vm->ram->mem + page * VMM_PAGE, count * VMM_PAGE,
			      vm->ram->shared ? MADV_REMOVE : MADV_DONTNEED);
	} while (err && errno == EAGAIN);
	if (err)
		vmm_die("discard of page %llu: %m", (unsigned long long)page);
}

void vmm_discard(struct vmm *vm, uint64_t page, uint64_t count)
{
	vmm_discard_by(vm, page, count, advise);
}
