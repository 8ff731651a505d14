/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hook.h - the operator's script that starts and stops VMMs (telepage-move(8))
 */
#ifndef TELEPAGE_HOOK_H
#define TELEPAGE_HOOK_H

#include "agent.h"

struct hook;

struct hook_env {
	const char *move;
	const char *vm, *vm_dir, *qmp, *args_file;
	const json_t *machine;		/* what the source's QEMU told of itself */
	unsigned int nr;		/* regions */
	struct {
		const char *name;
		uint64_t size;
	} region[MOVE_REGIONS_MAX];
};

/* @err NULL: exit status 0; else the last line it wrote to stderr */
typedef void (*hook_fn)(const char *err, void *arg);

/* never calls back before it returns */
struct hook *hook_run(const char *verb, const struct hook_env *env, unsigned int timeout_ms,
		      hook_fn fn, void *arg);
void hook_cancel(struct hook *h);	/* kills it; no callback; NULL is fine */

/*
 * SIGKILL for every process that has this move of this VM in its environment: a hook
 * that outlived the agent which ran it, or a VMM that `stop` did not find. The move alone
 * is not enough: it is the peer who numbers it, and VMs that run have the numbers of old ones.
 */
void hook_kill(const char *move, const char *vm);

#endif /* TELEPAGE_HOOK_H */
