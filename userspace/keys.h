/* SPDX-License-Identifier: GPL-2.0 */
/*
 * keys.h - the directory of what this host proves itself with
 *
 *	psk		NAME:HEX, the same on all hosts; whoever has it is trusted
 *	ca.crt		whose certificates are believed
 *	agent.crt	this host's own, and
 *	agent.key	its key
 *	crl.pem		certificates that are believed no more; may be missing
 *	ca.key		only where certificates are issued
 *
 * Certificates are used if there are any, else the pre-shared key.
 */
#ifndef TELEPAGE_KEYS_H
#define TELEPAGE_KEYS_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>

#define TP_KEYS_DIR	"/etc/telepage"

#define PSK_BYTES	32
#define PSK_NAME_MAX	63
#define KEY_FILE_MAX	65536

struct keys {
	bool certificates;		/* else a pre-shared key */
	bool both;			/* the pre-shared key is there, and not used */
	char name[256];			/* ours: of the certificate, or of the shared key */
	gnutls_certificate_credentials_t cert;
	char psk_name[PSK_NAME_MAX + 1];
	unsigned char psk[PSK_BYTES];
	gnutls_psk_client_credentials_t psk_client;
	gnutls_psk_server_credentials_t psk_server;
	gnutls_priority_t priority;
};

/* NULL: @err says why and what to do */
struct keys *keys_load(const char *dir, char *err, size_t len);
void keys_free(struct keys *k);

/* NAME:HEX; false: it is not that. @name may be NULL */
bool psk_parse(const char *text, char name[PSK_NAME_MAX + 1], unsigned char key[PSK_BYTES]);

/* a peer's name by its certificate; false: it has none that can be one */
bool cert_name(gnutls_x509_crt_t crt, char *name, size_t len);

#endif /* TELEPAGE_KEYS_H */
