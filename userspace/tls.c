// SPDX-License-Identifier: GPL-2.0
/*
 * tls.c - the handshake of a peer connection
 */
#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "keys.h"
#include "loop.h"
#include "tls.h"

#define ALPN		"telepage"

struct tls {
	gnutls_session_t session;
	const struct keys *keys;
	const char *host;
	int fd;
	bool begun;			/* something has come */
	bool plain;
	gnutls_alert_description_t alert;	/* for what we hold against the peer */
	char who[TLS_WHO_MAX];
	char error[640];
};

/*
 * Ciphers: what the kernel's TLS has and does with AES instructions; 128 bits
 * first, they are enough and faster. A key that is not bound to a hash is for
 * SHA-256, so that a shared key always means AES-128. Curves and signatures: those
 * of today, so that a chain from elsewhere (RSA, Ed25519) does as well as our own.
 * Every handshake has fresh secrets (no plain PSK): a stolen key opens no recording.
 */
#define CIPHERS		"NONE:+VERS-TLS1.3:+AES-128-GCM:+AES-256-GCM:+AEAD:+COMP-NULL:" \
			"+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:"

const char *tls_priority(bool certificates)
{
	return certificates ?
	       CIPHERS "+ECDHE-ECDSA:+ECDHE-RSA:+CTYPE-X509:"
	       "+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SECP384R1-SHA384:"
	       "+SIGN-ECDSA-SHA384:+SIGN-EDDSA-ED25519:+SIGN-RSA-PSS-RSAE-SHA256:"
	       "+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-SHA256:+SIGN-RSA-SHA384:+SIGN-RSA-SHA512:"
	       "%PROFILE_MEDIUM" :
	       CIPHERS "+ECDHE-PSK:+SIGN-ECDSA-SECP256R1-SHA256";
}

const char *tls_alert_words(int alert)
{
	switch (alert) {
	case GNUTLS_A_CERTIFICATE_REQUIRED:
		return "wants a certificate, and this host has none: telepage agent init --issue there";
	case GNUTLS_A_UNKNOWN_CA:
	case GNUTLS_A_BAD_CERTIFICATE:
	case GNUTLS_A_UNSUPPORTED_CERTIFICATE:
	case GNUTLS_A_CERTIFICATE_UNKNOWN:
		return "does not trust this host's certificate: its ca.crt is another one, or it called this host by a name that is not in the certificate";
	case GNUTLS_A_CERTIFICATE_EXPIRED:
		return "says that this host's certificate is not valid now: issue another, or mend the clocks";
	case GNUTLS_A_CERTIFICATE_REVOKED:
		return "says that this host's certificate was revoked";
	case GNUTLS_A_HANDSHAKE_FAILURE:
	case GNUTLS_A_ILLEGAL_PARAMETER:
	case GNUTLS_A_DECRYPT_ERROR:
	case GNUTLS_A_MISSING_EXTENSION:
	case GNUTLS_A_UNKNOWN_PSK_IDENTITY:
	case GNUTLS_A_INSUFFICIENT_SECURITY:
		return "has other keys: telepage agent init --import brings those of one host to the other";
	case GNUTLS_A_PROTOCOL_VERSION:
		return "speaks no TLS 1.3";
	case GNUTLS_A_NO_APPLICATION_PROTOCOL:
		return "speaks TLS, but is no telepage agent";
	}
	return "refused the connection";
}

const struct keys *tls_keys_of(gnutls_session_t session)
{
	return ((struct tls *)gnutls_session_get_ptr(session))->keys;
}

/*
 * The library asks for what it needs and no more, so nothing behind the handshake
 * is ever taken out of the socket.
 */
static ssize_t pull(gnutls_transport_ptr_t ptr, void *buf, size_t len)
{
	struct tls *t = ptr;
	ssize_t n = recv(t->fd, buf, len, MSG_DONTWAIT);

	if (n > 0 && !t->begun) {
		t->begun = true;
		t->plain = *(char *)buf == '{';
		if (t->plain) {
			gnutls_transport_set_errno(t->session, EPROTO);
			return -1;
		}
	}
	/* errno may be anybody's by the time the library looks at it */
	if (n < 0)
		gnutls_transport_set_errno(t->session, errno);
	return n;
}

static ssize_t push(gnutls_transport_ptr_t ptr, const void *buf, size_t len)
{
	struct tls *t = ptr;
	ssize_t n = send(t->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		gnutls_transport_set_errno(t->session, errno);
	return n;
}

struct tls *tls_new(const struct keys *keys, int fd, const char *host)
{
	static const gnutls_datum_t alpn = { (unsigned char *)ALPN, sizeof(ALPN) - 1 };
	struct tls *t = xcalloc(1, sizeof(*t));

	t->keys = keys;
	t->fd = fd;
	t->host = host;
	if (gnutls_init(&t->session, (host ? GNUTLS_CLIENT : GNUTLS_SERVER) | GNUTLS_NONBLOCK |
			GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS))
		abort();
	gnutls_session_set_ptr(t->session, t);
	gnutls_priority_set(t->session, keys->priority);
	gnutls_alpn_set_protocols(t->session, &alpn, 1, GNUTLS_ALPN_MANDATORY);
	if (keys->certificates) {
		gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, keys->cert);
		gnutls_certificate_server_set_request(t->session, GNUTLS_CERT_REQUIRE);
		/* one of another authority is to be shown and refused, not kept back */
		gnutls_certificate_send_x509_rdn_sequence(t->session, 1);
	} else {
		gnutls_credentials_set(t->session, GNUTLS_CRD_PSK,
				       host ? (void *)keys->psk_client : (void *)keys->psk_server);
	}
	gnutls_transport_set_ptr(t->session, t);
	gnutls_transport_set_pull_function(t->session, pull);
	gnutls_transport_set_push_function(t->session, push);
	/* whoever calls has a clock of their own */
	gnutls_handshake_set_timeout(t->session, GNUTLS_INDEFINITE_TIMEOUT);
	return t;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	gnutls_deinit(t->session);
	free(t);
}

uint32_t tls_wants(const struct tls *t)
{
	return gnutls_record_get_direction(t->session) ? EPOLLOUT : EPOLLIN;
}

const char *tls_error(const struct tls *t)
{
	return t->error;
}

bool tls_peer_plain(const struct tls *t)
{
	return t->plain;
}

const char *tls_who(const struct tls *t)
{
	return t->who;
}

/* who the peer is */

static int refuse_certificate(struct tls *t, gnutls_alert_description_t alert, const char *words)
{
	t->alert = alert;
	snprintf(t->error, sizeof(t->error), "%s", words);
	return -1;
}

static int refuse_status(struct tls *t, unsigned int status)
{
	if (status & GNUTLS_CERT_REVOKED)
		return refuse_certificate(t, GNUTLS_A_CERTIFICATE_REVOKED,
					  "its certificate was revoked");
	if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA |
		      GNUTLS_CERT_SIGNATURE_FAILURE))
		return refuse_certificate(t, GNUTLS_A_UNKNOWN_CA,
					  "its certificate was not issued by our ca.crt");
	if (status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED))
		return refuse_certificate(t, GNUTLS_A_CERTIFICATE_EXPIRED,
			"its certificate is not valid now: issue another, or mend the clocks");
	return refuse_certificate(t, GNUTLS_A_BAD_CERTIFICATE,
				  "its certificate is not good for this");
}

static int check_names(struct tls *t, gnutls_x509_crt_t crt)
{
	if (!cert_name(crt, t->who, sizeof(t->who)))
		return refuse_certificate(t, GNUTLS_A_BAD_CERTIFICATE,
					  "its certificate names no host");
	if (!t->host || gnutls_x509_crt_check_hostname2(crt, t->host, 0))
		return 0;
	t->alert = GNUTLS_A_BAD_CERTIFICATE;
	snprintf(t->error, sizeof(t->error),
		 "its certificate is for %s, not for %s: use that name, or issue one for both",
		 t->who, t->host);
	return -1;
}

/* called by the library, before the peer's last word is answered */
int tls_verify_peer(gnutls_session_t session)
{
	struct tls *t = gnutls_session_get_ptr(session);
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (void *)(t->host ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT),
	};
	unsigned int status = 0, nr = 0;
	const gnutls_datum_t *list;
	gnutls_x509_crt_t crt;
	int ret;

	list = gnutls_certificate_get_peers(session, &nr);
	if (!list || !nr)
		return refuse_certificate(t, GNUTLS_A_CERTIFICATE_REQUIRED,
					  "it has no certificate");
	if (gnutls_certificate_verify_peers(session, &purpose, 1, &status))
		status = GNUTLS_CERT_INVALID;
	if (status)
		return refuse_status(t, status);
	if (gnutls_x509_crt_init(&crt))
		abort();
	ret = gnutls_x509_crt_import(crt, &list[0], GNUTLS_X509_FMT_DER) ?
	      refuse_certificate(t, GNUTLS_A_BAD_CERTIFICATE, "its certificate is none") :
	      check_names(t, crt);
	gnutls_x509_crt_deinit(crt);
	return ret;
}

static void name_failure(struct tls *t, int ret)
{
	const char *words = NULL;

	if (t->plain)
		words = "it talks in the clear";
	else if (ret == GNUTLS_E_FATAL_ALERT_RECEIVED || ret == GNUTLS_E_WARNING_ALERT_RECEIVED)
		snprintf(t->error, sizeof(t->error), "it %s",
			 tls_alert_words(gnutls_alert_get(t->session)));
	else if (ret == GNUTLS_E_PREMATURE_TERMINATION || ret == GNUTLS_E_PULL_ERROR ||
		 ret == GNUTLS_E_PUSH_ERROR)
		words = "the connection was closed in the middle of the handshake";
	else if (ret == GNUTLS_E_UNEXPECTED_PACKET || ret == GNUTLS_E_RECORD_OVERFLOW ||
		 ret == GNUTLS_E_UNEXPECTED_PACKET_LENGTH ||
		 ret == GNUTLS_E_UNSUPPORTED_VERSION_PACKET)
		words = "it speaks no TLS 1.3";
	else if (ret == GNUTLS_E_NO_CIPHER_SUITES || ret == GNUTLS_E_INSUFFICIENT_CREDENTIALS)
		words = "it has other keys than this host (telepage agent init), or speaks no TLS 1.3";
	else if (ret == GNUTLS_E_NO_CERTIFICATE_FOUND || ret == GNUTLS_E_CERTIFICATE_REQUIRED)
		words = "it has no certificate";
	else if (!t->keys->certificates)
		words = "it has other keys: telepage agent init --import brings those of one host to the other";
	else if (!t->error[0])
		words = gnutls_strerror(ret);
	if (words)
		snprintf(t->error, sizeof(t->error), "%s", words);
}

static int fail(struct tls *t, int ret)
{
	if (t->plain)
		;
	else if (t->alert)
		gnutls_alert_send(t->session, GNUTLS_AL_FATAL, t->alert);
	else
		gnutls_alert_send_appropriate(t->session, ret);
	name_failure(t, ret);
	return -EPROTO;
}

static int check_done(struct tls *t)
{
	const char *name;

	/* cannot be, by what was offered; but nothing must leave in the clear by mistake */
	if (gnutls_protocol_get_version(t->session) != GNUTLS_TLS1_3 ||
	    gnutls_record_check_pending(t->session)) {
		snprintf(t->error, sizeof(t->error), "it did not keep to the handshake");
		return -EPROTO;
	}
	if (t->keys->certificates) {
		if (gnutls_auth_get_type(t->session) == GNUTLS_CRD_CERTIFICATE && t->who[0])
			return 0;
		snprintf(t->error, sizeof(t->error), "it has no certificate");
		return -EPROTO;
	}
	/* who accepts is told the name; who connects has used its own, and it was right */
	name = t->host ? t->keys->psk_name : gnutls_psk_server_get_username(t->session);
	if (gnutls_auth_get_type(t->session) != GNUTLS_CRD_PSK || !name ||
	    strcmp(name, t->keys->psk_name) != 0) {
		snprintf(t->error, sizeof(t->error), "it has another shared key");
		return -EPROTO;
	}
	snprintf(t->who, sizeof(t->who), TLS_PSK_PREFIX "%s", name);
	return 0;
}

int tls_handshake(struct tls *t)
{
	int ret;

	do {
		ret = gnutls_handshake(t->session);
		if (ret == GNUTLS_E_AGAIN)
			return -EAGAIN;
	} while (ret < 0 && !gnutls_error_is_fatal(ret) &&
		 ret != GNUTLS_E_WARNING_ALERT_RECEIVED);
	return ret < 0 ? fail(t, ret) : check_done(t);
}

int tls_key(const struct tls *t, bool rx, struct ktls_key *k)
{
	gnutls_datum_t mac, iv, key;
	unsigned char seq[8];

	if (gnutls_record_get_state(t->session, rx, &mac, &iv, &key, seq))
		return -EIO;
	if (iv.size != sizeof(k->iv) || (key.size != 16 && key.size != 32))
		return -EPROTO;
	k->len = key.size;
	memcpy(k->key, key.data, key.size);
	memcpy(k->iv, iv.data, sizeof(k->iv));
	memcpy(k->seq, seq, sizeof(k->seq));
	return 0;
}
