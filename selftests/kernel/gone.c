// SPDX-License-Identifier: GPL-2.0
/*
 * gone.c - what goes while something of it is still queued
 *
 * Workers of the kernel have no CPU while the last of it is done, so what was queued is
 * still to be run when its object has gone. That nothing is touched then is what KASAN and
 * DEBUG_OBJECTS see, so it is the debug kernel that this is for.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/sysinfo.h>

#include "tk.h"

#define NR	64UL
#define ROUNDS	20
#define CPUS_MAX 64

static atomic_int hogging, hogs;

static void real_time(int cpu)
{
	struct sched_param p = { .sched_priority = 50 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) || sched_setscheduler(0, SCHED_FIFO, &p))
		tk_die("real-time priority: %m");
}

static void *hog(void *arg)
{
	real_time((long)arg);
	atomic_fetch_add(&hogs, 1);
	while (atomic_load(&hogging))
		;
	return NULL;
}

/* @fn while no CPU is left for others, which is a moment only */
static void alone(void (*fn)(void))
{
	long cpu, nr = get_nprocs();
	struct sched_param normal = { 0 };
	pthread_t t[CPUS_MAX];

	if (nr > CPUS_MAX)
		tk_die("%ld CPUs", nr);
	atomic_store(&hogging, 1);
	atomic_store(&hogs, 0);
	for (cpu = 1; cpu < nr; cpu++)
		t[cpu] = tk_thread(hog, (void *)cpu);
	while (atomic_load(&hogs) != nr - 1)
		sched_yield();
	real_time(0);
	fn();
	atomic_store(&hogging, 0);
	sched_setscheduler(0, SCHED_OTHER, &normal);
	for (cpu = 1; cpu < nr; cpu++)
		tk_join(t[cpu]);
}

/* a region that imports, and whose link has gone since it was given up */
static void given_up(bool held)
{
	struct tp_extent e = { .start = 0, .count = NR / 2 };
	int fd = memfd_create("x", 0);
	uint32_t link;

	if (fd < 0 || ftruncate(fd, NR * TK_PAGE))
		tk_die("memfd: %m");
	tk_ok(tp_link_new(tk_nl, "", &link), "link");
	tk_new("r", NR);
	if (held)
		tk_ok(tp_plan_hold(tk_nl, "r"), "hold");
	tk_ok(tp_region_import(tk_nl, "r", link, 1, true), "import");
	tk_ok(tp_region_origin(tk_nl, "r", fd, &e, 1, false, false), "origin");
	tk_ok(tp_region_abandon(tk_nl, "r"), "abandon");
	tk_ok(tp_link_del(tk_nl, link), "link del");
	close(fd);
}

static int err;

/* tells the link's worker, and lets go of the link's last holder */
static void drop_and_delete(void)
{
	const struct tp_extent all = { .count = NR };

	err = tp_plan_drop(tk_nl, "r", &all, 1) ?: tp_region_del(tk_nl, "r");
}

static void planned_and_delete(void)
{
	err = tp_plan_planned(tk_nl, "r", NR / 2) ?: tp_region_del(tk_nl, "r");
}

int main(void)
{
	unsigned int i, bad = 0;

	tk_init();
	for (i = 0; i < ROUNDS; i++) {
		given_up(i % 2);
		alone(i % 2 ? planned_and_delete : drop_and_delete);
		bad += !!err;
	}
	tap_ok(!bad, "a region goes just after something was said to its link, which had gone");
	tk_nap_ms(200);
	return tap_done();
}
