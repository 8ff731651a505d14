// SPDX-License-Identifier: GPL-2.0
/*
 * ktls.c - run a command with a connected TCP socket that the kernel encrypts
 *
 *	bench-ktls connect|listen ADDRESS PORT COMMAND...
 *
 * The socket is descriptor 3 of the command. The keys are constants: this is for
 * measuring what encryption costs, not for keeping a secret.
 */
#include <arpa/inet.h>
#include <linux/tls.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "bench.h"

#ifndef SOL_TLS
#define SOL_TLS	282
#endif

static void key(int fd, int direction, unsigned char seed)
{
	struct tls12_crypto_info_aes_gcm_256 c = {
		.info = { .version = TLS_1_3_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_256 },
	};

	memset(c.key, seed, sizeof(c.key));
	memset(c.iv, seed + 1, sizeof(c.iv));
	memset(c.salt, seed + 2, sizeof(c.salt));
	if (setsockopt(fd, SOL_TLS, direction, &c, sizeof(c)))
		err(1, "kTLS");
}

static int connected(const struct sockaddr_in *a)
{
	for (unsigned int tries = 0; tries < 500; tries++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (!connect(fd, (const struct sockaddr *)a, sizeof(*a)))
			return fd;
		close(fd);
		usleep(10000);
	}
	err(1, "connect");
}

static int accepted(const struct sockaddr_in *a)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1, fd;

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (const struct sockaddr *)a, sizeof(*a)) || listen(l, 1))
		err(1, "listen");
	fd = accept(l, NULL, NULL);
	if (fd < 0)
		err(1, "accept");
	close(l);
	return fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	bool listens;
	int fd;

	if (argc < 5)
		errx(2, "usage: bench-ktls connect|listen ADDRESS PORT COMMAND...");
	listens = !strcmp(argv[1], "listen");
	a.sin_port = htons((uint16_t)number(argv[3]));
	if (!inet_aton(argv[2], &a.sin_addr))
		errx(2, "'%s' is no address", argv[2]);
	fd = listens ? accepted(&a) : connected(&a);
	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4))
		err(1, "kTLS");
	key(fd, TLS_TX, listens ? 10 : 20);
	key(fd, TLS_RX, listens ? 20 : 10);
	if (fd != 3) {
		if (dup2(fd, 3) < 0)
			err(1, "dup2");
		close(fd);
	}
	execvp(argv[4], argv + 4);
	err(127, "%s", argv[4]);
}
