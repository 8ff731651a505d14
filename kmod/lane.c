// SPDX-License-Identifier: GPL-2.0
/*
 * lane.c - lanes: sockets, their threads, and whole messages in and out
 *
 * A lane has a receive thread, which greets and then dispatches messages, and if
 * it is a bulk lane a push thread. Who is in a socket sleeps until the peer moves
 * or the lane fails: failing shuts the socket down, which wakes all of them.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <uapi/linux/tls.h>
#include "link.h"
#include "telepage.h"
#include "trace.h"

/* types of TLS records, RFC 8446 5.1 */
enum { TP_TLS_ALERT = 21, TP_TLS_DATA = 23 };

static void tp_lane_free(struct kref *ref)
{
	struct tp_lane *lane = container_of(ref, struct tp_lane, ref);

	sockfd_put(lane->sock);
	tp_link_put(lane->link);
	tp_packer_free(&lane->packer);
	tp_unpacker_free(&lane->unpacker);
	kfree(lane->buf);
	kfree(lane);
	module_put(THIS_MODULE);
}

void tp_lane_put(struct tp_lane *lane)
{
	kref_put(&lane->ref, tp_lane_free);
}

/**
 * tp_lane_get - the lane in a slot
 * @link: the link
 * @nr: the slot
 *
 * Context: sleeps.
 * Return: the lane with a reference, or NULL.
 */
struct tp_lane *tp_lane_get(struct tp_link *link, u32 nr)
{
	struct tp_lane *lane;

	mutex_lock(&link->lane_mutex);
	lane = link->lanes[nr];
	if (lane)
		kref_get(&lane->ref);
	mutex_unlock(&link->lane_mutex);
	return lane;
}

/* Also of threads that were never woken: these end without having run. */
static void tp_lane_end_threads(struct tp_lane *lane)
{
	kthread_stop(lane->rx_task);
	put_task_struct(lane->rx_task);
	if (lane->push_task) {
		kthread_stop(lane->push_task);
		put_task_struct(lane->push_task);
	}
}

/*
 * The second phase of a lane's end: the socket is shut down, nobody sleeps in it
 * for long. Not in the lane's own threads, which have to be stopped.
 */
static void tp_lane_fail_work(struct work_struct *work)
{
	struct tp_lane *lane = container_of(work, struct tp_lane, fail_work);
	struct tp_link *link = lane->link;

	tp_lane_end_threads(lane);
	mutex_lock(&link->lane_mutex);
	link->lanes[lane->nr] = NULL;
	mutex_unlock(&link->lane_mutex);
	tp_lane_put(lane);		/* the slot's */

	tp_import_lane_lost(lane);
	/* Told last: whoever hears it can attach a new socket at once. */
	if (lane->err != -ESHUTDOWN)
		tp_event_lane(TELEPAGE_EVENT_LANE_LOST, link->id, lane->nr, -lane->err,
			      lane->reason);
	complete_all(&lane->gone);
	tp_lane_put(lane);		/* ours */
}

/**
 * tp_lane_fail - a lane cannot be used any more
 * @lane: the lane
 * @err: negative errno; -ESHUTDOWN when it was asked for, which is no event
 * @reason: what happened, for people; a constant
 *
 * The first reason counts.
 *
 * Context: sleeps; may be one of the lane's threads.
 */
void tp_lane_fail(struct tp_lane *lane, int err, const char *reason)
{
	if (test_and_set_bit(TP_LANE_FAILED, &lane->flags))
		return;
	lane->err = err;
	lane->reason = reason;
	trace_telepage_lane(lane->link->id, lane->nr, false, err);
	kernel_sock_shutdown(lane->sock, SHUT_RDWR);
	wake_up_all(&lane->link->push_wq);
	wake_up_all(&lane->link->relay_wq);
	kref_get(&lane->ref);
	queue_work(tp_end_wq, &lane->fail_work);
}

/**
 * tp_lane_wait_gone - wait until a lane that has failed is gone
 * @lane: with a reference of the caller's
 * @until: jiffies, how long
 *
 * Its threads may be reading a page from a disk or a process, which takes as long as it
 * takes. So this has an end, and others are not kept waiting for it.
 *
 * Context: sleeps; none of the lane's threads; not under tp_ctl_mutex.
 * Return: 0; -EBUSY it is still there, -EINTR a fatal signal came: it goes by itself.
 */
int tp_lane_wait_gone(struct tp_lane *lane, unsigned long until)
{
	long left = max_t(long, until - jiffies, 0);

	left = wait_for_completion_killable_timeout(&lane->gone, left);
	return left > 0 ? 0 : left ? -EINTR : -EBUSY;
}

/*
 * A TLS record that is no data. An alert ends the stream. Anything else after the
 * handshake asks for new keys, which the kernel's TLS cannot take on all kernels we
 * run on: the lane is given up and the agents make a new one, with new keys.
 */
static int tp_lane_control_record(u8 type)
{
	return type == TP_TLS_ALERT ? -ECONNRESET : -EKEYEXPIRED;
}

static int tp_lane_recv_iter(struct tp_lane *lane, struct iov_iter *iter)
{
	while (iov_iter_count(iter)) {
		union {
			struct cmsghdr cmsg;
			u8 room[CMSG_SPACE(sizeof(u8))];
		} control;
		struct msghdr msg = {
			.msg_flags = MSG_NOSIGNAL,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
			.msg_iter = *iter,
		};
		int ret = sock_recvmsg(lane->sock, &msg, MSG_WAITALL);

		if (ret < 0)
			return ret;
		/* Without room for it kTLS would fail at such a record for ever. */
		if (msg.msg_controllen != sizeof(control) && control.cmsg.cmsg_level == SOL_TLS &&
		    control.cmsg.cmsg_type == TLS_GET_RECORD_TYPE &&
		    *(u8 *)CMSG_DATA(&control.cmsg) != TP_TLS_DATA)
			return tp_lane_control_record(*(u8 *)CMSG_DATA(&control.cmsg));
		if (!ret)
			return -ECONNRESET;
		*iter = msg.msg_iter;
		atomic64_add(ret, &lane->rx_bytes);
		atomic64_add(ret, &lane->link->rx_bytes);
	}
	return 0;
}

/**
 * tp_lane_recv - receive exactly so many bytes
 * @lane: the lane
 * @buf: where to
 * @len: bytes
 *
 * Context: sleeps until they are there; the receive thread.
 * Return: 0, -ECONNRESET at the end of the stream, or another errno.
 */
int tp_lane_recv(struct tp_lane *lane, void *buf, size_t len)
{
	struct kvec iov = { .iov_base = buf, .iov_len = len };
	struct iov_iter iter;

	iov_iter_kvec(&iter, ITER_DEST, &iov, 1, len);
	return tp_lane_recv_iter(lane, &iter);
}

/**
 * tp_lane_recv_pages - receive pages where they will stay
 * @lane: the lane
 * @bv: whole pages
 * @nr: how many
 *
 * Context and return: as tp_lane_recv().
 */
int tp_lane_recv_pages(struct tp_lane *lane, struct bio_vec *bv, unsigned int nr)
{
	struct iov_iter iter;

	iov_iter_bvec(&iter, ITER_DEST, bv, nr, (size_t)nr * PAGE_SIZE);
	return tp_lane_recv_iter(lane, &iter);
}

/**
 * tp_lane_memory - what a lane keeps for messages, bytes
 * @lane: the lane
 *
 * Context: any. Bounded: a message of each direction, and the packers' workspaces.
 */
size_t tp_lane_memory(struct tp_lane *lane)
{
	return TP_LIST_MAX * TP_DEMAND_LEN + READ_ONCE(lane->packer.work_size) +
	       2 * READ_ONCE(lane->packer.size) +
	       (READ_ONCE(lane->unpacker.out) ? lane->unpacker.work_size + 2 * TP_PAYLOAD_MAX : 0) +
	       READ_ONCE(lane->sock->sk->sk_wmem_queued);
}

/**
 * tp_lane_dry - has the network taken all that was sent?
 * @lane: the lane
 *
 * Context: any; an estimate, the socket is not locked.
 */
bool tp_lane_dry(struct tp_lane *lane)
{
	const struct tcp_sock *tp = tcp_sk(lane->sock->sk);

	return READ_ONCE(tp->write_seq) == READ_ONCE(tp->snd_nxt);
}

static int tp_lane_send_locked(struct tp_lane *lane, const struct tp_hdr *hdr, void *payload,
			       int flags)
{
	u8 buf[TP_HDR_LEN];
	struct kvec iov[2] = {
		{ .iov_base = buf, .iov_len = sizeof(buf) },
		{ .iov_base = payload, .iov_len = payload ? hdr->len : 0 },
	};
	struct msghdr msg = { .msg_flags = MSG_NOSIGNAL | flags };
	size_t len = iov[0].iov_len + iov[1].iov_len;
	int ret;

	tp_wire_put_hdr(buf, hdr);
	ret = kernel_sendmsg(lane->sock, &msg, iov, 2, len);
	if (ret < 0)
		return ret;
	/* A blocking send does all or ends with the socket. */
	return ret == len ? 0 : -EPIPE;
}

static void tp_lane_sent(struct tp_lane *lane, const struct tp_hdr *hdr, int err)
{
	if (err) {
		tp_lane_fail(lane, err, "sending failed");
		return;
	}
	atomic64_add(TP_HDR_LEN + hdr->len, &lane->tx_bytes);
	atomic64_add(TP_HDR_LEN + hdr->len, &lane->link->tx_bytes);
}

/**
 * tp_lane_send - send a message
 * @lane: the lane
 * @hdr: its header
 * @payload: @hdr->len bytes, or NULL
 *
 * Context: sleeps while the socket is full. A failure has failed the lane.
 * Return: 0 or a negative errno.
 */
int tp_lane_send(struct tp_lane *lane, const struct tp_hdr *hdr, void *payload)
{
	int err;

	mutex_lock(&lane->tx_mutex);
	err = tp_lane_send_locked(lane, hdr, payload, 0);
	mutex_unlock(&lane->tx_mutex);
	tp_lane_sent(lane, hdr, err);
	return err;
}

/**
 * tp_lane_send_pages - send a message with pages by reference
 * @lane: the lane
 * @hdr: its header, @count pages
 * @bv: the pages, whole; their content must not change any more
 * @more: another message follows at once
 *
 * Context and return: as tp_lane_send().
 */
int tp_lane_send_pages(struct tp_lane *lane, const struct tp_hdr *hdr, struct bio_vec *bv,
		       bool more)
{
	int err;

	mutex_lock(&lane->tx_mutex);
	err = tp_lane_send_locked(lane, hdr, NULL, MSG_MORE);
	if (!err)
		err = tp_sock_send_pages(lane->sock, bv, hdr->count, hdr->len, more ? MSG_MORE : 0);
	mutex_unlock(&lane->tx_mutex);
	tp_lane_sent(lane, hdr, err);
	return err;
}

/* Greet, and believe nothing before the peer has. */
static int tp_lane_greet(struct tp_lane *lane, const char **why)
{
	struct tp_hdr hdr = { .type = TP_MSG_HELLO, .len = TP_HELLO_LEN };
	struct tp_hello hello = { .version = TP_WIRE_VERSION, .lane = lane->nr };
	struct sock *sk = lane->sock->sk;
	u8 buf[TP_HDR_LEN + TP_HELLO_LEN];
	int err;

	tp_wire_put_hello(buf, &hello);
	err = tp_lane_send(lane, &hdr, buf);
	if (err)
		return err;
	err = tp_lane_recv(lane, buf, sizeof(buf));
	if (err == -EAGAIN)
		*why = "the peer did not greet in time";
	if (err)
		return err == -EAGAIN ? -ETIMEDOUT : err;
	*why = tp_wire_get_hdr(buf, &hdr);
	if (!*why && hdr.type != TP_MSG_HELLO)
		*why = "the peer's first message is no greeting";
	if (!*why)
		*why = tp_wire_get_hello(buf + TP_HDR_LEN, &hello);
	if (!*why && !hello.lane != !lane->nr)
		*why = "one end is an urgent lane, the other a bulk lane";
	if (*why)
		return -EPROTO;
	/* the greeting had a deadline, the rest has none */
	sk->sk_rcvtimeo = MAX_SCHEDULE_TIMEOUT;
	return 0;
}

static int tp_lane_dispatch(struct tp_lane *lane, const struct tp_hdr *hdr)
{
	bool urgent = lane->nr == TELEPAGE_LANE_URGENT;

	switch (hdr->type) {
	case TP_MSG_DATA:
		return tp_import_data(lane, hdr);
	case TP_MSG_ZERO:
		return tp_import_zero(lane, hdr);
	case TP_MSG_FAIL:
		return tp_import_fail(lane, hdr);
	case TP_MSG_DEMAND:
		return urgent ? tp_export_demand(lane, hdr) : -EPROTO;
	case TP_MSG_WANT:
		return urgent ? tp_export_want(lane, hdr) : -EPROTO;
	case TP_MSG_STALE:
		return urgent ? tp_live_stale(lane, hdr) : -EPROTO;
	case TP_MSG_ROUND:
		return urgent ? tp_rounds_done(lane, hdr) : -EPROTO;
	}
	return -EPROTO;
}

static int tp_lane_rx_thread(void *data)
{
	struct tp_lane *lane = data;
	const char *why = NULL;
	u8 buf[TP_HDR_LEN];
	struct tp_hdr hdr;
	int err;

	err = tp_lane_greet(lane, &why);
	if (!err) {
		set_bit(TP_LANE_UP, &lane->flags);
		trace_telepage_lane(lane->link->id, lane->nr, true, 0);
		tp_event_lane(TELEPAGE_EVENT_LANE_UP, lane->link->id, lane->nr, 0, NULL);
		tp_import_lane_up(lane);
		if (lane->nr == TELEPAGE_LANE_URGENT)
			tp_rounds_lane_up(lane);
		tp_link_kick_push(lane->link);
	}
	while (!err) {
		err = tp_lane_recv(lane, buf, sizeof(buf));
		if (err)
			break;
		why = tp_wire_get_hdr(buf, &hdr);
		err = why ? -EPROTO : tp_lane_dispatch(lane, &hdr);
	}

	if (err == -EPROTO) {
		atomic64_inc(&lane->link->bad);
		pr_warn_ratelimited("link %u lane %u: %s\n", lane->link->id, lane->nr,
				    why ?: "a message that does not belong here");
	}
	if (!why)
		why = err == -ECONNRESET ? "the peer closed the connection" :
		      err == -EPROTO ? "the peer sent a message that does not belong here" :
		      err == -EKEYEXPIRED ? "the peer changes its keys" :
		      err == -ETIMEDOUT ? "the peer acknowledged nothing for link_timeout_ms" :
				       "receiving failed";
	tp_lane_fail(lane, err, why);
	/* kthread_stop() needs a thread that is still there */
	set_current_state(TASK_IDLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_IDLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static struct task_struct *tp_lane_thread(struct tp_lane *lane, int (*fn)(void *), char what)
{
	struct task_struct *t;

	t = kthread_create(fn, lane, "tp-%c%u.%u", what, lane->link->id, lane->nr);
	if (!IS_ERR(t))
		get_task_struct(t);
	return t;
}

/* A lane for a socket of the calling task, without threads; a reference is the caller's. */
static struct tp_lane *tp_lane_new(struct tp_link *link, u32 nr, int fd,
				   struct netlink_ext_ack *extack)
{
	struct tp_lane *lane = kzalloc(sizeof(*lane), GFP_KERNEL_ACCOUNT);
	int err = -ENOMEM;

	if (!lane)
		return ERR_PTR(-ENOMEM);
	lane->buf = kmalloc(TP_LIST_MAX * max(TP_DEMAND_LEN, TP_RUN_LEN), GFP_KERNEL_ACCOUNT);
	if (!lane->buf)
		goto err_free;
	lane->sock = sockfd_lookup(fd, &err);
	if (!lane->sock) {
		if (err == -ENOTSOCK)
			NL_SET_ERR_MSG(extack, "the descriptor is not a socket");
		else
			NL_SET_ERR_MSG(extack, "there is no such descriptor");
		goto err_free;
	}
	err = tp_lane_check_socket(lane->sock, extack);
	if (err)
		goto err_sock;
	/* Until the lane is freed there is code of ours to return to. */
	if (!try_module_get(THIS_MODULE)) {
		NL_SET_ERR_MSG(extack, "the module is being unloaded");
		err = -ENODEV;
		goto err_sock;
	}

	kref_init(&lane->ref);
	kref_get(&link->ref);
	lane->link = link;
	lane->nr = nr;
	mutex_init(&lane->tx_mutex);
	tp_packer_init(&lane->packer);
	init_completion(&lane->gone);
	INIT_WORK(&lane->fail_work, tp_lane_fail_work);
	return lane;

err_sock:
	sockfd_put(lane->sock);
err_free:
	kfree(lane->buf);
	kfree(lane);
	return ERR_PTR(err);
}

static int tp_lane_make_threads(struct tp_lane *lane)
{
	struct task_struct *t = tp_lane_thread(lane, tp_lane_rx_thread, 'r');

	if (IS_ERR(t))
		return PTR_ERR(t);
	lane->rx_task = t;
	if (lane->nr == TELEPAGE_LANE_URGENT)
		return 0;
	t = tp_lane_thread(lane, tp_push_thread, 'p');
	if (IS_ERR(t)) {
		tp_lane_end_threads(lane);
		return PTR_ERR(t);
	}
	lane->push_task = t;
	return 0;
}

/**
 * tp_lane_attach - make a socket a lane
 * @link: the link
 * @nr: which lane
 * @fd: descriptor of the calling task
 * @extack: where to say what is wrong
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0, -EBUSY, -ENODEV, -ENOTSOCK, -EBADF, -EPROTOTYPE, -ENOTCONN, -ENOMEM.
 */
int tp_lane_attach(struct tp_link *link, u32 nr, int fd, struct netlink_ext_ack *extack)
{
	struct tp_lane *lane;
	int err;

	lockdep_assert_held(&tp_ctl_mutex);
	lane = tp_lane_new(link, nr, fd, extack);
	if (IS_ERR(lane))
		return PTR_ERR(lane);
	err = tp_lane_make_threads(lane);
	if (err)
		goto out;

	mutex_lock(&link->lane_mutex);
	if (link->dead) {
		NL_SET_ERR_MSG(extack, "the link is being deleted");
		err = -ENODEV;
	} else if (link->lanes[nr]) {
		NL_SET_ERR_MSG(extack, "the lane has a socket: detach it first");
		err = -EBUSY;
	} else {
		kref_get(&lane->ref);		/* the slot's */
		link->lanes[nr] = lane;
	}
	mutex_unlock(&link->lane_mutex);
	if (err) {
		tp_lane_end_threads(lane);
		goto out;
	}
	tp_lane_tune_socket(lane);
	/* From here on the lane may fail, and the slot's reference go, at any time. */
	wake_up_process(lane->rx_task);
	if (lane->push_task)
		wake_up_process(lane->push_task);
out:
	tp_lane_put(lane);
	return err;
}
