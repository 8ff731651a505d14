// SPDX-License-Identifier: GPL-2.0
/*
 * move_quit.c - QEMU quits at a move's source once the VM runs at the destination
 *
 * It is told again until nobody listens at its socket, for as long as the move lasts:
 * the memory here goes only when QEMU has. By then the VM may have come back and
 * listen at the same path, so whoever is found there is told to quit only if it has
 * the region that was moved, which is frozen from then on.
 */
#include "move_src.h"

#define BACKOFF_MIN	500
#define BACKOFF_MAX	5000

static void find(void *arg);

static void again(struct msrc *m)
{
	qmp_ram_cancel(m->ram_finder);
	m->ram_finder = NULL;
	qmp_close(m->qmp);
	m->qmp = NULL;
	m->vm_backoff = m->vm_backoff ? m->vm_backoff * 2 : BACKOFF_MIN;
	if (m->vm_backoff > BACKOFF_MAX)
		m->vm_backoff = BACKOFF_MAX;
	timer_set(&m->vm_timer, m->vm_backoff, find, m);
}

static void answered(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;

	(void)ret;
	if (err) {
		msrc_note(m, "quit: %s", err);
		again(m);
	}
	/* else its end of the connection says when it is through */
}

static void quit(struct msrc *m)
{
	qmp_cmd(m->qmp, "quit", NULL, 0, answered, m);
}

static void checked(const struct vm_ram *ram, const char *err, void *arg)
{
	struct msrc *m = arg;
	struct tp_region r;

	m->ram_finder = NULL;
	if (!err && msrc_is_vm(m, ram) &&
	    !tp_region_get(agent.nl, m->ram.region[0].name, &r) && r.frozen) {
		quit(m);
		return;
	}
	qmp_close(m->qmp);
	m->qmp = NULL;
}

static void found(struct qmp *q, void *arg)
{
	struct msrc *m = arg;

	m->ram_finder = qmp_find_ram(q, 0, checked, m);
}

static void lost(struct qmp *q, const char *why, void *arg)
{
	struct msrc *m = arg;

	(void)why;
	if (!qmp_nobody(q)) {
		again(m);
		return;
	}
	qmp_ram_cancel(m->ram_finder);
	m->ram_finder = NULL;
	m->qmp = NULL;		/* it has quit, which is what was wanted */
}

static const struct qmp_ops ops = {
	.ready = found,
	.closed = lost,
};

static void find(void *arg)
{
	struct msrc *m = arg;

	m->qmp = qmp_open(m->qmp_path, 0, &ops, m);
}

void msrc_quit(struct msrc *m)
{
	if (!m->ram.nr)
		return;
	if (!m->qmp) {
		find(m);
		return;
	}
	/* the one that has sent its state: it needs no looking at */
	qmp_forget(m->qmp);
	qmp_set_ops(m->qmp, &ops, m);
	quit(m);
}
