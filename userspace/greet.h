/* SPDX-License-Identifier: GPL-2.0 */
/*
 * greet.h - a connection to a peer until it has greeted: what who connects
 * (transport.c) and who accepts (listener.c) have in common
 */
#ifndef TELEPAGE_GREET_H
#define TELEPAGE_GREET_H

#include <netinet/in.h>

#include "agent.h"
#include "keys.h"
#include "ktls.h"
#include "tls.h"
#include "transport.h"

#define GREET_LINE_MAX	4096
#define GREET_MS	10000

/* never "talk in the clear, too": who wants that finds it in telepage-agent(8) */
#define MAKE_KEYS	"telepage agent init makes keys for both"

struct greet {
	int fd;
	struct tls *tls;		/* while it lasts */
	char who[TLS_WHO_MAX];
	struct watch *watch;
	struct timer timer;
	char line[GREET_LINE_MAX + 1];
	size_t len;
	char addr[INET6_ADDRSTRLEN + 8];

	/* who connects */
	bool reached;			/* from there on the peer has failed, not the address */
	struct target target;
	unsigned int tried;
	json_t *first;
	connect_fn connected;
	void *arg;
	char err[1024];

	/* who accepts */
	bool begun;			/* we know whether it speaks TLS */
	accept_fn accepted;
	TAILQ_ENTRY(greet) strangers;	/* listener.c: who has not greeted yet */
	void (*freed)(struct greet *g);
};

/*
 * A dead peer must be noticed while a VM stands still, so 10 s, not hours. The
 * kernel module sets its own keepalive on lanes.
 */
void greet_set_options(int fd);
/* 1: a whole line in @line, 0: not yet, negative errno of ktls_recv() */
int greet_read_line(struct greet *g, int *alert);
/*
 * One step of the handshake: 0 when the kernel seals and opens from now on, -EAGAIN
 * until then, else it failed and @words says why.
 */
int greet_shake(struct greet *g, char *words, size_t len);
/* the line as an object, NULL: no telepage agent has written it */
json_t *greet_parse(const struct greet *g);
const char *greet_own_id(void);		/* of this process */
void greet_free(struct greet *g);	/* with its socket, unless fd is -1 */

#endif /* TELEPAGE_GREET_H */
