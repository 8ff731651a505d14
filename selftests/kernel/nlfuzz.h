/* SPDX-License-Identifier: GPL-2.0 */
/*
 * nlfuzz.h - messages to the module that nobody should send
 *
 * Three parts: nlfuzz_msg.c builds, sends and takes apart messages, and asks the
 * kernel which operations and attributes there are; nlfuzz_world.c makes the
 * objects that messages speak of, and one good message or more for each operation;
 * nlfuzz.c spoils them. failnth.c sends them as they are, while memory runs out.
 */
#ifndef TELEPAGE_NLFUZZ_H
#define TELEPAGE_NLFUZZ_H

#include <linux/netlink.h>

#include "uffd_vmm.h"

#define FZ_ROOM		(96 * 1024)
#define FZ_DEPTH	4
#define FZ_POLICIES	32
#define FZ_ATTRS	64
#define FZ_OPS		64
#define FZ_SILENT	1	/* no answer */

/* ---- numbers that repeat ---- */

extern uint64_t fz_seed;
uint64_t fz_random(void);
static inline uint32_t fz_below(uint32_t n) { return n ? fz_random() % n : 0; }

/* ---- messages ---- */

struct fz_msg {
	uint8_t cmd;
	bool dump;
	size_t len;		/* of the attributes */
	uint8_t attrs[FZ_ROOM];
};

void fz_begin(struct fz_msg *m, uint8_t cmd, bool dump);
void fz_put(struct fz_msg *m, uint16_t type, const void *data, size_t len);
void fz_u8(struct fz_msg *m, uint16_t type, uint8_t v);
void fz_u32(struct fz_msg *m, uint16_t type, uint32_t v);
void fz_u64(struct fz_msg *m, uint16_t type, uint64_t v);
void fz_str(struct fz_msg *m, uint16_t type, const char *s);
size_t fz_nest(struct fz_msg *m, uint16_t type);
void fz_nest_end(struct fz_msg *m, size_t at);

/* where an attribute is: its offset, and those of the nests around it */
struct fz_place {
	size_t at, nest[FZ_DEPTH];
	unsigned int depth;
	int policy;			/* what its type means, -1: not known */
};

static inline struct nlattr *fz_at(struct fz_msg *m, size_t at)
{
	return (struct nlattr *)(m->attrs + at);
}

/* all attributes of a message, those in nests as well; how many */
unsigned int fz_places(struct fz_msg *m, int policy, struct fz_place *p, unsigned int max);
/*
 * Puts @len bytes where @old bytes are, both whole attributes with their padding;
 * the nests around grow or shrink. False: there is no room.
 */
bool fz_splice(struct fz_msg *m, const struct fz_place *p, size_t old, const void *data,
	       size_t len);

struct fz_answer {
	int error;		/* 0, a negative errno, or FZ_SILENT */
	int lost;		/* of FZ_SILENT: the errno of who listened */
	bool words;		/* the kernel said why */
	char why[160];
};

/* a socket of its own; what the kernel holds for it ends with fz_close() */
int fz_open(void);
void fz_close(int fd);
struct fz_answer fz_send(int fd, const struct fz_msg *m);
/* the same with another version, other flags of the header, and @cut of it left out */
struct fz_answer fz_send_as(int fd, const struct fz_msg *m, uint8_t version, uint16_t flags,
			    bool no_header);
/* its two halves: why it cannot be sent, or 0; and the answer */
int fz_say(int fd, const struct fz_msg *m);
struct fz_answer fz_hear(int fd);

/* ---- what the kernel says of its operations ---- */

struct fz_attr {
	uint32_t kind;			/* enum netlink_attribute_type, 0: none */
	bool has_min, has_max;
	uint64_t min, max;		/* of numbers */
	uint32_t len_max;		/* of strings and binaries, 0: any */
	int nest;			/* policy of what is inside, or -1 */
};

struct fz_op {
	uint8_t cmd;
	uint32_t flags;			/* GENL_CMD_CAP_*, GENL_ADMIN_PERM */
	int policy;			/* of doing, or of dumping */
};

extern struct fz_attr fz_policy[FZ_POLICIES][FZ_ATTRS];
extern struct fz_op fz_ops[FZ_OPS];
extern unsigned int fz_nr_ops;

void fz_learn(void);
const struct fz_op *fz_op(uint8_t cmd);

/* ---- the world ---- */

struct fz_good {
	uint8_t cmd;
	bool dump;
	bool lasting;			/* can be said any number of times */
	const char *name;
	void (*prepare)(void);		/* makes what it speaks of, on an empty world */
	void (*build)(struct fz_msg *m);
};

extern const struct fz_good fz_goods[];
extern const unsigned int fz_nr_goods;

void fz_witness_open(void);
/* are the objects that nobody spoke of as they should be? reads some more of one */
bool fz_witness_good(void);
bool fz_witness_close(void);
/* would the message take away what the witness needs? then it is not sent */
bool fz_witness_hurt(const struct fz_msg *m);

/* everything at once, for messages at random */
void fz_world_open(void);
/* deletes all objects but the witness's; false when something cannot be */
bool fz_world_close(void);
/* a world of what a good message speaks of, and nothing else; and the message */
void fz_prepare(const struct fz_good *g, struct fz_msg *m);

/*
 * Reads all that can be read of what messages speak of: how many pages are wrong?
 * @new: a bit for each page of "fz-new" that is to have content.
 */
unsigned long fz_world_wrong(uint32_t new);

/* values that mean something in this world */
uint32_t fz_some_u32(void);
uint64_t fz_some_u64(void);
const char *fz_some_name(void);

#endif /* TELEPAGE_NLFUZZ_H */
