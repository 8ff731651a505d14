// SPDX-License-Identifier: GPL-2.0
/*
 * The handshake between agents, and the keys that come out of it for the kernel:
 * tls.c, keys.c, issue.c. The kernel's part is played by hand: a record is made and
 * opened with those keys, and what is at the other end is the library.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "issue.h"
#include "keys.h"
#include "loop.h"
#include "tap.h"
#include "tls.h"

static char top[] = "/tmp/tp-tls.XXXXXX";

static char *path_of(const char *dir, const char *file)
{
	static char path[4][256];
	static unsigned int n;
	char *p = path[n++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s%s%s", top, dir, file ? "/" : "", file ? file : "");
	return p;
}

static void put(const char *dir, const char *file, const char *text, mode_t mode)
{
	int fd;

	mkdir(path_of(dir, NULL), 0700);
	unlink(path_of(dir, file));
	fd = open(path_of(dir, file), O_WRONLY | O_CREAT | O_EXCL, mode);
	if (fd < 0 || fchmod(fd, mode) || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	close(fd);
}

static void put_certificate(const char *dir, const struct issued *ca, const char *names, int days)
{
	struct issued host;
	char err[256];

	if (!issue_host(&host, ca, names, days, err, sizeof(err)))
		abort();
	put(dir, "ca.crt", ca->crt, 0644);
	put(dir, "agent.crt", host.crt, 0644);
	put(dir, "agent.key", host.key, 0600);
	issued_free(&host);
}

static struct keys *load(const char *dir)
{
	char err[384];
	struct keys *k = keys_load(path_of(dir, NULL), err, sizeof(err));

	if (!k)
		tap_note("%s: %s", dir, err);
	return k;
}

/* two ends of a connection */

struct pair {
	int fd[2];
	struct tls *client, *server;
	int client_ret, server_ret;
};

static void pair_sockets(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fd))
		abort();
}

static void pair_end(struct pair *p)
{
	tls_free(p->client);
	tls_free(p->server);
	close(p->fd[0]);
	close(p->fd[1]);
}

/* both until neither gets on */
static void shake(struct pair *p)
{
	int i;

	p->client_ret = p->server_ret = -EAGAIN;
	for (i = 0; i < 100; i++) {
		if (p->client && p->client_ret == -EAGAIN)
			p->client_ret = tls_handshake(p->client);
		if (p->server && p->server_ret == -EAGAIN)
			p->server_ret = tls_handshake(p->server);
	}
}

static void pair_shake(struct pair *p, const struct keys *client, const struct keys *server,
		       const char *host)
{
	pair_sockets(p);
	p->client = tls_new(client, p->fd[0], host);
	p->server = tls_new(server, p->fd[1], NULL);
	shake(p);
}

/* the kernel's part */

static void nonce_of(const struct ktls_key *k, uint8_t nonce[12])
{
	int i;

	memcpy(nonce, k->iv, 12);
	for (i = 0; i < 8; i++)
		nonce[4 + i] ^= k->seq[i];
}

static gnutls_aead_cipher_hd_t cipher_of(const struct ktls_key *k)
{
	gnutls_datum_t key = { (unsigned char *)k->key, k->len };
	gnutls_aead_cipher_hd_t h;

	if (gnutls_aead_cipher_init(&h, k->len == 16 ? GNUTLS_CIPHER_AES_128_GCM :
				    GNUTLS_CIPHER_AES_256_GCM, &key))
		abort();
	return h;
}

static bool send_record(int fd, struct ktls_key *k, uint8_t type, const void *data, size_t len)
{
	uint8_t nonce[12], plain[256], record[5 + 256 + 17] = { 23, 3, 3 };
	gnutls_aead_cipher_hd_t h = cipher_of(k);
	size_t n = sizeof(record) - 5;
	int ret;

	nonce_of(k, nonce);
	memcpy(plain, data, len);
	plain[len] = type;
	record[4] = len + 1 + 16;
	ret = gnutls_aead_cipher_encrypt(h, nonce, 12, record, 5, 16, plain, len + 1, record + 5,
					 &n);
	gnutls_aead_cipher_deinit(h);
	k->seq[7]++;
	return !ret && write(fd, record, 5 + n) == (ssize_t)(5 + n);
}

/* its length, and its type in @type; -1: it is none of this key */
static ssize_t recv_record(int fd, struct ktls_key *k, uint8_t *type, uint8_t plain[256])
{
	gnutls_aead_cipher_hd_t h = cipher_of(k);
	uint8_t nonce[12], record[5 + 256];
	size_t n = 256;
	ssize_t ret = -1;

	nonce_of(k, nonce);
	if (recv(fd, record, 5, 0) == 5 && !record[3] && record[4] > 16 &&
	    recv(fd, record + 5, record[4], 0) == record[4] &&
	    !gnutls_aead_cipher_decrypt(h, nonce, 12, record, 5, 16, record + 5, record[4], plain,
					&n)) {
		*type = plain[n - 1];
		ret = n - 1;
		k->seq[7]++;
	}
	gnutls_aead_cipher_deinit(h);
	return ret;
}

static bool same_key(const struct tls *tx, const struct tls *rx)
{
	static const uint8_t zero[8];
	struct ktls_key a = { 0 }, b = { 0 };

	return !tls_key(tx, false, &a) && !tls_key(rx, true, &b) && !memcmp(&a, &b, sizeof(a)) &&
	       !memcmp(a.seq, zero, sizeof(zero));
}

/* what the client's kernel would read after the handshake, as ktls_recv() tells it */
static const char *alert_to_client(struct pair *p)
{
	struct ktls_key k;
	uint8_t type, plain[256];

	if (tls_key(p->client, true, &k) || recv_record(p->fd[0], &k, &type, plain) != 2 ||
	    type != 21)
		return "(no alert)";
	return tls_alert_words(plain[1]);
}

static void good(const struct keys *a, const struct keys *b, const char *host, const char *who_b,
		 const char *who_a, const char *what)
{
	struct pair p;

	pair_shake(&p, a, b, host);
	tap_ok(!p.client_ret && !p.server_ret, "%s: both sides are content", what);
	if (p.client_ret)
		tap_note("client: %s", tls_error(p.client));
	if (p.server_ret)
		tap_note("server: %s", tls_error(p.server));
	if (!p.client_ret && !p.server_ret) {
		tap_str(tls_who(p.client), who_b, "who connects knows whom it has reached");
		tap_str(tls_who(p.server), who_a, "who accepts knows who it is");
		tap_ok(same_key(p.client, p.server) && same_key(p.server, p.client),
		       "both have the same keys, and no record was sent yet");
		tap_ok(recv(p.fd[0], &(char){0}, 1, 0) < 0 && recv(p.fd[1], &(char){0}, 1, 0) < 0,
		       "and nothing is left to be read");
	}
	pair_end(&p);
}

static void has(const char *got, const char *want, const char *what)
{
	tap_ok(strstr(got, want), "%s", what);
	if (!strstr(got, want))
		tap_note("got '%s', not '%s'", got, want);
}

/* the library itself as the peer */

static ssize_t raw_pull(gnutls_transport_ptr_t ptr, void *buf, size_t len)
{
	return recv((int)(intptr_t)ptr, buf, len, MSG_DONTWAIT);
}

static ssize_t raw_push(gnutls_transport_ptr_t ptr, const void *buf, size_t len)
{
	return send((int)(intptr_t)ptr, buf, len, MSG_NOSIGNAL);
}

static gnutls_session_t raw_session(int fd, const char *priority, bool server,
				    gnutls_certificate_credentials_t cert)
{
	static const gnutls_datum_t alpn = { (unsigned char *)"telepage", 8 };
	gnutls_session_t s;

	gnutls_init(&s, (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK);
	gnutls_priority_set_direct(s, priority, NULL);
	gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, cert);
	gnutls_alpn_set_protocols(s, &alpn, 1, 0);
	if (server)
		gnutls_certificate_server_set_request(s, GNUTLS_CERT_REQUEST);
	gnutls_transport_set_ptr(s, (gnutls_transport_ptr_t)(intptr_t)fd);
	gnutls_transport_set_pull_function(s, raw_pull);
	gnutls_transport_set_push_function(s, raw_push);
	return s;
}

static int raw_shake(struct pair *p, gnutls_session_t s)
{
	int i, ret = GNUTLS_E_AGAIN, ours = -EAGAIN;
	struct tls *t = p->client ? p->client : p->server;

	for (i = 0; i < 100; i++) {
		if (ours == -EAGAIN)
			ours = tls_handshake(t);
		if (ret < 0 && !gnutls_error_is_fatal(ret))
			ret = gnutls_handshake(s);
	}
	*(p->client ? &p->client_ret : &p->server_ret) = ours;
	return ret;
}

static void test_records(const struct keys *k)
{
	gnutls_certificate_credentials_t cert;
	struct ktls_key tx, rx;
	struct pair p;
	gnutls_session_t s;
	uint8_t plain[256], type;
	char buf[64];
	ssize_t n;

	gnutls_certificate_allocate_credentials(&cert);
	gnutls_certificate_set_x509_key_file(cert, path_of("b", "agent.crt"),
					     path_of("b", "agent.key"), GNUTLS_X509_FMT_PEM);
	pair_sockets(&p);
	p.client = tls_new(k, p.fd[0], "host-b");
	/* its tickets would be the first records that come: we ask for none */
	s = raw_session(p.fd[1], "NORMAL", true, cert);
	tap_ok(!raw_shake(&p, s) && !p.client_ret, "records: a handshake with the library alone");
	if (p.client_ret || tls_key(p.client, false, &tx) || tls_key(p.client, true, &rx)) {
		tap_ok(false, "records: keys (%s)", tls_error(p.client));
		goto out;
	}
	tap_ok(send_record(p.fd[0], &tx, 23, "hello", 5) &&
	       gnutls_record_recv(s, buf, sizeof(buf)) == 5 && !memcmp(buf, "hello", 5),
	       "records: the library reads what our key has made");
	tap_ok(send_record(p.fd[0], &tx, 23, "again", 5) &&
	       gnutls_record_recv(s, buf, sizeof(buf)) == 5, "records: and the next one");
	gnutls_record_send(s, "answer", 6);
	n = recv_record(p.fd[0], &rx, &type, plain);
	tap_ok(n == 6 && type == 23 && !memcmp(plain, "answer", 6),
	       "records: the first that comes is data, and our key opens it");
	tap_ok(send_record(p.fd[0], &tx, 21, "\1\0", 2) &&
	       !gnutls_record_recv(s, buf, sizeof(buf)),
	       "records: a goodbye as ktls_goodbye() says it is an end");
out:
	gnutls_deinit(s);
	gnutls_certificate_free_credentials(cert);
	pair_end(&p);
}

static void test_strange_peers(const struct keys *k)
{
	gnutls_certificate_credentials_t none;
	gnutls_session_t s;
	struct pair p;

	gnutls_certificate_allocate_credentials(&none);
	pair_sockets(&p);
	p.server = tls_new(k, p.fd[1], NULL);
	s = raw_session(p.fd[0], "NORMAL:-VERS-ALL:+VERS-TLS1.2", false, none);
	tap_ok(raw_shake(&p, s) == GNUTLS_E_FATAL_ALERT_RECEIVED && p.server_ret == -EPROTO,
	       "TLS 1.2 is refused");
	has(tls_error(p.server), "no TLS 1.3", "and the error says why");
	gnutls_deinit(s);
	pair_end(&p);

	pair_sockets(&p);
	p.server = tls_new(k, p.fd[1], NULL);
	s = raw_session(p.fd[0], "NORMAL:-VERS-ALL:+VERS-TLS1.3", false, none);
	raw_shake(&p, s);
	tap_ok(p.server_ret == -EPROTO, "who has no certificate is refused");
	has(tls_error(p.server), "it has no certificate", "and the error says so");
	gnutls_deinit(s);
	pair_end(&p);
	gnutls_certificate_free_credentials(none);
}

static void test_no_tls(const struct keys *k)
{
	static const char line[] = "{\"telepage\":1,\"version\":1,\"role\":\"control\"}\n";
	struct pair p;

	pair_sockets(&p);
	p.server = tls_new(k, p.fd[1], NULL);
	(void)!write(p.fd[0], line, sizeof(line) - 1);
	tap_ok(tls_handshake(p.server) == -EPROTO && tls_peer_plain(p.server),
	       "a peer that begins in the clear is told apart");
	tap_ok(recv(p.fd[0], &(char){0}, 1, 0) < 0, "nothing was answered yet");
	pair_end(&p);

	pair_sockets(&p);
	p.client = tls_new(k, p.fd[0], "host-b");
	tap_ok(tls_handshake(p.client) == -EAGAIN && tls_wants(p.client) == EPOLLIN,
	       "a handshake without an answer waits");
	(void)!write(p.fd[1], line, sizeof(line) - 1);
	tap_ok(tls_handshake(p.client) == -EPROTO && tls_peer_plain(p.client),
	       "one that answers in the clear is told apart");
	pair_end(&p);

	pair_sockets(&p);
	p.server = tls_new(k, p.fd[1], NULL);
	(void)!write(p.fd[0], "GET / HTTP/1.0\r\n\r\n", 18);
	tap_ok(tls_handshake(p.server) == -EPROTO && !tls_peer_plain(p.server),
	       "garbage fails: %s", tls_error(p.server));
	pair_end(&p);

	pair_sockets(&p);
	p.server = tls_new(k, p.fd[1], NULL);
	(void)!write(p.fd[0], "\x16\x03\x01", 3);
	tap_ok(tls_handshake(p.server) == -EAGAIN && tls_wants(p.server) == EPOLLIN,
	       "one that stalls in a record is waited for");
	shutdown(p.fd[0], SHUT_WR);
	tap_ok(tls_handshake(p.server) == -EPROTO, "and its end is an error: %s",
	       tls_error(p.server));
	pair_end(&p);
}

static void test_psk(void)
{
	char *one = issue_psk(), *two = issue_psk(), *colon, *mixed;
	struct keys *a, *b, *c;
	struct pair p;
	char who[96];

	colon = strchr(two, ':');
	mixed = xasprintf("%.*s%s", (int)(strchr(one, ':') - one), one, colon);
	put("psk-a", "psk", one, 0600);
	put("psk-b", "psk", two, 0600);
	put("psk-c", "psk", mixed, 0600);
	a = load("psk-a");
	b = load("psk-b");
	c = load("psk-c");
	tap_ok(a && b && c && !a->certificates, "shared keys are loaded");
	snprintf(who, sizeof(who), "psk:%.*s", (int)(strchr(one, ':') - one), one);
	good(a, a, "host-b", who, who, "the same shared key");

	pair_shake(&p, a, b, "host-b");
	tap_ok(p.client_ret == -EPROTO && p.server_ret == -EPROTO, "another shared key is refused");
	has(tls_error(p.server), "other keys", "the server says why");
	has(tls_error(p.client), "other keys", "the client, too");
	pair_end(&p);
	pair_shake(&p, a, c, "host-b");
	tap_ok(p.client_ret == -EPROTO && p.server_ret == -EPROTO, "also one of the same name");
	pair_end(&p);
	keys_free(a);
	keys_free(b);
	keys_free(c);
	free(one);
	free(two);
	free(mixed);
}

static int trusting(gnutls_session_t s)
{
	(void)s;
	return 0;
}

/* the client itself has nothing against the server */
static void refused_client(const struct keys *a, const struct keys *b, const char *server_says,
			   const char *client_hears, const char *what)
{
	struct pair p;

	gnutls_certificate_set_verify_function(a->cert, trusting);
	pair_shake(&p, a, b, "host-b");
	gnutls_certificate_set_verify_function(a->cert, tls_verify_peer);
	tap_ok(p.server_ret == -EPROTO, "%s is refused as a client", what);
	has(tls_error(p.server), server_says, "the server says why");
	has(alert_to_client(&p), client_hears, "the client hears it by an alert");
	pair_end(&p);
}

static void refused_server(const struct keys *a, const struct keys *b, const char *host,
			   const char *client_says, const char *server_hears, const char *what)
{
	struct pair p;

	pair_shake(&p, a, b, host);
	tap_ok(p.client_ret == -EPROTO && p.server_ret == -EPROTO, "%s is refused as a server",
	       what);
	has(tls_error(p.client), client_says, "the client says why");
	has(tls_error(p.server), server_hears, "the server hears it");
	pair_end(&p);
}

static void put_revoked(const char *dir, const struct issued *ca)
{
	gnutls_datum_t crt = { (unsigned char *)ca->crt, strlen(ca->crt) }, d;
	gnutls_datum_t key = { (unsigned char *)ca->key, strlen(ca->key) };
	gnutls_x509_crt_t issuer, host;
	gnutls_x509_privkey_t k;
	gnutls_x509_crl_t crl;

	gnutls_x509_crt_init(&issuer);
	gnutls_x509_crt_init(&host);
	gnutls_x509_privkey_init(&k);
	gnutls_x509_crl_init(&crl);
	gnutls_x509_crt_import(issuer, &crt, GNUTLS_X509_FMT_PEM);
	gnutls_x509_privkey_import2(k, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
	gnutls_load_file(path_of("a", "agent.crt"), &d);
	gnutls_x509_crt_import(host, &d, GNUTLS_X509_FMT_PEM);
	gnutls_free(d.data);
	gnutls_x509_crl_set_version(crl, 2);
	gnutls_x509_crl_set_this_update(crl, time(NULL) - 60);
	gnutls_x509_crl_set_next_update(crl, time(NULL) + 86400);
	gnutls_x509_crl_set_number(crl, "\1", 1);
	gnutls_x509_crl_set_crt(crl, host, time(NULL) - 60);
	gnutls_x509_crl_sign2(crl, issuer, k, GNUTLS_DIG_SHA256, 0);
	gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &d);
	put(dir, "crl.pem", (char *)d.data, 0644);
	gnutls_free(d.data);
	gnutls_x509_crl_deinit(crl);
	gnutls_x509_privkey_deinit(k);
	gnutls_x509_crt_deinit(host);
	gnutls_x509_crt_deinit(issuer);
}

static void test_certificates(void)
{
	struct keys *a, *b, *strange, *old, *psk, *strict;
	struct issued ca, other;
	struct pair p;
	char err[256];

	tap_ok(issue_ca(&ca, err, sizeof(err)) && issue_ca(&other, err, sizeof(err)),
	       "two authorities are made");
	put_certificate("a", &ca, "host-a", 10);
	put_certificate("b", &ca, "host-b,10.0.0.2,fd00::2", 10);
	put_certificate("strange", &other, "host-b", 10);
	put_certificate("old", &ca, "host-b", -1);
	put_certificate("strict", &ca, "host-b", 10);
	put_revoked("strict", &ca);
	a = load("a");
	b = load("b");
	strange = load("strange");
	old = load("old");
	strict = load("strict");
	psk = load("psk-a");
	if (!tap_ok(a && b && strange && old && strict && psk && a->certificates, "keys are loaded"))
		return;
	good(a, b, "host-b", "host-b", "host-a", "certificates of one authority");
	good(a, b, "10.0.0.2", "host-b", "host-a", "the same, by address");
	good(a, b, "fd00::2", "host-b", "host-a", "and by IPv6 address");
	refused_server(a, b, "host-c", "is for host-b, not for host-c", "trust",
		       "a host with the name of another");
	refused_client(old, a, "not valid now", "not valid now", "an expired one");
	refused_client(strange, a, "not issued by our ca.crt", "ca.crt is another",
		       "one of another authority");
	refused_server(a, strange, "host-b", "not issued by our ca.crt", "ca.crt is another",
		       "one of another authority");
	refused_server(a, old, "host-b", "not valid now", "not valid now", "an expired one");
	refused_client(a, strict, "revoked", "revoked", "a revoked one");

	pair_shake(&p, psk, b, "host-b");
	tap_ok(p.client_ret == -EPROTO && p.server_ret == -EPROTO,
	       "a shared key does not do where certificates are wanted");
	has(tls_error(p.client), "other keys", "the client says so");
	pair_end(&p);
	pair_shake(&p, a, psk, "host-b");
	tap_ok(p.client_ret == -EPROTO && p.server_ret == -EPROTO,
	       "nor a certificate where a shared key is wanted");
	has(tls_error(p.server), "other keys", "the server says so");
	pair_end(&p);

	test_records(a);
	test_strange_peers(b);
	test_no_tls(b);
	keys_free(a);
	keys_free(b);
	keys_free(strange);
	keys_free(old);
	keys_free(strict);
	keys_free(psk);
	issued_free(&ca);
	issued_free(&other);
}

static void not_loaded(const char *dir, const char *words, const char *what)
{
	char err[384] = "";
	struct keys *k = keys_load(path_of(dir, NULL), err, sizeof(err));

	tap_ok(!k, "%s: not loaded", what);
	has(err, words, "the error says why");
	keys_free(k);
}

static void test_files(void)
{
	struct issued ca, host;
	char err[256];
	struct keys *k;

	not_loaded("nowhere", "run telepage agent init", "no keys at all");
	chmod(path_of("psk-b", "psk"), 0640);
	not_loaded("psk-b", "read by others", "a shared key that a group can read");
	chmod(path_of("b", "agent.key"), 0604);
	not_loaded("b", "read by others", "a key that all can read");
	chmod(path_of("b", "agent.key"), 0600);
	put("psk-c", "psk", "telepage:1234\n", 0600);
	not_loaded("psk-c", "is no key", "a shared key that is too short");
	put("psk-c", "psk", "", 0600);
	not_loaded("psk-c", "is no key", "an empty one");
	put("a", "psk", "x:y\n", 0600);
	k = load("a");
	tap_ok(k && k->certificates && k->both, "certificates go before a shared key");
	keys_free(k);
	issue_ca(&ca, err, sizeof(err));
	put("a", "ca.crt", ca.crt, 0644);
	not_loaded("a", "was not issued by ca.crt", "a certificate and another authority");
	unlink(path_of("a", "ca.crt"));
	not_loaded("a", "ca.crt: No such file", "no authority");
	put("b", "crl.pem", "nonsense", 0644);
	not_loaded("b", "crl.pem", "a list of revoked ones that cannot be read");
	tap_ok(!issue_host(&host, &ca, "a b", 1, err, sizeof(err)) &&
	       !issue_host(&host, &ca, "host-b,", 1, err, sizeof(err)) &&
	       !issue_host(&host, &ca, "psk:x", 1, err, sizeof(err)), "bad names are not issued");
	issued_free(&ca);
}

int main(void)
{
	char command[64];

	if (!mkdtemp(top))
		return TAP_FAIL;
	test_psk();
	test_certificates();
	test_files();
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command) ? TAP_FAIL : tap_done();
}
