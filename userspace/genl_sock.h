/* SPDX-License-Identifier: GPL-2.0 */
/*
 * genl_sock.h - requests to the module, for genl.c only
 */
#ifndef TELEPAGE_GENL_SOCK_H
#define TELEPAGE_GENL_SOCK_H

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "genl.h"

/* the table changed while it was dumped: what came is not consistent */
#define TP_NL_INTERRUPTED	1

/* gets the attributes of one message of the answer; 0 or a negative errno */
typedef int (*tp_nl_answer_fn)(struct nlattr *head, int len, void *arg);

/*
 * A request is built without looking at each step: tp_nl_put_*() on NULL does
 * nothing, and a message that ran out of room becomes NULL, which
 * tp_nl_transact() reports as -ENOMEM.
 */
struct nl_msg *tp_nl_request(struct tp_nl *nl, enum telepage_cmd cmd, int flags);
/* the same with room for @size bytes in all */
struct nl_msg *tp_nl_request_of(struct tp_nl *nl, enum telepage_cmd cmd, int flags, size_t size);
void tp_nl_put(struct nl_msg **msg, int type, const void *data, size_t len);
void tp_nl_put_string(struct nl_msg **msg, int type, const char *s);
void tp_nl_put_u32(struct nl_msg **msg, int type, uint32_t v);
void tp_nl_put_u64(struct nl_msg **msg, int type, uint64_t v);

/*
 * Sends @msg (which is freed) and calls @fn for every message of the answer.
 * 0, TP_NL_INTERRUPTED, or a negative errno of the kernel or of @fn.
 */
int tp_nl_transact(struct tp_nl *nl, struct nl_msg *msg, tp_nl_answer_fn fn, void *arg);

/* keeps @words for tp_nl_error(); -EBADMSG */
int tp_nl_senseless(struct tp_nl *nl, const char *words);

#endif /* TELEPAGE_GENL_SOCK_H */
