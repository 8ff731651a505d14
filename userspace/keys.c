// SPDX-License-Identifier: GPL-2.0
/*
 * keys.c - the directory of what this host proves itself with
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "keys.h"
#include "loop.h"
#include "tls.h"

/*
 * A whole file, at the end a 0; NULL with errno. Of a secret one
 * EKEYREJECTED: others may read it, ENOKEY: it is somebody else's
 */
static char *read_key_file(const char *dir, const char *file, bool secret, gnutls_datum_t *out)
{
	char *path = xasprintf("%s/%s", dir, file), *text = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;
	struct stat st;
	ssize_t n;

	free(path);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st)) {
		err = errno;
	} else if (!S_ISREG(st.st_mode) || st.st_size > KEY_FILE_MAX) {
		err = EINVAL;
	} else if (secret && (st.st_mode & 077)) {
		err = EKEYREJECTED;
	} else if (secret && st.st_uid && st.st_uid != geteuid()) {
		err = ENOKEY;
	} else {
		text = xcalloc(1, st.st_size + 1);
		n = read(fd, text, st.st_size);
		err = n < 0 ? errno : n != st.st_size ? EIO : 0;
	}
	close(fd);
	if (err) {
		free(text);
		errno = err;
		return NULL;
	}
	out->data = (unsigned char *)text;
	out->size = st.st_size;
	return text;
}

static void forget(gnutls_datum_t *d)
{
	if (d->data)
		explicit_bzero(d->data, d->size);
	free(d->data);
	d->data = NULL;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool psk_parse(const char *text, char name[PSK_NAME_MAX + 1], unsigned char key[PSK_BYTES])
{
	const char *colon = strchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0, i;
	int high, low;

	if (!n || n > PSK_NAME_MAX || strspn(text, TLS_NAME_CHARS) != n)
		return false;
	for (i = 0; i < PSK_BYTES; i++) {
		high = hex_digit(colon[1 + 2 * i]);
		low = high < 0 ? -1 : hex_digit(colon[2 + 2 * i]);
		if (low < 0)
			return false;
		key[i] = high << 4 | low;
	}
	if (strcmp(colon + 1 + 2 * PSK_BYTES, "\n") != 0 && colon[1 + 2 * PSK_BYTES])
		return false;
	memcpy(name, text, n);
	name[n] = 0;
	return true;
}

bool cert_name(gnutls_x509_crt_t crt, char *name, size_t len)
{
	size_t n = len;

	if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &n)) {
		n = len - 1;
		if (gnutls_x509_crt_get_subject_alt_name(crt, 0, name, &n, NULL) !=
		    GNUTLS_SAN_DNSNAME)
			return false;
		name[n] = 0;
	}
	return *name && !name[strspn(name, TLS_NAME_CHARS)];
}

static const char *why_unread(void)
{
	if (errno == EKEYREJECTED)
		return "can be read by others than its owner: chmod 600, and make a new one if that was not meant";
	if (errno == ENOKEY)
		return "belongs to another user: chown it, and make a new one if that was not meant";
	return errno == EINVAL ? "is no key file" : strerror(errno);
}

static bool failed(char *err, size_t len, const char *dir, const char *file, const char *why)
{
	snprintf(err, len, "%s/%s: %s", dir, file, why);
	return false;
}

/* certificates */

static void check_own(struct keys *k, gnutls_x509_crt_t crt)
{
	time_t now = time(NULL);

	/* peers will refuse it, but those connections that are there go on */
	if (gnutls_x509_crt_get_expiration_time(crt) < now)
		note("the certificate of %s has expired: issue another (telepage agent init --issue)",
		     k->name);
	else if (gnutls_x509_crt_get_activation_time(crt) > now)
		note("the certificate of %s is not valid yet: is the clock right?", k->name);
}

static bool load_own(struct keys *k, const char *dir, const gnutls_datum_t *crt,
		     const gnutls_datum_t *ca, char *err, size_t len)
{
	gnutls_x509_crt_t own[8], root[8];
	unsigned int nr = 8, nr_roots = 8, status = 0, i;
	bool ok = false;

	if (gnutls_x509_crt_list_import(own, &nr, crt, GNUTLS_X509_FMT_PEM, 0) < 1)
		return failed(err, len, dir, "agent.crt", "is no certificate");
	if (gnutls_x509_crt_list_import(root, &nr_roots, ca, GNUTLS_X509_FMT_PEM, 0) < 1) {
		failed(err, len, dir, "ca.crt", "is no certificate");
		nr_roots = 0;
	} else if (!cert_name(own[0], k->name, sizeof(k->name))) {
		failed(err, len, dir, "agent.crt", "names no host");
	} else if (gnutls_x509_crt_list_verify(own, nr, root, nr_roots, NULL, 0,
					       GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status) ||
		   status) {
		failed(err, len, dir, "agent.crt", "was not issued by ca.crt beside it");
	} else {
		check_own(k, own[0]);
		ok = true;
	}
	for (i = 0; i < nr; i++)
		gnutls_x509_crt_deinit(own[i]);
	for (i = 0; i < nr_roots; i++)
		gnutls_x509_crt_deinit(root[i]);
	return ok;
}

static bool load_certificates(struct keys *k, const char *dir, char *err, size_t len)
{
	static const char * const files[] = { "ca.crt", "agent.crt", "agent.key" };
	gnutls_datum_t d[3] = { { 0 } }, crl = { 0 };
	bool ok = false;
	int i, ret;

	for (i = 0; i < 3; i++)
		if (!read_key_file(dir, files[i], i == 2, &d[i])) {
			failed(err, len, dir, files[i], why_unread());
			goto out;
		}
	gnutls_certificate_allocate_credentials(&k->cert);
	ret = gnutls_certificate_set_x509_key_mem2(k->cert, &d[1], &d[2], GNUTLS_X509_FMT_PEM,
						   NULL, 0);
	if (ret < 0) {
		failed(err, len, dir, "agent.key", gnutls_strerror(ret));
		goto out;
	}
	if (!load_own(k, dir, &d[1], &d[0], err, len))
		goto out;
	ret = gnutls_certificate_set_x509_trust_mem(k->cert, &d[0], GNUTLS_X509_FMT_PEM);
	if (ret < 1) {
		failed(err, len, dir, "ca.crt", ret ? gnutls_strerror(ret) : "is empty");
		goto out;
	}
	ret = 1;
	if (read_key_file(dir, "crl.pem", false, &crl))
		ret = gnutls_certificate_set_x509_crl_mem(k->cert, &crl, GNUTLS_X509_FMT_PEM);
	else if (errno != ENOENT)
		ret = GNUTLS_E_FILE_ERROR;
	/* never go on without one that was meant */
	if (ret < 1) {
		failed(err, len, dir, "crl.pem", ret ? gnutls_strerror(ret) : "is empty");
		goto out;
	}
	gnutls_certificate_set_verify_function(k->cert, tls_verify_peer);
	ok = true;
out:
	for (i = 0; i < 3; i++)
		forget(&d[i]);
	forget(&crl);
	return ok;
}

/* the pre-shared key */

/* an unknown name gets a key that nobody has; the handshake fails as with a wrong one */
static int psk_of(gnutls_session_t session, const char *name, gnutls_datum_t *key)
{
	const struct keys *k = tls_keys_of(session);

	key->data = gnutls_malloc(PSK_BYTES);
	if (!key->data)
		return -1;
	key->size = PSK_BYTES;
	if (!strcmp(name, k->psk_name))
		memcpy(key->data, k->psk, PSK_BYTES);
	else if (gnutls_rnd(GNUTLS_RND_KEY, key->data, PSK_BYTES))
		return -1;
	return 0;
}

static bool load_psk(struct keys *k, const char *dir, char *err, size_t len)
{
	gnutls_datum_t d = { 0 }, key = { .data = k->psk, .size = PSK_BYTES };

	if (!read_key_file(dir, "psk", true, &d))
		return failed(err, len, dir, "psk", why_unread());
	if (strlen((char *)d.data) != d.size || !psk_parse((char *)d.data, k->psk_name, k->psk)) {
		forget(&d);
		return failed(err, len, dir, "psk", "is no key of telepage agent init");
	}
	forget(&d);
	snprintf(k->name, sizeof(k->name), TLS_PSK_PREFIX "%s", k->psk_name);
	gnutls_psk_allocate_client_credentials(&k->psk_client);
	gnutls_psk_allocate_server_credentials(&k->psk_server);
	gnutls_psk_set_client_credentials(k->psk_client, k->psk_name, &key, GNUTLS_PSK_KEY_RAW);
	gnutls_psk_set_server_credentials_function(k->psk_server, psk_of);
	return true;
}

static bool is_there(const char *dir, const char *file)
{
	char *path = xasprintf("%s/%s", dir, file);
	struct stat st;
	bool there = !lstat(path, &st);

	free(path);
	return there;
}

struct keys *keys_load(const char *dir, char *err, size_t len)
{
	struct keys *k = xcalloc(1, sizeof(*k));
	bool psk = is_there(dir, "psk"), ok;

	k->certificates = is_there(dir, "agent.crt") || is_there(dir, "agent.key");
	k->both = k->certificates && psk;
	if (!k->certificates && !psk) {
		snprintf(err, len, "there are no keys in %s: run telepage agent init", dir);
		ok = false;
	} else if (k->certificates) {
		ok = load_certificates(k, dir, err, len);
	} else {
		ok = load_psk(k, dir, err, len);
	}
	if (ok && gnutls_priority_init(&k->priority, tls_priority(k->certificates), NULL)) {
		snprintf(err, len, "this GnuTLS has not the ciphers that are needed");
		ok = false;
	}
	if (ok)
		return k;
	keys_free(k);
	return NULL;
}

void keys_free(struct keys *k)
{
	if (!k)
		return;
	if (k->cert)
		gnutls_certificate_free_credentials(k->cert);
	if (k->psk_client)
		gnutls_psk_free_client_credentials(k->psk_client);
	if (k->psk_server)
		gnutls_psk_free_server_credentials(k->psk_server);
	if (k->priority)
		gnutls_priority_deinit(k->priority);
	explicit_bzero(k, sizeof(*k));
	free(k);
}
