// SPDX-License-Identifier: GPL-2.0
/*
 * issue.c - new keys and certificates, as text
 */
#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "issue.h"
#include "keys.h"
#include "loop.h"
#include "tls.h"

#define SERIAL_BYTES	16
#define DAY_S		86400

static void random_bytes(void *buf, size_t n, bool key)
{
	/* without randomness nothing is safe */
	if (gnutls_rnd(key ? GNUTLS_RND_KEY : GNUTLS_RND_NONCE, buf, n))
		abort();
}

char *issue_psk(void)
{
	unsigned char raw[4 + PSK_BYTES];
	char *text = xcalloc(1, 32 + 2 * PSK_BYTES), *p = text;
	size_t i;

	random_bytes(raw, sizeof(raw), true);
	/* a name of its own, so that two keys are told apart in errors */
	p += sprintf(p, "telepage-%02x%02x%02x%02x:", raw[0], raw[1], raw[2], raw[3]);
	for (i = 0; i < PSK_BYTES; i++)
		p += sprintf(p, "%02x", raw[4 + i]);
	*p = '\n';
	explicit_bzero(raw, sizeof(raw));
	return text;
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void issued_free(struct issued *i)
{
	wipe(i->key);
	wipe(i->crt);
	i->key = NULL;
	i->crt = NULL;
}

static char *text_of(gnutls_datum_t *d)
{
	char *text = xcalloc(1, d->size + 1);

	memcpy(text, d->data, d->size);
	explicit_bzero(d->data, d->size);
	gnutls_free(d->data);
	return text;
}

static int set_names(gnutls_x509_crt_t crt, const char *names)
{
	char *copy = xstrdup(names), *next = copy, *name;
	unsigned char addr[16];
	int ret = 0;

	while (ret >= 0 && (name = strsep(&next, ","))) {
		if (inet_pton(AF_INET, name, addr) == 1)
			ret = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, addr,
								   4, GNUTLS_FSAN_APPEND);
		else if (inet_pton(AF_INET6, name, addr) == 1)
			ret = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, addr,
								   16, GNUTLS_FSAN_APPEND);
		else
			ret = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name,
								   strlen(name),
								   GNUTLS_FSAN_APPEND);
	}
	free(copy);
	return ret;
}

/* what all of ours have: a name, a key, a serial number, a time */
static int begin_crt(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const char *cn, int days)
{
	unsigned char serial[SERIAL_BYTES], id[64];
	size_t n = sizeof(id);
	time_t now = time(NULL);
	int ret;

	random_bytes(serial, sizeof(serial), false);
	serial[0] = (serial[0] & 0x7f) | 0x40;		/* positive, and of full length */
	ret = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
					   GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (ret >= 0)
		ret = gnutls_x509_crt_set_version(crt, 3);
	if (ret >= 0)
		ret = gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	/* a host whose clock is behind must not have to wait */
	if (ret >= 0)
		ret = gnutls_x509_crt_set_activation_time(crt, now - DAY_S);
	if (ret >= 0)
		ret = gnutls_x509_crt_set_expiration_time(crt, now + (time_t)days * DAY_S);
	if (ret >= 0)
		ret = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, cn,
						    strlen(cn));
	if (ret >= 0)
		ret = gnutls_x509_crt_set_key(crt, key);
	if (ret >= 0)
		ret = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA1, id, &n);
	if (ret >= 0)
		ret = gnutls_x509_crt_set_subject_key_id(crt, id, n);
	return ret;
}

static int export_both(struct issued *out, gnutls_x509_crt_t crt, gnutls_x509_privkey_t key)
{
	gnutls_datum_t d;
	int ret = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &d);

	if (ret < 0)
		return ret;
	out->crt = text_of(&d);
	ret = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
						&d);
	if (ret >= 0)
		out->key = text_of(&d);
	return ret;
}

static bool end(struct issued *out, gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, int ret,
		char *err, size_t len)
{
	if (ret >= 0)
		ret = export_both(out, crt, key);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
	if (ret >= 0)
		return true;
	issued_free(out);
	snprintf(err, len, "%s", gnutls_strerror(ret));
	return false;
}

static void new_pair(gnutls_x509_crt_t *crt, gnutls_x509_privkey_t *key)
{
	if (gnutls_x509_crt_init(crt) || gnutls_x509_privkey_init(key))
		abort();
}

bool issue_ca(struct issued *out, char *err, size_t len)
{
	gnutls_x509_crt_t crt;
	gnutls_x509_privkey_t key;
	unsigned char raw[4];
	char cn[32];
	int ret;

	memset(out, 0, sizeof(*out));
	new_pair(&crt, &key);
	random_bytes(raw, sizeof(raw), false);
	snprintf(cn, sizeof(cn), "telepage CA %02x%02x%02x%02x", raw[0], raw[1], raw[2], raw[3]);
	ret = begin_crt(crt, key, cn, ISSUE_CA_DAYS);
	if (ret >= 0)
		ret = gnutls_x509_crt_set_basic_constraints(crt, 1, 0);
	if (ret >= 0)
		ret = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_KEY_CERT_SIGN |
						    GNUTLS_KEY_CRL_SIGN);
	if (ret >= 0)
		ret = gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
	return end(out, crt, key, ret, err, len);
}

static int sign_by(gnutls_x509_crt_t crt, const struct issued *ca)
{
	gnutls_datum_t pem_crt = { (unsigned char *)ca->crt, strlen(ca->crt) };
	gnutls_datum_t pem_key = { (unsigned char *)ca->key, strlen(ca->key) };
	gnutls_x509_crt_t issuer;
	gnutls_x509_privkey_t key;
	unsigned char id[64], own[64];
	size_t n = sizeof(id), m = sizeof(own);
	int ret;

	new_pair(&issuer, &key);
	ret = gnutls_x509_crt_import(issuer, &pem_crt, GNUTLS_X509_FMT_PEM);
	if (ret >= 0)
		ret = gnutls_x509_privkey_import2(key, &pem_key, GNUTLS_X509_FMT_PEM, NULL, 0);
	/* ca.crt may have been replaced by another authority's: nobody would believe it */
	if (ret >= 0)
		ret = gnutls_x509_crt_get_key_id(issuer, 0, id, &n);
	if (ret >= 0)
		ret = gnutls_x509_privkey_get_key_id(key, 0, own, &m);
	if (ret >= 0 && (n != m || memcmp(id, own, n) != 0))
		ret = GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
	n = sizeof(id);
	if (ret >= 0 && !gnutls_x509_crt_get_subject_key_id(issuer, id, &n, NULL))
		ret = gnutls_x509_crt_set_authority_key_id(crt, id, n);
	if (ret >= 0)
		ret = gnutls_x509_crt_sign2(crt, issuer, key, GNUTLS_DIG_SHA256, 0);
	gnutls_x509_crt_deinit(issuer);
	gnutls_x509_privkey_deinit(key);
	return ret;
}

/* the first one is shown, compared and given to --to; the others only have to match */
const char *issue_bad_names(const char *names, char *first, size_t len)
{
	char *copy = xstrdup(names), *next = copy, *name;
	const char *why = NULL;
	unsigned int nr = 0;

	while (!why && (name = strsep(&next, ","))) {
		size_t n = strlen(name);

		/* colons: an IPv6 address, which cannot come first */
		if (!n || n > 64 || name[strspn(name, nr ? TLS_NAME_CHARS ":" : TLS_NAME_CHARS)])
			why = "is no list of host names";
		else if (!nr++)
			snprintf(first, len, "%s", name);
	}
	free(copy);
	/* what is exported to any would be meant for this host alone */
	if (!why && !strcmp(first, "any"))
		why = "would be every host: telepage export --to any";
	return why;
}

bool issue_host(struct issued *out, const struct issued *ca, const char *names, int days,
		char *err, size_t len)
{
	gnutls_x509_crt_t crt;
	gnutls_x509_privkey_t key;
	const char *why;
	char cn[80];
	int ret;

	memset(out, 0, sizeof(*out));
	why = issue_bad_names(names, cn, sizeof(cn));
	if (why) {
		snprintf(err, len, "'%s' %s", names, why);
		return false;
	}
	new_pair(&crt, &key);
	ret = begin_crt(crt, key, cn, days);
	if (ret >= 0)
		ret = set_names(crt, names);
	if (ret >= 0)
		ret = gnutls_x509_crt_set_basic_constraints(crt, 0, -1);
	if (ret >= 0)
		ret = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (ret >= 0)
		ret = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
	if (ret >= 0)
		ret = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_CLIENT, 0);
	if (ret >= 0)
		ret = sign_by(crt, ca);
	return end(out, crt, key, ret, err, len);
}
