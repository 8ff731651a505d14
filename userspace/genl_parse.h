/* SPDX-License-Identifier: GPL-2.0 */
/*
 * genl_parse.h - kernel messages into the structs of genl.h
 *
 * Pure: no socket, no allocation beyond what the structs own, so that the unit
 * tests (and a fuzzer) can feed it bytes. @head and @len are the attributes of
 * one message. All return 0, -EBADMSG when an attribute is missing, too short or
 * makes no sense, or -ENOMEM; on failure nothing is left allocated.
 */
#ifndef TELEPAGE_GENL_PARSE_H
#define TELEPAGE_GENL_PARSE_H

#include <netlink/netlink.h>
#include <netlink/attr.h>

#include "genl.h"

int tp_parse_region(struct nlattr *head, int len, struct tp_region *out);
int tp_parse_export(struct nlattr *head, int len, struct tp_export *out);
int tp_parse_link(struct nlattr *head, int len, struct tp_link *out);
int tp_parse_uffd(struct nlattr *head, int len, struct tp_uffd *out);
int tp_parse_event(struct nlattr *head, int len, struct tp_event *out);

/* the answer of REGION_TOUCHED; @runs has room for TELEPAGE_RUNS_MAX */
int tp_parse_touched(struct nlattr *head, int len, uint64_t start, struct telepage_run *runs,
		     size_t *n, uint64_t *all);

/* the answer of REGION_SAMPLED; @runs has room for TELEPAGE_RUNS_MAX */
int tp_parse_sampled(struct nlattr *head, int len, uint64_t start, struct telepage_run *runs,
		     size_t *n, struct tp_sample *s);

/* the answer of REGION_DIRTY; @bitmap gets (count + 7) / 8 bytes */
int tp_parse_dirty(struct nlattr *head, int len, uint64_t start, uint64_t count,
		   uint8_t *bitmap);

/*
 * NLMSG_ERROR or NLMSG_DONE: the errno (negative, 0 for success) and the
 * kernel's words, "" when there are none.
 */
int tp_parse_ack(const struct nlmsghdr *nlh, char *words, size_t words_len);

#endif /* TELEPAGE_GENL_PARSE_H */
