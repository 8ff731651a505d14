// SPDX-License-Identifier: GPL-2.0
/*
 * vmm.c - the machine: KVM, vCPUs in 64-bit mode, and the threads that run them
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vmm.h"

void vmm_die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("vmm: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(3);
}

const char *vmm_missing(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return "no /dev/kvm";
	close(fd);
	return NULL;
}

/* ---- making it ---- */

/* 2 MiB pages, virtual as physical: the VMM's own memory, and RAM */
static void make_tables(struct vmm *vm)
{
	uint64_t *pml4 = (uint64_t *)(vm->own + VMM_TABLES), *pdpt = pml4 + 512;
	uint64_t *own = pdpt + 512, *ram = own + 512;
	uint64_t at;

	pml4[0] = (VMM_TABLES + 0x1000) | 3;
	pdpt[0] = (VMM_TABLES + 0x2000) | 3;
	pdpt[VMM_RAM >> 30] = (VMM_TABLES + 0x3000) | 3;
	for (at = 0; at < VMM_OWN; at += 2 << 20)
		own[at >> 21] = at | 0x83;
	for (at = 0; at < vm->ram->size; at += 2 << 20)
		ram[at >> 21] = (VMM_RAM + at) | 0x83;
}

/* Traps lead to the guest's own code, which says what they were. */
static void make_gates(struct vmm *vm)
{
	uint64_t *gdt = (uint64_t *)(vm->own + VMM_GDT), *gate = (uint64_t *)(vm->own + VMM_IDT);
	unsigned int i;

	gdt[1] = 0x00af9b000000ffff;	/* 0x08: code */
	gdt[2] = 0x00cf93000000ffff;	/* 0x10: data */
	for (i = 0; i < VMM_TRAPS; i++) {
		uint64_t at = VMM_CODE + i * VMM_TRAP;

		gate[i * 2] = (at & 0xffff) | 0x08 << 16 | 0x8e00UL << 32 | (at >> 16 & 0xffff) << 48;
	}
}

static void add_memory(struct vmm *vm, unsigned int slot, uint64_t at, void *mem, size_t size)
{
	struct kvm_userspace_memory_region m = {
		.slot = slot,
		.guest_phys_addr = at,
		.memory_size = size,
		.userspace_addr = (uintptr_t)mem,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &m))
		vmm_die("KVM_SET_USER_MEMORY_REGION: %m");
}

static void set_cpuid(struct vmm *vm)
{
	const unsigned int nr = 256;
	struct kvm_cpuid2 *id = calloc(1, sizeof(*id) + nr * sizeof(id->entries[0]));
	unsigned int i;

	if (!id)
		vmm_die("out of memory");
	id->nent = nr;
	if (ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, id))
		vmm_die("KVM_GET_SUPPORTED_CPUID: %m");
	for (i = 0; i < vm->nr_cpus; i++)
		if (ioctl(vm->cpu[i].fd, KVM_SET_CPUID2, id))
			vmm_die("KVM_SET_CPUID2: %m");
	free(id);
}

static void set_long_mode(struct vmm_cpu *cpu)
{
	struct kvm_segment data = {
		.limit = 0xffffffff, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1,
		.selector = 0x10,
	};
	struct kvm_segment code = data;
	struct kvm_sregs s;

	if (ioctl(cpu->fd, KVM_GET_SREGS, &s))
		vmm_die("KVM_GET_SREGS: %m");
	code.type = 11;
	code.db = 0;
	code.l = 1;
	code.selector = 0x08;
	s.cs = code;
	s.ds = data;
	s.es = data;
	s.fs = data;
	s.gs = data;
	s.ss = data;
	s.gdt = (struct kvm_dtable){ .base = VMM_GDT, .limit = 3 * 8 - 1 };
	s.idt = (struct kvm_dtable){ .base = VMM_IDT, .limit = VMM_TRAPS * 16 - 1 };
	s.cr0 = 0x80000021;	/* paging, numeric error, protection */
	s.cr3 = VMM_TABLES;
	s.cr4 = 0x20;		/* PAE */
	s.efer = 0x500;		/* long mode, active */
	if (ioctl(cpu->fd, KVM_SET_SREGS, &s))
		vmm_die("KVM_SET_SREGS: %m");
}

static void *run_cpu(void *arg);

static void add_cpu(struct vmm *vm, unsigned int nr)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct vmm_cpu *cpu = &vm->cpu[nr];

	cpu->vm = vm;
	cpu->nr = nr;
	cpu->box = (struct vmm_box *)(vm->own + VMM_BOXES + nr * VMM_PAGE);
	cpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, nr);
	if (cpu->fd < 0)
		vmm_die("KVM_CREATE_VCPU: %m");
	cpu->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	if (cpu->run == MAP_FAILED)
		vmm_die("mmap of a vCPU: %m");
	/* nobody sends the others a start-up interrupt */
	if (vm->flags & VMM_ASYNC_PF && ioctl(cpu->fd, KVM_SET_MP_STATE, &runnable))
		vmm_die("KVM_SET_MP_STATE: %m");
}

static void nothing(int sig)
{
}

void vmm_open(struct vmm *vm, struct vmm_ram *ram, unsigned int cpus, unsigned int flags)
{
	struct sigaction sa = { .sa_handler = nothing };
	unsigned int i;
	int size;

	if (!cpus || cpus > VMM_CPUS)
		vmm_die("%u vCPUs: 1 to %u", cpus, VMM_CPUS);
	sigaction(VMM_KICK, &sa, NULL);
	*vm = (struct vmm){ .ram = ram, .nr_cpus = cpus, .flags = flags };
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->changed, NULL);
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		vmm_die("/dev/kvm: %m");
	size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	if (size < 0 || vm->fd < 0)
		vmm_die("KVM_CREATE_VM: %m");
	vm->run_size = size;
	/* Intel's needs a place for these before 2010's hardware; where nothing else is */
	ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000);
	if (flags & VMM_ASYNC_PF && ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0))
		vmm_die("KVM_CREATE_IRQCHIP: %m");
	vm->own = mmap(NULL, VMM_OWN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm->own == MAP_FAILED)
		vmm_die("mmap: %m");
	/* what the kernel does with large pages is not to be seen in a test of RAM */
	madvise(vm->own, VMM_OWN, MADV_NOHUGEPAGE);
	memcpy(vm->own + VMM_CODE, vmm_blob, vmm_blob_end - vmm_blob);
	make_tables(vm);
	make_gates(vm);
	add_memory(vm, 0, 0, vm->own, VMM_OWN);
	add_memory(vm, 1, VMM_RAM, ram->mem, ram->size);
	for (i = 0; i < cpus; i++)
		add_cpu(vm, i);
	set_cpuid(vm);
	vmm_share(vm, VMM_WHOLE);
	for (i = 0; i < cpus; i++) {
		set_long_mode(&vm->cpu[i]);
		errno = pthread_create(&vm->cpu[i].thread, NULL, run_cpu, &vm->cpu[i]);
		if (errno)
			vmm_die("thread: %m");
	}
}

void vmm_close(struct vmm *vm)
{
	unsigned int i;

	pthread_mutex_lock(&vm->lock);
	for (i = 0; i < vm->nr_cpus; i++) {
		struct vmm_cpu *cpu = &vm->cpu[i];

		cpu->quit = true;
		if (cpu->state == VMM_RUNS) {
			__atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
			pthread_kill(cpu->thread, VMM_KICK);
		}
	}
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
	for (i = 0; i < vm->nr_cpus; i++) {
		pthread_join(vm->cpu[i].thread, NULL);
		munmap(vm->cpu[i].run, vm->run_size);
		close(vm->cpu[i].fd);
	}
	close(vm->fd);
	close(vm->kvm);
	munmap(vm->own, VMM_OWN);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->lock);
}

/* ---- a vCPU's thread ---- */

static void set_registers(struct vmm_cpu *cpu)
{
	struct kvm_regs r = {
		.rip = VMM_ENTRY,
		.rdi = VMM_BOXES + cpu->nr * VMM_PAGE,
		/* as behind a call */
		.rsp = VMM_STACKS + (cpu->nr + 1) * VMM_STACK - 8,
		.rflags = 2,
	};

	if (ioctl(cpu->fd, KVM_SET_REGS, &r))
		vmm_die("KVM_SET_REGS: %m");
}

/* KVM completes the instruction that made it exit when it is entered again. */
static void complete_exit(struct vmm_cpu *cpu)
{
	cpu->run->immediate_exit = 1;
	ioctl(cpu->fd, KVM_RUN, 0);
	cpu->run->immediate_exit = 0;
}

/* One KVM_RUN, and what became of the vCPU. */
static enum vmm_state enter(struct vmm_cpu *cpu)
{
	int err = ioctl(cpu->fd, KVM_RUN, 0) ? errno : 0;

	if (err == EINTR || err == EAGAIN)
		return VMM_RUNS;
	if (err) {
		cpu->err = err;
		return VMM_FAULTED;
	}
	cpu->reason = cpu->run->exit_reason;
	if (cpu->reason == KVM_EXIT_IO && cpu->run->io.port == VMM_PORT_DONE) {
		complete_exit(cpu);
		return VMM_IDLE;
	}
	return cpu->reason == KVM_EXIT_INTR ? VMM_RUNS : VMM_CRASHED;
}

static void *run_cpu(void *arg)
{
	struct vmm_cpu *cpu = arg;
	struct vmm *vm = cpu->vm;

	pthread_mutex_lock(&vm->lock);
	cpu->tid = gettid();
	while (!cpu->quit) {
		enum vmm_state state;

		if (cpu->state != VMM_RUNS) {
			pthread_cond_wait(&vm->changed, &vm->lock);
			continue;
		}
		if (cpu->fresh)
			set_registers(cpu);
		cpu->fresh = false;
		pthread_mutex_unlock(&vm->lock);
		state = enter(cpu);
		pthread_mutex_lock(&vm->lock);
		cpu->runs++;
		if (state == VMM_RUNS && cpu->pause)
			state = VMM_PAUSED;
		cpu->state = state;
		pthread_cond_broadcast(&vm->changed);
	}
	pthread_mutex_unlock(&vm->lock);
	return NULL;
}

/* ---- programs ---- */

void vmm_share(struct vmm *vm, enum vmm_shares how)
{
	unsigned long pages = vmm_pages(vm->ram);
	unsigned int i;

	for (i = 0; i < vm->nr_cpus; i++) {
		struct vmm_box *box = vm->cpu[i].box;

		box->first = how == VMM_APART ? i : 0;
		box->step = how == VMM_APART ? vm->nr_cpus : 1;
		box->pages = (pages - box->first + box->step - 1) / box->step;
	}
}

void vmm_start_cpu(struct vmm_cpu *cpu, enum vmm_program program, uint32_t seed)
{
	struct vmm_box *box = cpu->box;

	pthread_mutex_lock(&cpu->vm->lock);
	if (cpu->state != VMM_IDLE)
		vmm_die("vCPU %u is not idle", cpu->nr);
	box->program = program;
	box->seed = seed;
	box->stop = 0;
	box->interrupts = cpu->vm->flags & VMM_ASYNC_PF;
	box->random = (seed + 1) * 0x9e3779b97f4a7c15 + cpu->nr * 0x2545f4914f6cdd1d;
	box->done = 0;
	box->bad = 0;
	box->trap = VMM_TRAPS;
	box->answer = box->ask;
	cpu->run->immediate_exit = 0;
	cpu->pause = false;
	cpu->fresh = true;
	cpu->state = VMM_RUNS;
	pthread_cond_broadcast(&cpu->vm->changed);
	pthread_mutex_unlock(&cpu->vm->lock);
}

void vmm_start(struct vmm *vm, enum vmm_program program, uint32_t seed)
{
	unsigned int i;

	for (i = 0; i < vm->nr_cpus; i++)
		vmm_start_cpu(&vm->cpu[i], program, seed);
}

void vmm_stop(struct vmm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_cpus; i++)
		vm->cpu[i].box->stop = 1;
}

static bool wait_cpus(struct vmm *vm, unsigned int first, unsigned int nr)
{
	struct timespec end;
	unsigned int i;
	int err = 0;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += VMM_LONG;
	pthread_mutex_lock(&vm->lock);
	for (i = first; i < first + nr && !err;) {
		if (vm->cpu[i].state != VMM_RUNS)
			i++;
		else
			err = pthread_cond_timedwait(&vm->changed, &vm->lock, &end);
	}
	pthread_mutex_unlock(&vm->lock);
	if (err)
		vmm_tell_hang(vm);
	return !err;
}

bool vmm_wait(struct vmm *vm)
{
	return wait_cpus(vm, 0, vm->nr_cpus);
}

bool vmm_wait_cpu(struct vmm_cpu *cpu)
{
	return wait_cpus(cpu->vm, cpu->nr, 1);
}

bool vmm_run(struct vmm *vm, enum vmm_program program, uint32_t seed)
{
	char buf[512];
	bool good;

	vmm_start(vm, program, seed);
	good = vmm_wait(vm) && vmm_count(vm, VMM_IDLE) == vm->nr_cpus && !vmm_bad(vm);
	if (!good)
		fprintf(stderr, "%s\n", vmm_report(vm, buf, sizeof(buf)));
	return good;
}

bool vmm_pause(struct vmm *vm)
{
	unsigned int i;

	pthread_mutex_lock(&vm->lock);
	for (i = 0; i < vm->nr_cpus; i++) {
		struct vmm_cpu *cpu = &vm->cpu[i];

		if (cpu->state != VMM_RUNS)
			continue;
		cpu->pause = true;
		/* before the signal: one that comes outside of KVM_RUN is not lost */
		__atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		pthread_kill(cpu->thread, VMM_KICK);
	}
	pthread_mutex_unlock(&vm->lock);
	return vmm_wait(vm);
}

void vmm_resume(struct vmm *vm)
{
	unsigned int i;

	pthread_mutex_lock(&vm->lock);
	for (i = 0; i < vm->nr_cpus; i++) {
		struct vmm_cpu *cpu = &vm->cpu[i];

		if (cpu->state != VMM_PAUSED && cpu->state != VMM_FAULTED)
			continue;
		cpu->run->immediate_exit = 0;
		cpu->pause = false;
		cpu->state = VMM_RUNS;
	}
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
}
