/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tls.h - the handshake of a peer connection
 *
 * TLS 1.3, both sides prove who they are, no resumption and nothing behind the
 * handshake: what comes out of it are the keys for the kernel (ktls.h), and this
 * library has no more to do with the connection.
 */
#ifndef TELEPAGE_TLS_H
#define TELEPAGE_TLS_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>

#include "ktls.h"

/* of names of hosts and of pre-shared keys */
#define TLS_NAME_CHARS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
/* who has the shared key NAME is psk:NAME; no certificate can say that of itself */
#define TLS_PSK_PREFIX	"psk:"
#define TLS_WHO_MAX	256

struct keys;
struct tls;

/* @host: whom we connect to, which its certificate has to say; NULL: we accept */
struct tls *tls_new(const struct keys *keys, int fd, const char *host);
void tls_free(struct tls *t);		/* the descriptor stays; NULL is fine */
/* 0: done; -EAGAIN: call again at tls_wants(); else it failed, see tls_error() */
int tls_handshake(struct tls *t);
uint32_t tls_wants(const struct tls *t);	/* EPOLLIN or EPOLLOUT */
const char *tls_error(const struct tls *t);	/* in words about the peer */
bool tls_peer_plain(const struct tls *t);	/* failed because it talks in the clear */
/* after the handshake: who it is */
const char *tls_who(const struct tls *t);
/* after the handshake: what the kernel needs; 0 or a negative errno */
int tls_key(const struct tls *t, bool rx, struct ktls_key *k);

/* what the peer holds against us, by the number of its alert */
const char *tls_alert_words(int alert);

/* for keys.c */
const char *tls_priority(bool certificates);
int tls_verify_peer(gnutls_session_t session);
const struct keys *tls_keys_of(gnutls_session_t session);

#endif /* TELEPAGE_TLS_H */
