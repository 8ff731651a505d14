// SPDX-License-Identifier: GPL-2.0
/*
 * genl_sock.c - the netlink sockets: requests, answers, events
 *
 * libnl makes and takes apart the messages; sending and receiving is done here,
 * because libnl turns the kernel's errno into numbers of its own and drops the
 * words that come with it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "genl.h"
#include "genl_parse.h"
#include "genl_sock.h"

/* a whole dirty bitmap (32 KiB) or the largest part of a dump, with room */
#define RX_BYTES	(128 * 1024)
#define SOCKET_BYTES	(256 * 1024)	/* what the kernel may queue for us; costs nothing unused */
/* bursts of events while the reader does something else */
#define EVENTS_RCVBUF	(1024 * 1024)
#define WORDS_MAX	256

struct tp_nl {
	struct nl_sock *sock;
	int family;
	uint32_t seq;
	char words[WORDS_MAX];
	char *rx;			/* RX_BYTES */
};

/* what tp_nl_open() could not leave in a struct tp_nl */
static _Thread_local char open_words[WORDS_MAX];

static int open_failed(struct tp_nl *nl, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int open_failed(struct tp_nl *nl, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(open_words, sizeof(open_words), fmt, ap);
	va_end(ap);
	tp_nl_close(nl);
	return err;
}

int tp_nl_open(struct tp_nl **out)
{
	struct tp_nl *nl = calloc(1, sizeof(*nl));
	int err, fd, on = 1;

	*out = NULL;
	if (!nl)
		return open_failed(NULL, -ENOMEM, "out of memory");
	nl->sock = nl_socket_alloc();
	nl->rx = malloc(RX_BYTES);
	if (!nl->sock || !nl->rx)
		return open_failed(nl, -ENOMEM, "out of memory");

	err = genl_connect(nl->sock);
	if (err)
		return open_failed(nl, -EPROTONOSUPPORT, "no generic netlink socket: %s",
				   nl_geterror(err));
	/* libnl's default has no room for the answer of a whole dirty bitmap and the ack */
	nl_socket_set_buffer_size(nl->sock, SOCKET_BYTES, 0);
	nl->family = genl_ctrl_resolve(nl->sock, TELEPAGE_FAMILY_NAME);
	if (nl->family == -NLE_OBJ_NOTFOUND)
		return open_failed(nl, -ENOENT, "the telepage module is not loaded");
	if (nl->family < 0)
		return open_failed(nl, -EIO, "cannot ask for the telepage netlink family: %s",
				   nl_geterror(nl->family));

	/* kernels that lack one of these just say less */
	fd = nl_socket_get_fd(nl->sock);
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	*out = nl;
	return 0;
}

void tp_nl_close(struct tp_nl *nl)
{
	if (!nl)
		return;
	nl_socket_free(nl->sock);
	free(nl->rx);
	free(nl);
}

const char *tp_nl_error(const struct tp_nl *nl)
{
	return nl ? nl->words : open_words;
}

int tp_nl_fd(const struct tp_nl *nl)
{
	return nl_socket_get_fd(nl->sock);
}

/* one datagram from the kernel into nl->rx: its length or a negative errno */
static ssize_t receive(struct tp_nl *nl, int flags)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { .iov_base = nl->rx, .iov_len = RX_BYTES };
	struct msghdr msg = {
		.msg_name = &from, .msg_namelen = sizeof(from),
		.msg_iov = &iov, .msg_iovlen = 1,
	};
	ssize_t n;

	do {
		n = recvmsg(tp_nl_fd(nl), &msg, flags);
		/* other processes can send to our port, and are not listened to */
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));
	if (n < 0)
		return -errno;
	return msg.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
}

int tp_nl_senseless(struct tp_nl *nl, const char *words)
{
	snprintf(nl->words, sizeof(nl->words), "%s", words);
	return -EBADMSG;
}

/*
 * Passes every message of the answer to @fn and returns when the kernel has said
 * that this was all. An error of @fn is returned too, after the answer has been
 * read to its end, so that the socket can be used again.
 */
static int read_answer(struct tp_nl *nl, bool dump, tp_nl_answer_fn fn, void *arg)
{
	bool interrupted = false;
	int fn_err = 0;

	for (;;) {
		struct nlmsghdr *nlh;
		ssize_t got = receive(nl, 0);
		int len = got;

		if (got < 0)
			return got;
		for (nlh = (void *)nl->rx; nlmsg_ok(nlh, len); nlh = nlmsg_next(nlh, &len)) {
			struct genlmsghdr *g;

			if (nlh->nlmsg_seq != nl->seq)
				continue;
			interrupted |= nlh->nlmsg_flags & NLM_F_DUMP_INTR;
			if (nlh->nlmsg_type == NLMSG_ERROR ||
			    (nlh->nlmsg_type == NLMSG_DONE && dump)) {
				int err = tp_parse_ack(nlh, nl->words, sizeof(nl->words));

				if (err || fn_err)
					return err ? err : fn_err;
				return interrupted ? TP_NL_INTERRUPTED : 0;
			}
			if (nlh->nlmsg_type != nl->family || fn_err || !fn)
				continue;
			if (!genlmsg_valid_hdr(nlh, 0)) {
				fn_err = -EBADMSG;
				continue;
			}
			g = genlmsg_hdr(nlh);
			fn_err = fn(genlmsg_attrdata(g, 0), genlmsg_attrlen(g, 0), arg);
		}
	}
}

int tp_nl_transact(struct tp_nl *nl, struct nl_msg *msg, tp_nl_answer_fn fn, void *arg)
{
	struct nlmsghdr *nlh;
	int err;

	nl->words[0] = '\0';
	if (!msg)
		return -ENOMEM;
	nlh = nlmsg_hdr(msg);
	nlh->nlmsg_seq = ++nl->seq;
	nlh->nlmsg_pid = nl_socket_get_local_port(nl->sock);

	do {
		err = send(tp_nl_fd(nl), nlh, nlh->nlmsg_len, 0) < 0 ? -errno : 0;
	} while (err == -EINTR);
	if (!err)
		err = read_answer(nl, nlh->nlmsg_flags & NLM_F_DUMP, fn, arg);
	nlmsg_free(msg);
	if (err == -EBADMSG && !nl->words[0])
		tp_nl_senseless(nl, "the module's answer makes no sense to this tool");
	return err;
}

struct nl_msg *tp_nl_request(struct tp_nl *nl, enum telepage_cmd cmd, int flags)
{
	return tp_nl_request_of(nl, cmd, flags, 4096);
}

struct nl_msg *tp_nl_request_of(struct tp_nl *nl, enum telepage_cmd cmd, int flags, size_t size)
{
	struct nl_msg *msg = nlmsg_alloc_size(size);

	if (msg && !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, nl->family, 0,
				NLM_F_REQUEST | flags, cmd, TELEPAGE_FAMILY_VERSION)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return msg;
}

void tp_nl_put(struct nl_msg **msg, int type, const void *data, size_t len)
{
	if (*msg && nla_put(*msg, type, len, data) < 0) {
		nlmsg_free(*msg);
		*msg = NULL;
	}
}

void tp_nl_put_string(struct nl_msg **msg, int type, const char *s)
{
	tp_nl_put(msg, type, s, strlen(s) + 1);
}

void tp_nl_put_u32(struct nl_msg **msg, int type, uint32_t v)
{
	tp_nl_put(msg, type, &v, sizeof(v));
}

void tp_nl_put_u64(struct nl_msg **msg, int type, uint64_t v)
{
	tp_nl_put(msg, type, &v, sizeof(v));
}

int tp_nl_events_open(struct tp_nl **out)
{
	struct tp_nl *nl;
	int err, group;

	*out = NULL;
	err = tp_nl_open(&nl);
	if (!nl)
		return err;
	group = genl_ctrl_resolve_grp(nl->sock, TELEPAGE_FAMILY_NAME, TELEPAGE_MCGRP_EVENTS);
	if (group < 0)
		return open_failed(nl, -ENOENT, "the telepage module has no group of events");
	/* a small buffer is no reason to give up: losses are reported */
	nl_socket_set_buffer_size(nl->sock, EVENTS_RCVBUF, 0);
	err = nl_socket_add_membership(nl->sock, group);
	if (err == -NLE_PERM)
		return open_failed(nl, -EPERM, "no permission to listen to events");
	if (err)
		return open_failed(nl, -EIO, "cannot listen to events: %s", nl_geterror(err));
	err = nl_socket_set_nonblocking(nl->sock);
	if (err)
		return open_failed(nl, -EIO, "cannot listen to events: %s", nl_geterror(err));
	*out = nl;
	return 0;
}

int tp_nl_events_read(struct tp_nl *nl, void (*cb)(const struct tp_event *ev, void *arg),
		      void *arg)
{
	bool lost = false;

	for (;;) {
		struct nlmsghdr *nlh;
		ssize_t got = receive(nl, MSG_DONTWAIT);
		int len = got;

		if (got == -EAGAIN)
			return lost ? -ENOBUFS : 0;
		if (got == -ENOBUFS || got == -EMSGSIZE) {
			lost = true;	/* what is still queued is told first */
			continue;
		}
		if (got < 0)
			return got;
		for (nlh = (void *)nl->rx; nlmsg_ok(nlh, len); nlh = nlmsg_next(nlh, &len)) {
			struct genlmsghdr *g;
			struct tp_event ev;

			if (nlh->nlmsg_type != nl->family || !genlmsg_valid_hdr(nlh, 0))
				continue;
			g = genlmsg_hdr(nlh);
			if (g->cmd == TELEPAGE_CMD_EVENT &&
			    !tp_parse_event(genlmsg_attrdata(g, 0), genlmsg_attrlen(g, 0), &ev))
				cb(&ev, arg);
		}
	}
}
