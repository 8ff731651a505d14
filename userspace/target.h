/* SPDX-License-Identifier: GPL-2.0 */
/*
 * target.h - where a peer's agent is
 */
#ifndef TELEPAGE_TARGET_H
#define TELEPAGE_TARGET_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define TP_PORT			4790
#define TP_TARGET_ADDRS		4

/* addresses are numeric, the agent never resolves names */
struct target {
	char host[256];			/* as the user said it */
	char addr[TP_TARGET_ADDRS][48];
	unsigned int nr;
	uint16_t port;
};

/* splits HOST[:PORT] or [V6]:PORT in place; NULL or what is wrong */
const char *target_split(char *where, const char **host, const char **port);
long target_port(const char *port);	/* -1: none; NULL: the usual one */
/* what is wrong with HOST[:PORT], [V6]:PORT as it is written, or NULL */
const char *target_check(const char *where);
/* for commands, which may block: HOST[:PORT], [V6]:PORT; NULL or what is wrong */
const char *target_resolve(struct target *t, const char *where);
json_t *target_to_json(const struct target *t);
bool target_from_json(struct target *t, json_t *obj);

#endif /* TELEPAGE_TARGET_H */
