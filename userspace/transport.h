/* SPDX-License-Identifier: GPL-2.0 */
/*
 * transport.h - every socket to a peer is made here, and greets here
 *
 * A peer connection begins with one line of JSON each way (see
 * Documentation/control-protocol.md). transport.c connects, listener.c accepts, and
 * greet.c has what is the same for both: these two lines, and before
 * them the TLS handshake (tls.h), after which the kernel seals and opens what the
 * descriptor carries. What comes out is a descriptor of which nothing
 * behind the newline was read.
 *
 * @who: whom the handshake has shown to be there, "" in the clear.
 */
#ifndef TELEPAGE_TRANSPORT_H
#define TELEPAGE_TRANSPORT_H

#include <jansson.h>

#include "target.h"

#define TP_CONTROL_VERSION	1

struct addrinfo;
struct greet;
/* @fd is yours, or -1 and @err says why; @addr: which address answered */
typedef void (*connect_fn)(int fd, const char *addr, const char *who, const char *err,
			   void *arg);
struct greet *transport_connect(const struct target *t, json_t *first /* stolen */,
				connect_fn fn, void *arg);
void transport_cancel(struct greet *g);	/* the callback is not called; NULL is fine */

/* @fd is yours; answer with transport_answer() before anything else */
typedef void (*accept_fn)(int fd, json_t *first, const char *from, const char *who);
int transport_listen(const struct addrinfo *at);	/* 0 or a negative errno */
void transport_accept(accept_fn fn);	/* from now on; who came before that has waited */
/* where: "HOST:PORT" into @buf, which it returns */
char *transport_listens(char *buf, size_t len);
/*
 * What ADDRESS[:PORT], [V6]:PORT or :PORT is: 0 and a list to listen at, else @why;
 * -EINVAL: that will never be one, -EAGAIN: the name cannot be resolved right now.
 */
int listen_resolve(const char *where, struct addrinfo **out, const char **why);
/* @error NULL: welcome; else the words for the other side. -1: it is gone */
int transport_answer(int fd, const char *error);

json_t *transport_hello(const char *role);

#endif /* TELEPAGE_TRANSPORT_H */
