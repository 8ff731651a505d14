/* SPDX-License-Identifier: GPL-2.0 */
/*
 * uffd_vmm.h - processes that act as VMMs with memory of their own
 *
 * A VMM is a child that has registered its memory with a userfaultfd and does what
 * it is told. Its last VMM_ZERO pages are those that the source leaves zero.
 */
#ifndef TELEPAGE_UFFD_VMM_H
#define TELEPAGE_UFFD_VMM_H

#include <linux/userfaultfd.h>

#include "tk.h"

#define VMM_ZERO	64UL

enum vmm_kind {
	VMM_ANON,
	VMM_MEMFD,	/* shared, MISSING and MINOR, the file is handed over */
	VMM_SHMEM,	/* shared, MISSING, the file is not */
	VMM_PRIVATE,	/* of a memfd */
	VMM_HUGE,	/* hugetlb, 2 MiB */
};

enum vmm_op {
	VMM_CHECK,	/* how many pages are not what @seed says */
	VMM_THREADS,	/* the same by four threads at random */
	VMM_NONZERO,	/* how many are not zero */
	VMM_WRITE,	/* fill with @seed */
	VMM_RESIDENT,	/* how many are mapped, without touching them */
	VMM_DISCARD,	/* madvise(DONTNEED) */
	VMM_PUNCH,	/* madvise(REMOVE) */
	VMM_UNMAP,
	VMM_REMAP,	/* the whole moves elsewhere */
	VMM_FORK,	/* a child checks; how many are wrong */
	VMM_STORM,	/* discards against faults, @count rounds; what was wrong */
	VMM_CLOSE,	/* the userfaultfd */
	VMM_EXIT,
};

struct vmm {
	pid_t pid;
	int sock, fd, memfd;
	uint64_t addr;
	unsigned long pages;
	uint32_t page_size;
};

/* false: this kernel or host has no such memory */
bool vmm_start(struct vmm *v, enum vmm_kind kind, unsigned long pages, uint64_t features);
/* a process of its own attaches it to @region; 0 or the errno, words in vmm_words */
int vmm_attach(const struct vmm *v, const char *region, bool fill);
int vmm_attach_ranges(const struct vmm *v, const char *region, int fd, uint32_t pid, int memfd,
		      bool fill, const struct tp_uffd_range *ranges, size_t nr);
extern char vmm_words[256];

void vmm_tell(const struct vmm *v, enum vmm_op op, unsigned long first, unsigned long count,
	      uint32_t seed);
/* the answer to vmm_tell(); -1 when it has ended or does not answer */
int64_t vmm_hear(const struct vmm *v);
/* is there an answer? */
bool vmm_answered(const struct vmm *v);
int64_t vmm_do(const struct vmm *v, enum vmm_op op, unsigned long first, unsigned long count,
	       uint32_t seed);
/* ends it; its exit status, 128 + signal */
int vmm_stop(struct vmm *v);

#endif /* TELEPAGE_UFFD_VMM_H */
