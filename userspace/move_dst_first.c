// SPDX-License-Identifier: GPL-2.0
/*
 * move_dst_first.c - a move's destination reads first what the VM uses most
 *
 * Of pages that a local file has, an image kept here or the VM's disk, none is pushed, so an order
 * of the push says nothing of them. The source names those that were in use, and they
 * are read before the others.
 */
#include <errno.h>

#include "move_dst.h"

int mdst_runs(json_t *list, uint64_t all, struct telepage_run *runs, size_t max, size_t *room)
{
	size_t n = json_array_size(list) / 2;

	if (!json_is_array(list) || json_array_size(list) % 2 || n > max)
		return -1;
	for (size_t i = 0; i < n; i++) {
		json_t *first = json_array_get(list, 2 * i), *many = json_array_get(list, 2 * i + 1);
		json_int_t start = json_integer_value(first), count = json_integer_value(many);

		if (!json_is_integer(first) || start < 0 || (uint64_t)start >= all || count <= 0 ||
		    (uint64_t)count > all - start || (uint64_t)count > *room)
			return -1;
		*room -= count;
		runs[i].start = start;
		runs[i].count = count;
	}
	return n;
}

void mdst_first(struct mdst *m, json_int_t call, json_t *msg)
{
	static struct telepage_run runs[MOVE_FIRST_RUNS];
	json_t *which = json_object_get(msg, "region");
	json_int_t i = json_integer_value(which);
	size_t room = SIZE_MAX;
	int n = -1, err = 0;

	if (json_is_integer(which) && i >= 0 && i < m->nr)
		n = mdst_runs(json_object_get(msg, "pages"),
			      m->region[i].size / TELEPAGE_PAGE_SIZE, runs, MOVE_FIRST_RUNS, &room);
	if (n > 0)
		err = tp_region_replay_local(agent.nl, m->region[i].name, runs, n);
	/* it does not fill any more, or no file has any of its pages after all */
	if (err == -EINVAL)
		err = 0;
	if (n < 0)
		peer_refuse(m->peer, call, "bad pages");
	else if (err)
		peer_refuse(m->peer, call, "%s", strerror(-err));
	else
		peer_answer(m->peer, call, json_object());
}
