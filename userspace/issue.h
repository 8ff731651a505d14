/* SPDX-License-Identifier: GPL-2.0 */
/*
 * issue.h - new keys and certificates, as text
 *
 * Everything that is returned is the caller's to wipe and free; NULL: @err says why.
 */
#ifndef TELEPAGE_ISSUE_H
#define TELEPAGE_ISSUE_H

#include <stdbool.h>
#include <stddef.h>

#define ISSUE_DAYS	1825		/* of a host's certificate */
#define ISSUE_CA_DAYS	7300

/* a pre-shared key, the content of the file psk */
char *issue_psk(void);

struct issued {
	char *key, *crt;		/* PEM */
};

void issued_free(struct issued *i);
bool issue_ca(struct issued *out, char *err, size_t len);
/* @names: NAME[,NAME...], host names or addresses, the first is who it is */
/* NULL, with @first of @len bytes the first one; or why @names are none */
const char *issue_bad_names(const char *names, char *first, size_t len);
bool issue_host(struct issued *out, const struct issued *ca, const char *names, int days,
		char *err, size_t len);

#endif /* TELEPAGE_ISSUE_H */
