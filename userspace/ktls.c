// SPDX-License-Identifier: GPL-2.0
/*
 * ktls.c - sockets whose TLS records the kernel makes and opens
 */
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktls.h"
#include "tls.h"

#ifndef SOL_TLS
#define SOL_TLS		282
#endif
#ifndef TCP_ULP
#define TCP_ULP		31
#endif

/* RFC 8446, 5.1 and 6 */
enum { RECORD_ALERT = 21, RECORD_DATA = 23 };
enum { ALERT_WARNING = 1, ALERT_CLOSE_NOTIFY = 0 };

const char *ktls_missing(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return strerror(errno);
	/* the kernel looks for (and loads) it first, then at the socket: ENOTCONN */
	err = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) ? errno : 0;
	close(fd);
	if (err != ENOENT && err != ENOPROTOOPT)
		return NULL;
	return "the kernel has no TLS offload: modprobe tls (CONFIG_TLS)";
}

/* TLS 1.3 has one nonce, which the kernel wants as salt and IV */
static int set_key(int fd, int direction, const struct ktls_key *k)
{
	union {
		struct tls_crypto_info info;
		struct tls12_crypto_info_aes_gcm_128 aes128;
		struct tls12_crypto_info_aes_gcm_256 aes256;
	} c;
	socklen_t len;
	int ret;

	memset(&c, 0, sizeof(c));
	c.info.version = TLS_1_3_VERSION;
	if (k->len == TLS_CIPHER_AES_GCM_128_KEY_SIZE) {
		c.info.cipher_type = TLS_CIPHER_AES_GCM_128;
		memcpy(c.aes128.key, k->key, sizeof(c.aes128.key));
		memcpy(c.aes128.salt, k->iv, sizeof(c.aes128.salt));
		memcpy(c.aes128.iv, k->iv + sizeof(c.aes128.salt), sizeof(c.aes128.iv));
		memcpy(c.aes128.rec_seq, k->seq, sizeof(c.aes128.rec_seq));
		len = sizeof(c.aes128);
	} else {
		c.info.cipher_type = TLS_CIPHER_AES_GCM_256;
		memcpy(c.aes256.key, k->key, sizeof(c.aes256.key));
		memcpy(c.aes256.salt, k->iv, sizeof(c.aes256.salt));
		memcpy(c.aes256.iv, k->iv + sizeof(c.aes256.salt), sizeof(c.aes256.iv));
		memcpy(c.aes256.rec_seq, k->seq, sizeof(c.aes256.rec_seq));
		len = sizeof(c.aes256);
	}
	ret = setsockopt(fd, SOL_TLS, direction, &c, len) ? -errno : 0;
	explicit_bzero(&c, sizeof(c));
	return ret;
}

int ktls_start(int fd, const struct ktls_key *tx, const struct ktls_key *rx)
{
	int err;

	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")))
		return -errno;
	err = set_key(fd, TLS_TX, tx);
	return err ? err : set_key(fd, TLS_RX, rx);
}

ssize_t ktls_recv(int fd, void *buf, size_t len, int flags, int *alert)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	union {
		char buf[CMSG_SPACE(sizeof(uint8_t))];
		struct cmsghdr align;
	} control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n = recvmsg(fd, &msg, flags);
	struct cmsghdr *c;
	uint8_t type;

	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_level != SOL_TLS || c->cmsg_type != TLS_GET_RECORD_TYPE)
		return n;
	type = *CMSG_DATA(c);
	if (type == RECORD_DATA)
		return n;
	if (type != RECORD_ALERT)
		return -EKEYEXPIRED;
	if (n == 2 && ((uint8_t *)buf)[1] == ALERT_CLOSE_NOTIFY)
		return -ESHUTDOWN;
	if (alert)
		*alert = n == 2 ? ((uint8_t *)buf)[1] : -1;
	return -ECONNABORTED;
}

const char *ktls_words(ssize_t err, int alert)
{
	switch (err) {
	case 0:
	case -ESHUTDOWN:
		return "closed the connection";
	case -ECONNABORTED:
		return tls_alert_words(alert);
	case -EKEYEXPIRED:
		return "changes its keys, which the kernel cannot follow";
	case -EBADMSG:
		return "sent a record that its key did not make";
	}
	return strerror(-err);
}

int ktls_goodbye(int fd)
{
	uint8_t alert[2] = { ALERT_WARNING, ALERT_CLOSE_NOTIFY };
	struct iovec iov = { .iov_base = alert, .iov_len = sizeof(alert) };
	union {
		char buf[CMSG_SPACE(sizeof(uint8_t))];
		struct cmsghdr align;
	} control = { .buf = { 0 } };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(sizeof(uint8_t));
	*CMSG_DATA(c) = RECORD_ALERT;
	if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(alert))
		return errno ? -errno : -EIO;
	return 0;
}
