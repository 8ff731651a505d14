/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ktls.h - sockets whose TLS records the kernel makes and opens
 *
 * Once ktls_start() has been called read and write carry plain text and the wire
 * does not, for whoever holds the descriptor: the agent, or the module's lanes.
 * A record that is no data (an alert, a new key) fails recv() with EIO for ever;
 * ktls_recv() says what it was.
 */
#ifndef TELEPAGE_KTLS_H
#define TELEPAGE_KTLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* what protects one direction */
struct ktls_key {
	size_t len;			/* 16 or 32: AES-128-GCM or AES-256-GCM */
	uint8_t key[32];
	uint8_t iv[12];
	uint8_t seq[8];			/* of the next record */
};

/* NULL, or why this kernel cannot, and what to do */
const char *ktls_missing(void);
/* a connected TCP socket; 0 or a negative errno */
int ktls_start(int fd, const struct ktls_key *tx, const struct ktls_key *rx);

/*
 * recv(), also for sockets without TLS. Negative errno: -ESHUTDOWN the peer has
 * said that it sends no more, -ECONNABORTED another alert (in @alert), -EKEYEXPIRED
 * a record that asks for new keys, -EBADMSG one that was not the peer's.
 */
ssize_t ktls_recv(int fd, void *buf, size_t len, int flags, int *alert);
const char *ktls_words(ssize_t err, int alert);	/* of a failed ktls_recv() */

/* "I send no more": what nobody on the way can forge. 0 or a negative errno */
int ktls_goodbye(int fd);

#endif /* TELEPAGE_KTLS_H */
