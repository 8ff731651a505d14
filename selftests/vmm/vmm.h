/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vmm.h - a small VMM for tests
 *
 * Runs the programs of guest.h on up to four vCPUs. A test drives it in its own
 * process:
 *
 *	struct vmm_ram ram;
 *	struct vmm vm;
 *
 *	vmm_ram_open(&ram, "region:vm0", 0);
 *	vmm_open(&vm, &ram, 4, 0);
 *	vmm_share(&vm, VMM_APART);
 *	vmm_start(&vm, VMM_HAMMER, 0);
 *	...
 *	vmm_stop(&vm);
 *	if (!vmm_wait(&vm))
 *		... a vCPU hangs
 *	vmm_close(&vm);
 *	vmm_ram_close(&ram);
 *
 * All of it is for one thread, but for vmm_discard(). A VMM that cannot do its part
 * ends the program with status 3; what the guest meets is for the test to judge.
 */
#ifndef TELEPAGE_VMM_H
#define TELEPAGE_VMM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest.h"

#define VMM_LONG	60	/* seconds; a deadline for what has no reason to take time */

extern const uint8_t vmm_blob[], vmm_blob_end[];

__attribute__((format(printf, 1, 2), noreturn))
void vmm_die(const char *fmt, ...);

#define VMM_KICK	SIGUSR2	/* to a vCPU's thread */

/* ---- guest RAM ---- */

struct vmm_ram {
	uint8_t *mem;
	size_t size;
	size_t page_size;	/* of the backing: 4 KiB or 2 MiB */
	bool shared;		/* a discard is MADV_REMOVE then, else MADV_DONTNEED */
	int fd;			/* of a file, or -1 */
};

/*
 * @spec: what guest RAM is made of
 *
 *	anon		anonymous memory, in pages of 4 KiB
 *	memfd		a memfd, shared
 *	huge		anonymous memory of 2 MiB pages, which must be reserved
 *	huge-memfd	a memfd of such
 *	region:NAME	/run/telepage/NAME, shared
 *	file:PATH	any file, shared
 *	private:PATH	a private mapping of a file; a discard brings its content back
 *
 * @size: bytes; 0 with a file: all of it
 */
void vmm_ram_open(struct vmm_ram *ram, const char *spec, size_t size);
void vmm_ram_close(struct vmm_ram *ram);

static inline unsigned long vmm_pages(const struct vmm_ram *ram)
{
	return ram->size / VMM_PAGE;
}

/* the same pattern from outside: how many pages are not what FILL with @seed writes */
void vmm_page(void *buf, uint32_t seed, unsigned long index);
unsigned long vmm_wrong(const void *mem, unsigned long pages, uint32_t seed);

/* ---- the machine ---- */

enum vmm_state {
	VMM_IDLE,	/* has not begun, or its program came to its end */
	VMM_RUNS,
	VMM_PAUSED,
	VMM_FAULTED,	/* KVM_RUN failed with ->err; vmm_resume() tries again */
	VMM_CRASHED,	/* another exit, see ->reason */
};

struct vmm_cpu {
	struct vmm *vm;
	unsigned int nr;
	int fd;
	struct kvm_run *run;
	struct vmm_box *box;
	pthread_t thread;

	/* protected by vm->lock */
	enum vmm_state state;
	bool fresh;		/* begins a program */
	bool pause, quit;
	pid_t tid;
	int err;
	uint32_t reason;
	unsigned long runs;	/* KVM_RUN returned */
};

enum {
	VMM_ASYNC_PF = 1,	/* interrupt controllers in the kernel, so KVM may halt a
				 * vCPU that needs an absent page and let a worker get it
				 */
};

struct vmm {
	int kvm, fd;
	size_t run_size;
	unsigned int flags;
	uint8_t *own;		/* the VMM's memory, see guest.h */
	struct vmm_ram *ram;
	unsigned int nr_cpus;
	struct vmm_cpu cpu[VMM_CPUS];
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

/* NULL, or why there is no KVM here: then a test is skipped */
const char *vmm_missing(void);

void vmm_open(struct vmm *vm, struct vmm_ram *ram, unsigned int cpus, unsigned int flags);
void vmm_close(struct vmm *vm);

/* who works on which pages; or write box->first, ->step, ->pages */
enum vmm_shares {
	VMM_WHOLE,	/* each vCPU on all */
	VMM_APART,	/* in turn: vCPU n on n, n + cpus, ... */
};

void vmm_share(struct vmm *vm, enum vmm_shares how);

/* a program on all vCPUs, or on one; it has to be idle */
void vmm_start(struct vmm *vm, enum vmm_program program, uint32_t seed);
void vmm_start_cpu(struct vmm_cpu *cpu, enum vmm_program program, uint32_t seed);
/* asks programs that go on and on to end */
void vmm_stop(struct vmm *vm);
/*
 * Until no vCPU runs; false after a deadline that only a hang can miss, and then it
 * has said on stderr where they are.
 */
bool vmm_wait(struct vmm *vm);
bool vmm_wait_cpu(struct vmm_cpu *cpu);
/* start and wait: are all idle without a bad page? Says on stderr what is not. */
bool vmm_run(struct vmm *vm, enum vmm_program program, uint32_t seed);

/*
 * Out of KVM_RUN, as a VMM stops its vCPUs, and back in. False when one does not come
 * out: before 6.2 one that waits for an absent page only does when that has come.
 */
bool vmm_pause(struct vmm *vm);
void vmm_resume(struct vmm *vm);

/* how many vCPUs are so */
unsigned int vmm_count(struct vmm *vm, enum vmm_state state);
uint64_t vmm_bad(const struct vmm *vm);		/* pages, of all vCPUs */
uint64_t vmm_done(const struct vmm *vm);
/* what was found bad first, and what became of each vCPU, for a log */
const char *vmm_report(struct vmm *vm, char *buf, size_t len);

/* on stderr: where the vCPUs are that did not come to their end in time */
void vmm_tell_hang(struct vmm *vm);

/*
 * Does RAM, read from @mem, hold what HAMMER's boxes say? The vCPUs do not run. How
 * many pages do not. With a @seed the words that it does not write are FILL's.
 */
unsigned long vmm_hammer_wrong(struct vmm *vm, const uint8_t *mem, uint32_t seed);

/* READBACK: false when the guest does not answer */
bool vmm_ask(struct vmm_cpu *cpu, enum vmm_ask what, uint64_t page, uint64_t count,
	     uint64_t *value);

/* a discard as a balloon does one, counted for BALLOON; pages of the backing's size */
void vmm_discard(struct vmm *vm, uint64_t page, uint64_t count);
/* the same by something else: @how is called between the two counts */
void vmm_discard_by(struct vmm *vm, uint64_t page, uint64_t count,
		    void (*how)(struct vmm *vm, uint64_t page, uint64_t count));

/* ---- RAM that another process serves ---- */

enum vmm_sizes {
	VMM_SIZES_BOTH,		/* "page_size" and "page_size_kib", both in bytes */
	VMM_SIZES_KIB,		/* the latter only */
	VMM_SIZES_NONE,
};

struct vmm_uffd {
	int fd, sock;
	uint64_t features;	/* that the kernel gave */
};

/*
 * Registers RAM with a userfaultfd, non-blocking, and gives it away as Firecracker
 * does: one message over the unix socket @path. @features: more of them than
 * UFFD_FEATURE_EVENT_REMOVE. @minor: minor faults as well. The socket stays open.
 */
void vmm_uffd_open(struct vmm_uffd *u, const struct vmm_ram *ram, const char *path,
		   enum vmm_sizes sizes, uint64_t features, bool minor);
void vmm_uffd_close(struct vmm_uffd *u);

#endif /* TELEPAGE_VMM_H */
