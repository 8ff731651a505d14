// SPDX-License-Identifier: GPL-2.0
/*
 * congestion_bulk.c - congestion control of bulk lanes: full links, short queues
 *
 * A page that a guest waits for stands behind everything that is queued on the way,
 * and what queues there is mostly our own push. The usual loss-based control fills
 * every queue until it overflows. This one keeps the queue at a small delay above
 * the empty path's round trip (the base): once a round trip the window moves
 * half-way to
 *
 *	window * (base + target) / round trip
 *
 * which is FAST TCP's law (Wei, Jin, Low, Hegde: FAST TCP, IEEE/ACM ToN 14(6),
 * 2006) with a target in time instead of packets, so that a few lanes build one such
 * queue, not one each. A lane has at least a few segments in it, or one that began
 * later, or saw a shorter base, would yield to the others until it starved. It needs
 * no pacing, whose timers cost most where CPU is short, and takes of each round the
 * shortest time, which a busy receiver disturbs last.
 *
 * The base is the minimum of the last half to whole minute. Every ten seconds by
 * the host's clock, all lanes at the same time, the window shrinks for two rounds
 * so that the queue runs empty and the base can be seen again. If it does not run
 * empty, somebody else fills it, and who yields to him would starve: until the next
 * look the window then grows and shrinks as Reno's.
 *
 * All of it runs under the socket's lock, or in softirq when nobody owns it.
 */
#include <linux/jiffies.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <net/tcp.h>
#include "link.h"
#include "telepage.h"

#define TP_BULK_CWND_MIN	4U
#define TP_BULK_TARGET_SHIFT	4		/* queue: a sixteenth of the base, */
#define TP_BULK_TARGET_MIN_US	1000U		/* but what timers and bursts blur */
#define TP_BULK_TARGET_MAX_US	5000U		/* and no more than a user would feel */
#define TP_BULK_SHARE_MIN	4U		/* segments of a lane in the queue */
#define TP_BULK_SAMPLES		8		/* of a round before it may end the start */
#define TP_BULK_EPOCH		(10 * HZ)
#define TP_BULK_BASE_EPOCHS	3		/* epochs that one minimum covers */
#define TP_BULK_DRAIN_ROUNDS	2
#define TP_BULK_OUTAGE		5		/* time-outs in a row */

enum tp_bulk_mode {
	TP_BULK_STEADY,
	TP_BULK_DRAIN,
	TP_BULK_COMPETE,
};

/**
 * struct tp_bulk - what is kept per socket
 * @base_us: shortest round trips, of this window of time and the one before
 * @round_us: shortest round trip of this round
 * @last_us: of the round before: a host that was busy for a round is no queue
 * @samples: round trips seen in this round
 * @round_end: the round ends when this sequence number is acknowledged
 * @epoch: number of the epoch that was looked at last
 * @cwnd: window to return to after draining
 * @mode: &enum tp_bulk_mode
 * @rounds: rounds left to drain
 * @empty: rounds in a row without a queue
 * @timeouts: in a row, with no segment getting through
 */
struct tp_bulk {
	u32 base_us[2];
	u32 round_us;
	u32 last_us;
	u32 samples;
	u32 round_end;
	u32 epoch;
	u32 cwnd;
	u8 mode;
	u8 rounds;
	u8 empty;
	u8 timeouts;
};

static u32 tp_bulk_base(const struct tp_bulk *b)
{
	return min(b->base_us[0], b->base_us[1]);
}

static u32 tp_bulk_target(u32 base)
{
	return clamp(base >> TP_BULK_TARGET_SHIFT, TP_BULK_TARGET_MIN_US, TP_BULK_TARGET_MAX_US);
}

static u32 tp_bulk_epoch(void)
{
	return tcp_jiffies32 / TP_BULK_EPOCH;
}

static void tp_bulk_new_round(struct tp_bulk *b, const struct tcp_sock *tp)
{
	b->last_us = b->round_us;
	b->round_us = U32_MAX;
	b->samples = 0;
	b->round_end = tp->snd_nxt;
}

/* Never below the threshold: that would be a slow start, which is for pauses and time-outs. */
static void tp_bulk_set(struct tcp_sock *tp, u32 cwnd)
{
	cwnd = clamp(cwnd, TP_BULK_CWND_MIN, tp->snd_cwnd_clamp);
	tcp_snd_cwnd_set(tp, cwnd);
	tp->snd_ssthresh = cwnd;
}

static void tp_bulk_init(struct sock *sk)
{
	struct tp_bulk *b = inet_csk_ca(sk);

	BUILD_BUG_ON(sizeof(*b) > ICSK_CA_PRIV_SIZE);
	memset(b, 0, sizeof(*b));
	b->base_us[0] = U32_MAX;
	b->base_us[1] = U32_MAX;
	b->round_us = U32_MAX;
	b->epoch = tp_bulk_epoch();
	tp_bulk_new_round(b, tcp_sk(sk));
}

static void tp_bulk_acked(struct sock *sk, const struct ack_sample *sample)
{
	struct tp_bulk *b = inet_csk_ca(sk);
	u32 us;

	/* negative: the segment was sent twice, so this tells nothing */
	if (sample->rtt_us < 0)
		return;
	us = max_t(u32, sample->rtt_us, 1);
	b->base_us[0] = min(b->base_us[0], us);
	b->round_us = min(b->round_us, us);
	b->samples++;
}

/* Begin to drain, once in an epoch. */
static void tp_bulk_new_epoch(struct tp_bulk *b, struct tcp_sock *tp, u32 epoch)
{
	u32 cwnd = tcp_snd_cwnd(tp);

	b->epoch = epoch;
	if (!(epoch % TP_BULK_BASE_EPOCHS)) {
		b->base_us[1] = b->base_us[0];
		b->base_us[0] = U32_MAX;
	}
	b->mode = TP_BULK_DRAIN;
	b->rounds = TP_BULK_DRAIN_ROUNDS;
	b->cwnd = cwnd;
	tp_bulk_set(tp, cwnd - cwnd / 4);
}

static void tp_bulk_drained(struct tp_bulk *b, struct tcp_sock *tp, u32 base)
{
	bool others = b->round_us > base + 2 * tp_bulk_target(base);

	b->mode = others ? TP_BULK_COMPETE : TP_BULK_STEADY;
	b->empty = 0;
	tp_bulk_set(tp, b->cwnd);
}

static void tp_bulk_steady(struct sock *sk, struct tp_bulk *b, u32 base)
{
	struct tcp_sock *tp = tcp_sk(sk);
	u32 cwnd = tcp_snd_cwnd(tp), target = tp_bulk_target(base), share, want;
	u32 rtt = min(b->round_us, b->last_us);

	share = max_t(u32, div_u64((u64)cwnd * target, rtt), TP_BULK_SHARE_MIN);
	want = div_u64((u64)cwnd * base, rtt) + share;
	if (b->round_us < base + target / 4) {
		/* nothing queues: there may be much more room, look further each time */
		b->empty = min(b->empty + 1, 3);
		want = max(want, cwnd + max(cwnd >> (5 - b->empty), 1U) * 2);
	} else {
		b->empty = 0;
	}
	/* A window that is not used says nothing about a larger one. */
	if (want > cwnd && !tcp_is_cwnd_limited(sk))
		return;
	want = clamp(want, cwnd / 2, cwnd + cwnd / 2);
	tp_bulk_set(tp, want > cwnd ? DIV_ROUND_UP(cwnd + want, 2) : (cwnd + want) / 2);
}

static void tp_bulk_round(struct sock *sk, struct tp_bulk *b)
{
	struct tcp_sock *tp = tcp_sk(sk);
	u32 base = tp_bulk_base(b), epoch = tp_bulk_epoch();

	if (!b->samples)
		return;
	if (b->mode == TP_BULK_DRAIN) {
		if (!--b->rounds)
			tp_bulk_drained(b, tp, base);
	} else if (b->epoch != epoch && !tcp_in_slow_start(tp)) {
		tp_bulk_new_epoch(b, tp, epoch);
	} else if (b->mode == TP_BULK_STEADY && !tcp_in_slow_start(tp)) {
		tp_bulk_steady(sk, b, base);
	}
}

/*
 * Half as much again each round until a queue begins to build: doubling would have
 * put twice of what fits on its way before that shows. What is measured then was
 * sent with the window of a round ago.
 *
 * After several time-outs in a row there was no path at all, which tells nothing of
 * how wide it is: the first segment that gets through brings the window back.
 */
static void tp_bulk_start(struct sock *sk, struct tp_bulk *b, u32 acked)
{
	struct tcp_sock *tp = tcp_sk(sk);
	u32 base = tp_bulk_base(b);

	if (b->timeouts >= TP_BULK_OUTAGE)
		tp_bulk_set(tp, tp->prior_cwnd);
	else if (b->samples >= TP_BULK_SAMPLES && b->round_us > base + tp_bulk_target(base))
		tp_bulk_set(tp, div_u64((u64)tcp_snd_cwnd(tp) * 2 * base, b->round_us * 3));
	else if (tcp_is_cwnd_limited(sk))
		tcp_slow_start(tp, DIV_ROUND_UP(acked, 2));
	b->timeouts = 0;
}

static void tp_bulk_cong_avoid(struct sock *sk, u32 ack, u32 acked)
{
	struct tp_bulk *b = inet_csk_ca(sk);
	struct tcp_sock *tp = tcp_sk(sk);

	if (after(ack, b->round_end)) {
		tp_bulk_round(sk, b);
		tp_bulk_new_round(b, tp);
	}
	if (tcp_in_slow_start(tp))
		tp_bulk_start(sk, b, acked);
	else if (b->mode == TP_BULK_COMPETE && tcp_is_cwnd_limited(sk))
		tcp_cong_avoid_ai(tp, tcp_snd_cwnd(tp), acked);
}

/* A short queue has little to drain after a loss; against others Reno's half is fair. */
static u32 tp_bulk_ssthresh(struct sock *sk)
{
	const struct tp_bulk *b = inet_csk_ca(sk);
	u32 cwnd = tcp_snd_cwnd(tcp_sk(sk));

	return max(b->mode == TP_BULK_COMPETE ? cwnd / 2 : cwnd - cwnd * 3 / 10, TP_BULK_CWND_MIN);
}

/* After a time-out the path may be another one; what was measured is worth nothing. */
static void tp_bulk_state(struct sock *sk, u8 state)
{
	struct tp_bulk *b = inet_csk_ca(sk);

	if (state == TCP_CA_Loss) {
		tp_congestion_timeout(sk);
		b->mode = TP_BULK_STEADY;
		b->empty = 0;
		b->timeouts = min(b->timeouts + 1, TP_BULK_OUTAGE);
		tp_bulk_new_round(b, tcp_sk(sk));
	}
}

/*
 * Before the first acknowledgment after an outage is looked at: F-RTO (RFC 5682)
 * would spend a round trip on asking whether the time-out was spurious. Eifel
 * detection (RFC 3522) would say that it was: what is acknowledged first had arrived
 * before the cut and only its acknowledgment was lost, so its time stamp is that of
 * the first transmission. All behind it would be taken for under way, and a round
 * trip later for lost in congestion.
 */
static void tp_bulk_ack_event(struct sock *sk, u32 flags)
{
	const struct tp_bulk *b = inet_csk_ca(sk);
	struct tcp_sock *tp = tcp_sk(sk);

	if (b->timeouts >= TP_BULK_OUTAGE) {
		tp->frto = 0;
		tp->undo_marker = 0;
	}
}

struct tcp_congestion_ops tp_bulk_cc = {
	.init		= tp_bulk_init,
	.pkts_acked	= tp_bulk_acked,
	.cong_avoid	= tp_bulk_cong_avoid,
	.ssthresh	= tp_bulk_ssthresh,
	.set_state	= tp_bulk_state,
	.in_ack_event	= tp_bulk_ack_event,
	.undo_cwnd	= tcp_reno_undo_cwnd,
	.owner		= THIS_MODULE,
	.name		= TP_BULK_CONGESTION,
};
