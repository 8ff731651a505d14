// SPDX-License-Identifier: GPL-2.0
/*
 * congestion.c - congestion control of urgent lanes; of bulk lanes: congestion_bulk.c
 *
 * An urgent lane is idle most of the time, and then some guest tasks fault at once.
 * A connection's usual start of 10 segments, and the return to it after each pause
 * (RFC 5681 4.1), would turn a burst of 64 pages into five round trips. So this is
 * Reno, which a path with loss slows down as any other, but one that starts a burst
 * with TP_FLOOR segments, which carry 64 pages, if nothing was lost lately: at
 * most 26 ms of a 100 Mbit/s link, and only as much as was asked for.
 */
#include <linux/module.h>
#include <net/tcp.h>
#include "link.h"
#include "telepage.h"

#define TP_FLOOR	224U	/* segments */
#define TP_TRIES_MAX	100

/**
 * tp_congestion_timeout - a time-out of a lane: try again soon
 * @sk: the socket
 *
 * TCP doubles the time between its tries to get through, so after a cut of a second
 * a guest would wait half a second more for nothing. A lane tries twice in a round
 * trip, one segment each time, which no path notices, until link_timeout_ms ends it
 * (compare TCP_THIN_LINEAR_TIMEOUTS, Documentation/networking/tcp-thin.rst).
 *
 * Context: set_state(TCP_CA_Loss) of a congestion control, which is called before
 * TCP doubles icsk_rto; under the socket's lock.
 */
void tp_congestion_timeout(struct sock *sk)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	u32 rtt = usecs_to_jiffies(tcp_sk(sk)->srtt_us >> 3);

	icsk->icsk_rto = DIV_ROUND_UP(max_t(u32, rtt / 2, HZ / 100), 2);
	/* TCP shifts by the one, takes 0 of the other for a first try, and counts few bits */
	icsk->icsk_backoff = 0;
	icsk->icsk_retransmits = min_t(u8, icsk->icsk_retransmits, TP_TRIES_MAX);
}

static void tp_cc_state(struct sock *sk, u8 state)
{
	if (state == TCP_CA_Loss)
		tp_congestion_timeout(sk);
}

static void tp_cc_raise(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);

	if (inet_csk(sk)->icsk_ca_state == TCP_CA_Open && tcp_snd_cwnd(tp) < TP_FLOOR)
		tcp_snd_cwnd_set(tp, min(TP_FLOOR, tp->snd_cwnd_clamp));
}

static void tp_cc_init(struct sock *sk)
{
	tp_cc_raise(sk);
}

static void tp_cc_event(struct sock *sk, enum tcp_ca_event event)
{
	/* the first packet after a pause; the pause has already lowered the window */
	if (event == CA_EVENT_TX_START)
		tp_cc_raise(sk);
}

static struct tcp_congestion_ops tp_cc = {
	.init		= tp_cc_init,
	.cwnd_event	= tp_cc_event,
	.set_state	= tp_cc_state,
	.ssthresh	= tcp_reno_ssthresh,
	.cong_avoid	= tcp_reno_cong_avoid,
	.undo_cwnd	= tcp_reno_undo_cwnd,
	.owner		= THIS_MODULE,
	.name		= TP_URGENT_CONGESTION,
};

int tp_congestion_init(void)
{
	int err = tcp_register_congestion_control(&tp_cc);

	if (err)
		return err;
	err = tcp_register_congestion_control(&tp_bulk_cc);
	if (err)
		tcp_unregister_congestion_control(&tp_cc);
	return err;
}

void tp_congestion_exit(void)
{
	tcp_unregister_congestion_control(&tp_bulk_cc);
	tcp_unregister_congestion_control(&tp_cc);
}
