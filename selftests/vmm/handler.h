/* SPDX-License-Identifier: GPL-2.0 */
/*
 * handler.h - who serves guest RAM in the VMM's own test
 *
 * A thread that takes one userfaultfd over a unix socket, as Firecracker's handlers
 * do, and serves it: page n holds what FILL writes with the seed, and is zero once it
 * was discarded. Not meant to be fast, and to be wrong where a test wants it.
 */
#ifndef TELEPAGE_VMM_HANDLER_H
#define TELEPAGE_VMM_HANDLER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct handler {
	const char *path;	/* of the socket */
	uint32_t seed;

	/* plants */
	long wrong_page;	/* one word of it is wrong; -1: none */
	bool forgets;		/* what was discarded comes back */

	/* what the VMM said */
	uint64_t base, size;
	uint64_t page_size;	/* of the message's two, 0 when it says neither */
	bool both_sizes;
	pid_t peer;

	int listener, sock, fd;
	unsigned long page;	/* bytes served at a time */
	uint8_t *discarded;	/* a byte for each page of 4 KiB */
	atomic_ulong missing, minor, removed;
	atomic_bool quit;
	pthread_t thread;
};

/* listens from here on; @page: of the backing, where the VMM does not say */
void handler_start(struct handler *h, const char *path, uint32_t seed, unsigned long page);
void handler_end(struct handler *h);

#endif /* TELEPAGE_VMM_HANDLER_H */
