// SPDX-License-Identifier: GPL-2.0
/*
 * letgo.c - delete exports, regions and a link, however long somebody holds them
 */
#include <errno.h>
#include <stdio.h>

#include "lanes.h"
#include "letgo.h"

#define RETRY_MIN	20
#define RETRY_MAX	2000
#define COMPLAIN_MS	10000

struct letgo {
	struct letgo_list list;
	char why[128];
	struct timer timer;
	unsigned int wait;
	uint64_t begun;
	bool complained;
	void (*fn)(void *arg);
	void *arg;
};

/* true: it is gone */
static bool gone(struct letgo *lg, int err, const char *what, const char *name)
{
	char words[256];

	if (!err || err == -ENOENT)
		return true;
	if (!lg->complained && now_ms() - lg->begun > COMPLAIN_MS) {
		lg->complained = true;
		note("%s: waiting to delete %s %s: %s", lg->why, what, name,
		     nl_words(words, sizeof(words), err, "kernel"));
	}
	return false;
}

static bool try_regions(struct letgo *lg)
{
	struct tp_region r;
	bool all = true;
	unsigned int i;

	for (i = 0; i < lg->list.nr_regions; i++) {
		const char *name = lg->list.region[i];

		if (!*name)
			continue;
		if (lg->list.abandon && !tp_region_get(agent.nl, name, &r) && r.absent &&
		    (r.state == TELEPAGE_REGION_FILLING || r.state == TELEPAGE_REGION_BROKEN))
			tp_region_abandon(agent.nl, name);
		if (gone(lg, tp_region_del(agent.nl, name), "region", name))
			lg->list.region[i][0] = 0;
		else
			all = false;
	}
	return all;
}

static void try_all(void *arg)
{
	struct letgo *lg = arg;
	bool all = true;
	unsigned int i;
	char id[16];

	for (i = 0; i < lg->list.nr_exports; i++) {
		const char *name = lg->list.export[i];

		if (!*name)
			continue;
		if (gone(lg, tp_export_del(agent.nl, name), "export", name))
			lg->list.export[i][0] = 0;
		else
			all = false;
	}
	if (all)
		all = try_regions(lg);
	if (all && lg->list.has_link) {
		snprintf(id, sizeof(id), "%u", lg->list.link);
		/* before the kernel's: the lanes' ends are no loss to be mended */
		plink_forget(plink_find(lg->list.link));
		all = gone(lg, tp_link_del(agent.nl, lg->list.link), "link", id);
	}
	if (!all) {
		lg->wait = lg->wait ? lg->wait * 2 : RETRY_MIN;
		if (lg->wait > RETRY_MAX)
			lg->wait = RETRY_MAX;
		timer_set(&lg->timer, lg->wait, try_all, lg);
		return;
	}
	if (lg->fn)
		lg->fn(lg->arg);
	loop_free(lg);
}

struct letgo *letgo_start(const struct letgo_list *list, const char *why,
			  void (*fn)(void *arg), void *arg)
{
	struct letgo *lg = xcalloc(1, sizeof(*lg));

	lg->list = *list;
	lg->fn = fn;
	lg->arg = arg;
	lg->begun = now_ms();
	snprintf(lg->why, sizeof(lg->why), "%s", why);
	/* from the loop, so that @fn never runs before we have returned */
	timer_set(&lg->timer, 0, try_all, lg);
	return lg;
}

void letgo_detach(struct letgo *lg)
{
	if (lg)
		lg->fn = NULL;
}
