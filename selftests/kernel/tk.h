/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tk.h - what the tests of the module share
 *
 * A helper that cannot do its part ends the program with "Bail out!": what a
 * test is about is asserted in the test, never here.
 */
#ifndef TELEPAGE_TK_H
#define TELEPAGE_TK_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "genl.h"
#include "tap.h"

#define TK_DIR	"/run/telepage"
#define TK_PAGE	4096UL
#define TK_LONG	60	/* seconds; a deadline for what has no reason to take time */

extern struct tp_nl *tk_nl;

/* netlink open, filesystem mounted, events listened to */
void tk_init(void);

__attribute__((format(printf, 1, 2), noreturn))
void tk_die(const char *fmt, ...);

/* bails out with the kernel's words when @err is not 0 */
void tk_ok(int err, const char *what);

/* regions */
void tk_new(const char *name, unsigned long pages);
void tk_del(const char *name);
int tk_open(const char *name, int flags);
uint8_t *tk_map(const char *name, unsigned long pages, int prot, int flags);
void tk_unmap(void *map, unsigned long pages);
struct tp_region tk_stat(const char *name);
struct tp_export tk_export_stat(const char *name);	/* links: how many, not which */

/* content: a page of a given seed and index is like no other and never zero */
void tk_page(void *buf, uint32_t seed, unsigned long index);
bool tk_is_page(const void *buf, uint32_t seed, unsigned long index);
bool tk_is_zero(const void *buf, size_t len);
void tk_fill(const char *name, unsigned long first, unsigned long pages, uint32_t seed);
/* how many pages of @map are not what tk_fill() wrote */
unsigned long tk_wrong(const uint8_t *map, unsigned long first, unsigned long pages,
		       uint32_t seed);

/* loads and stores that may be answered by SIGBUS: the byte, 0, or -SIGBUS */
int tk_load(const volatile uint8_t *p);
int tk_store(volatile uint8_t *p, uint8_t v);

/* two links of this one kernel joined by TCP */
struct tk_pair {
	uint32_t src, dst;		/* links */
	bool far;			/* through the delayed network of tk_far() */
};

/* a network namespace behind a delay (all of a round trip, in netem's words) */
void tk_far(const char *delay, const char *more);
void tk_tcp_pair(int sv[2], bool far);
/* makes a socket a kTLS one, with keys that a handshake would have made */
bool tk_tls(int fd, uint16_t version, uint8_t tx, uint8_t rx);
void tk_pair_open(struct tk_pair *p, unsigned int bulk, bool far);
void tk_pair_attach(struct tk_pair *p, unsigned int lane);
void tk_pair_detach(struct tk_pair *p, unsigned int lane);
void tk_pair_close(struct tk_pair *p);
/* an export of region @src, made if there is none, served: its number for who imports it */
uint32_t tk_serve(struct tk_pair *p, const char *src);
/* the same, and region @dst that imports it */
void tk_import(struct tk_pair *p, const char *src, const char *dst, bool push);
/* ends both ends of tk_import(); what is still absent is given up */
void tk_import_end(const char *src, const char *dst);
bool tk_wait_state(const char *name, enum telepage_region_state state);

/* the next event that is wanted; others are kept. @name: of the region, or NULL */
bool tk_event(enum telepage_event kind, const char *name, uint32_t link, struct tp_event *out);
void tk_events_forget(void);

uint64_t tk_now_ms(void);
void tk_nap_ms(unsigned int ms);

/* repeats until @cond or a generous deadline, of which it tells; the last value of @cond */
#define tk_until(cond) ({ \
	uint64_t end_ = tk_now_ms() + TK_LONG * 1000; \
	bool ok_; \
	while (!(ok_ = (cond)) && tk_now_ms() < end_) \
		tk_nap_ms(5); \
	if (!ok_) \
		printf("# waited in vain: %s:%d: %s\n", __FILE__, __LINE__, #cond); \
	ok_; })

/* a child process that runs @fn and exits with its value */
pid_t tk_fork(int (*fn)(void *arg), void *arg);
/* its exit status, 128 + signal, or -1 when it is still there after the deadline */
int tk_reap(pid_t pid);
pthread_t tk_thread(void *(*fn)(void *arg), void *arg);
/* false when it is still there after the deadline */
bool tk_join(pthread_t t);

/*
 * A call that never returns cannot be waited for by who made it: once tk_watch() was
 * called, what is begun with tk_busy() and not over in time ends the program. NULL: over.
 */
void tk_watch(void);
void tk_busy(const char *what, unsigned int nr);

/* one line of a file, without its newline; "" when there is none */
const char *tk_cat(const char *path, char *buf, size_t len);
int tk_write_file(const char *path, const char *text);
/* sysfs of a link; good until the next one */
const char *tk_link_file(uint32_t link, const char *file);

#endif /* TELEPAGE_TK_H */
