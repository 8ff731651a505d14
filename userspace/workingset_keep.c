// SPDX-License-Identifier: GPL-2.0
/*
 * workingset_keep.c - the agent keeps the working sets of VMs, and has them replayed
 *
 * What a region needed first while it filled is kept when it is whole, under its name,
 * and asked for ahead when a region of this name begins to fill again. Whatever fails
 * here costs time only, so it is said and no more.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "workingset.h"

#define WORTH_MIN	16		/* pages; less says nothing of a VM */

void workingset_event(const struct tp_event *ev)
{
	struct workingset w;
	int err;

	if (ev->kind != TELEPAGE_EVENT_REGION_COMPLETE || !name_ok(ev->region))
		return;
	err = workingset_read(agent.nl, ev->region, &w);
	/* one that a VM was not running on meanwhile would replace one that says something */
	if (!err && workingset_count(&w) >= WORTH_MIN)
		err = workingset_store(agent.state, ev->region, &w);
	if (err && err != -ENOENT)
		note("the working set of %s is not kept: %s", ev->region, strerror(-err));
	workingset_free(&w);
}

void workingset_begin(const char *region)
{
	struct workingset w;
	const char *why;
	char path[512];
	int err;

	workingset_path(path, sizeof(path), agent.state, region);
	if (access(path, F_OK))
		return;
	why = workingset_load(path, &w);
	if (why) {
		note("%s is left alone: %s", path, why);
		return;
	}
	err = workingset_replay(agent.nl, region, &w);
	if (err)
		note("the working set of %s is not replayed: %s", region, strerror(-err));
	else
		note("region %s: %llu pages of its working set are asked for", region,
		     (unsigned long long)workingset_count(&w));
	workingset_free(&w);
}
