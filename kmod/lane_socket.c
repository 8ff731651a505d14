// SPDX-License-Identifier: GPL-2.0
/*
 * lane_socket.c - what sockets can be lanes, and how they are set up
 */
#include <linux/netlink.h>
#include <linux/sizes.h>
#include <linux/tcp.h>
#include <net/sock.h>
#include <net/tcp.h>
#include "link.h"
#include "telepage.h"

/* bytes of demands and offers that may queue unsent on the urgent lane */
#define TP_URGENT_UNSENT	16384U
/* bytes of replies that may be under way */
#define TP_URGENT_WINDOW	SZ_1M

/* of link_timeout_ms: what can be meant, and what TCP takes for its probes */
#define TP_TIMEOUT_MIN_MS	100U
#define TP_TIMEOUT_MAX_MS	(24U * 3600 * 1000)

/**
 * tp_lane_check_socket - can this be a lane?
 * @sock: what a descriptor of the agent's is
 * @extack: where to say why not
 *
 * Context: any.
 * Return: 0, -EPROTOTYPE, -ENOTCONN.
 */
int tp_lane_check_socket(struct socket *sock, struct netlink_ext_ack *extack)
{
	struct sock *sk = sock->sk;

	if ((sk->sk_family != AF_INET && sk->sk_family != AF_INET6) ||
	    sk->sk_type != SOCK_STREAM || sk->sk_protocol != IPPROTO_TCP) {
		NL_SET_ERR_MSG(extack, "the descriptor is not a TCP socket");
		return -EPROTOTYPE;
	}
	if (READ_ONCE(sk->sk_state) != TCP_ESTABLISHED) {
		NL_SET_ERR_MSG(extack, "the TCP socket is not connected");
		return -ENOTCONN;
	}
	return 0;
}

/* Why not the system's: see congestion.c and congestion_bulk.c. */
static void tp_lane_set_congestion(struct tp_lane *lane)
{
	char *name = lane->nr == TELEPAGE_LANE_URGENT ? TP_URGENT_CONGESTION : tp_bulk_congestion;
	struct socket *sock = lane->sock;

	/* without a module of that name the default remains: slower pages, no harm */
	if (*name)
		sock->ops->setsockopt(sock, SOL_TCP, TCP_CONGESTION, KERNEL_SOCKPTR(name),
				      strlen(name));
}

/**
 * tp_lane_tune_socket - what a socket needs to be a lane, and to be found dead
 * @lane: the lane, not running yet
 *
 * Context: sleeps.
 */
void tp_lane_tune_socket(struct tp_lane *lane)
{
	struct sock *sk = lane->sock->sk;
	unsigned int timeout_ms = clamp(READ_ONCE(tp_link_timeout_ms), TP_TIMEOUT_MIN_MS,
					TP_TIMEOUT_MAX_MS);
	unsigned int timeout_s = max(timeout_ms / 1000, 1U);
	unsigned int unsent = min(READ_ONCE(tp_bulk_unsent_kb), SZ_1G / SZ_1K) * SZ_1K;

	tcp_sock_set_nodelay(sk);
	/* A peer that vanished shows by unacknowledged data, or by no answer to probes. */
	tcp_sock_set_user_timeout(sk, timeout_ms);
	sock_set_keepalive(sk);
	tcp_sock_set_keepidle(sk, max(timeout_s / 2, 1U));
	tcp_sock_set_keepintvl(sk, max(timeout_s / 6, 1U));
	tcp_sock_set_keepcnt(sk, 3);

	if (lane->nr == TELEPAGE_LANE_URGENT)
		sock_set_rcvbuf(sk, TP_URGENT_WINDOW);

	lock_sock(sk);
	/*
	 * The usual first window of 64 KiB, which grows with what has come, would cut a
	 * burst of replies into round trips; so would the sender's buffer, which grows
	 * with what was acknowledged. This receiver keeps up.
	 */
	if (lane->nr == TELEPAGE_LANE_URGENT) {
		sk->sk_userlocks |= SOCK_SNDBUF_LOCK;
		WRITE_ONCE(sk->sk_sndbuf, TP_URGENT_WINDOW);
		tcp_sk(sk)->window_clamp = tcp_full_space(sk);
		tcp_sk(sk)->rcv_ssthresh = tcp_sk(sk)->window_clamp;
	}
	/* the usual 200 ms are many round trips of a guest that waits */
	inet_csk(sk)->icsk_rto_min = TP_RTO_MIN;
	sk->sk_sndtimeo = MAX_SCHEDULE_TIMEOUT;
	sk->sk_rcvtimeo = msecs_to_jiffies(timeout_ms);
	/*
	 * What sits unsent in the socket is what an urgent page would wait for: on
	 * the urgent lane itself the offers of pages to push.
	 */
	if (lane->nr == TELEPAGE_LANE_URGENT)
		/*
		 * But more than TCP holds back of a reply that others follow, which is
		 * less than a segment: the next one would wait for room, and the room
		 * for the next one. On loopback segments are large.
		 */
		unsent = max(TP_URGENT_UNSENT, 2 * tcp_sk(sk)->mss_cache);
	WRITE_ONCE(tcp_sk(sk)->notsent_lowat, unsent);
	release_sock(sk);
	tp_lane_set_congestion(lane);
}
