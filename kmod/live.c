// SPDX-License-Identifier: GPL-2.0
/*
 * live.c - live rounds, the destination's side: a region whose source still writes
 *
 * Such a region is live: it may be opened and mapped, so that a VMM can prepare itself,
 * but nobody sees a page of it. Whoever needs one waits until the source has stopped
 * writing and named the last stale pages. A page that is named becomes absent again;
 * that needs no look at mappings, for there is none while the region is live.
 *
 * The state of the import decides everything, not what the source believes to have
 * sent: what is absent when a round begins is offered again.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include "link.h"
#include "telepage.h"
#include "trace.h"

static bool tp_live_over(const struct tp_region *r)
{
	return !tp_is_live(r) || READ_ONCE(r->state) == TELEPAGE_REGION_ABANDONED;
}

/**
 * tp_live_wait - wait until a region is live no more
 * @r: the region
 * @state: TASK_INTERRUPTIBLE, TASK_KILLABLE or TASK_UNINTERRUPTIBLE
 * @timeout: jiffies
 *
 * Context: sleeps for the network: the caller holds no lock that others need.
 * Return: 0: look again; -EINTR a signal came, or the time is over; -EIO given up.
 */
int tp_live_wait(struct tp_region *r, unsigned int state, unsigned long timeout)
{
	if (state == TASK_INTERRUPTIBLE)
		wait_event_interruptible_timeout(r->settled, tp_live_over(r), timeout);
	else if (state == TASK_KILLABLE)
		wait_event_killable_timeout(r->settled, tp_live_over(r), timeout);
	else
		wait_event_timeout(r->settled, tp_live_over(r), timeout);
	if (!tp_is_live(r))
		return 0;
	return READ_ONCE(r->state) == TELEPAGE_REGION_ABANDONED ? -EIO : -EINTR;
}

/**
 * tp_live_stale - the source names pages that it has written to since they were pushed
 * @lane: its urgent lane
 * @hdr: the message
 *
 * The answer goes with the next thing that is sent, before the pages are offered again.
 *
 * Context: the receive thread.
 * Return: 0, or what fails the lane.
 */
int tp_live_stale(struct tp_lane *lane, const struct tp_hdr *hdr)
{
	int err = tp_lane_recv(lane, lane->buf, hdr->len);
	struct tp_region *r;
	unsigned int i;
	u64 next = 0;

	if (err)
		return err;
	r = tp_import_region(lane->link, hdr->export);
	if (!r)
		return 0;
	/*
	 * First: what is still on its way was pushed before, and must not come to a page
	 * that has just been made absent. Said again, it is the round that has begun.
	 */
	if (hdr->gen != READ_ONCE(r->round))
		tp_begin_round(r, 0, false);
	for (i = 0; i < hdr->count && !err; i++) {
		struct tp_run run;

		if (tp_wire_next_run(lane->buf + i * TP_RUN_LEN, r->nr_pages, &next, &run))
			tp_place_stale(r, run.index, run.count);
		else
			err = -EPROTO;
	}
	if (!err && hdr->code & TP_STALE_LAST) {
		tp_begin_round(r, hdr->gen, hdr->code & TP_STALE_FINAL);
		trace_telepage_round(lane->link->id, hdr->export, hdr->gen,
				     hdr->code & TP_STALE_FINAL);
		set_bit(TP_WANT_AGAIN, &r->want_flags);
		set_bit(TP_SAY_ROUND, &r->want_flags);
		tp_link_kick(lane->link);
	}
	tp_region_put(r);
	return err;
}
