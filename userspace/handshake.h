/* SPDX-License-Identifier: GPL-2.0 */
/*
 * handshake.h - how a VMM says where its memory lies
 *
 * Firecracker's snapshot restore connects to a unix stream socket and sends one
 * message: a JSON array with an object per range, and its userfaultfd by SCM_RIGHTS.
 *
 *	[{"base_host_virt_addr": A, "size": N, "offset": O, "page_size": P}, ...]
 *
 * Older versions call the size of pages "page_size_kib", which holds bytes all the
 * same, or do not send it: 4096.
 */
#ifndef TELEPAGE_HANDSHAKE_H
#define TELEPAGE_HANDSHAKE_H

#include "genl.h"

#define HANDSHAKE_MAX	65536	/* bytes of JSON */

/* what handshake_parse() says of a message that may just not be whole */
extern const char handshake_incomplete[];

/*
 * @ranges has room for TELEPAGE_RANGE_MAX. NULL, or what is wrong (a constant).
 * Pure: offsets are held against @region_size, ranges against each other.
 */
const char *handshake_parse(const char *json, size_t len, uint64_t region_size,
			    struct tp_uffd_range *ranges, size_t *nr);

/* the checks of handshake_parse() for ranges from elsewhere */
const char *ranges_check(const struct tp_uffd_range *ranges, size_t nr, uint64_t region_size);

/* "ADDR,LEN,OFFSET[,PAGESIZE]" */
bool range_parse(const char *s, struct tp_uffd_range *r);

#endif /* TELEPAGE_HANDSHAKE_H */
