/* SPDX-License-Identifier: GPL-2.0 */
/*
 * proc.h - a process whose memory is exported: it does what it is told
 */
#ifndef TELEPAGE_PROC_H
#define TELEPAGE_PROC_H

#include "tk.h"

struct proc {
	pid_t pid;
	int sock;
};

enum proc_op {
	P_MMAP,		/* addr, len, prot, flags, fd: the address */
	P_MUNMAP,	/* addr, len */
	P_MREMAP,	/* addr, len, to */
	P_MPROTECT,	/* addr, len, prot */
	P_MADVISE,	/* addr, len, advice */
	P_FILL,		/* addr, pages, seed, first: as tk_page() */
	P_SET,		/* addr, len, byte */
	P_LOAD,		/* addr, pages: reads a byte of each */
	P_FORK,		/* the pid of a child that writes zeros to addr, len and stays */
	P_DISCARD,	/* addr, len: MADV_DONTNEED for ever, in a thread; pages at a time */
	P_UFFD,		/* addr, len: a userfaultfd for what is missing, never served */
	P_EXEC,		/* sleep */
};

void proc_start(struct proc *p);
/* up to five arguments; what the system call returned, or -errno */
long proc_order(struct proc *p, enum proc_op op, const unsigned long a[5]);
#define proc_do(p, op, ...) \
	proc_order(p, op, (unsigned long [5]){ __VA_ARGS__ })
/* the same, of what cannot go wrong */
#define proc_must(p, op, ...) ({ \
	long ret_ = proc_do(p, op, __VA_ARGS__); \
	if (ret_ < 0 && ret_ > -4096) \
		tk_die(#op ": %s", strerror((int)-ret_)); \
	ret_; })
void proc_kill(struct proc *p);
/* its memory, open for who exports it */
int proc_mem(const struct proc *p);
/* a line "NAME: value kB" of one of its files in /proc; -1 there is none */
long proc_kb(const struct proc *p, const char *file, const char *name);

#endif /* TELEPAGE_PROC_H */
