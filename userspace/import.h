/* SPDX-License-Identifier: GPL-2.0 */
/*
 * import.h - a region here that fills from an export of a peer
 */
#ifndef TELEPAGE_IMPORT_H
#define TELEPAGE_IMPORT_H

#include "agent.h"
#include "transport.h"

struct conn;

struct import_request {
	const char *region, *export;
	struct target target;
	unsigned int bulk;
	bool push;
	bool uffd;			/* a VMM will be attached to the region */
	const char *group;		/* whose files may have its pages; may be NULL */
};

/* NULL, or why not; @watcher hears how it goes on until it is complete */
const char *import_begin(const struct import_request *req, struct conn *watcher);
void import_unwatch(struct conn *watcher);
void import_restore(void);		/* after plinks_adopt() */
json_t *import_list(void);

#endif /* TELEPAGE_IMPORT_H */
