/* SPDX-License-Identifier: GPL-2.0 */
/*
 * oneshot.h - commands that are one call for one name
 */
#ifndef TELEPAGE_ONESHOT_H
#define TELEPAGE_ONESHOT_H

#include "cmd.h"

struct tp_oneshot {
	const char *verb;		/* "delete", for messages */
	int (*call)(struct tp_nl *nl, const char *name);
	/* what to do when that has failed so; NULL, as the function may be: what is usual */
	const char *(*hint)(const char *name, int err);
};

/* all of it: no options, exactly one NAME */
int tp_oneshot(int argc, char **argv, const struct tp_oneshot *o);
/* the part after the arguments */
int tp_oneshot_name(const char *name, const struct tp_oneshot *o);

/* [--yes] NAME, and nothing else; TP_OK or the status to exit with */
int tp_yes_name(int argc, char **argv, bool *yes, const char **name);
/* reads the answer to a question on stderr: is it "yes"? */
bool tp_confirmed(void);

#endif /* TELEPAGE_ONESHOT_H */
