// SPDX-License-Identifier: GPL-2.0
/*
 * pulse.c - signs of life of a worker
 */
#include <stddef.h>
#include <sys/mman.h>

#include "pulse.h"

static struct pulse none;
static struct pulse *pulse = &none;

struct pulse *pulse_new(void)
{
	void *p = mmap(NULL, sizeof(struct pulse), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void pulse_free(struct pulse *p)
{
	if (p)
		munmap(p, sizeof(*p));
}

void pulse_use(struct pulse *p)
{
	pulse = p ? p : &none;
}

void pulse_beat(void)
{
	atomic_fetch_add_explicit(&pulse->beats, 1, memory_order_relaxed);
}

void pulse_is(enum pulse_state state)
{
	atomic_store_explicit(&pulse->state, state, memory_order_relaxed);
	pulse_beat();
}

void pulse_idle(bool idle)
{
	atomic_store_explicit(&pulse->idle, idle, memory_order_relaxed);
}
