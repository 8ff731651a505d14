/* SPDX-License-Identifier: GPL-2.0 */
/*
 * qmp.h - an asynchronous QMP client, and what a move needs to know of a VM
 */
#ifndef TELEPAGE_QMP_H
#define TELEPAGE_QMP_H

#include "agent.h"

struct qmp;

/* @ret: borrowed; NULL with @err: QEMU's words or no answer in time */
typedef void (*qmp_fn)(json_t *ret, const char *err, void *arg);

struct qmp_ops {
	void (*ready)(struct qmp *q, void *arg);	/* capabilities are negotiated */
	void (*event)(struct qmp *q, const char *name, json_t *data, void *arg);
	/* never there, or lost; open commands get no answer any more */
	void (*closed)(struct qmp *q, const char *why, void *arg);
};

/* tries for @wait_ms until somebody listens at @path */
struct qmp *qmp_open(const char *path, unsigned int wait_ms, const struct qmp_ops *ops,
		     void *arg);
void qmp_close(struct qmp *q);		/* without ops->closed; NULL is fine */
/*
 * The same, once all commands have been answered (QEMU throws away what it has
 * not read when its client is gone). Their callbacks are not called any more.
 */
void qmp_finish(struct qmp *q);
/* what was asked is answered to nobody; for who goes on with something else */
void qmp_forget(struct qmp *q);
/* for ops->closed: has it been gone before we came? Anything else may pass */
bool qmp_nobody(const struct qmp *q);
void qmp_set_ops(struct qmp *q, const struct qmp_ops *ops, void *arg);
/*
 * steals @args (may be NULL); @fn may be NULL; @timeout_ms 0: however long it takes;
 * false: the command has not left and never will, ops->closed is on its way
 */
bool qmp_cmd(struct qmp *q, const char *name, json_t *args, unsigned int timeout_ms,
	     qmp_fn fn, void *arg);
bool qmp_answers(const char *path);	/* does somebody listen there? */
bool qmp_gone(const char *path);	/* is it sure that nobody does? */

/* migrate-set-capabilities: name, on, name, on, ..., NO_CAP */
#define NO_CAP	((const char *)NULL)
json_t *qmp_caps(const char *name, ...);

/* the VM's RAM as regions */
struct vm_region {
	char name[TELEPAGE_NAME_MAX + 1];
	char backend[64];		/* what QEMU calls it */
	uint64_t size;
};

/* in the order of the back ends' names: ram0, ram1, ... */
struct vm_ram {
	unsigned int nr;
	struct vm_region region[MOVE_REGIONS_MAX];
};

struct qmp_ram;
typedef void (*ram_fn)(const struct vm_ram *ram, const char *err, void *arg);
/* what of the VM's memory is a region under agent.dir; calls @fn once */
struct qmp_ram *qmp_find_ram(struct qmp *q, unsigned int timeout_ms, ram_fn fn, void *arg);
void qmp_ram_cancel(struct qmp_ram *r);	/* NULL is fine; qmp must be closed or idle then */

#endif /* TELEPAGE_QMP_H */
