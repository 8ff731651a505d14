/* SPDX-License-Identifier: GPL-2.0 */
/*
 * cmd.h - what every command has in common
 *
 * A command is int cmd_NAME(int argc, char **argv) in cmd_NAME.c, argv[0] being
 * "telepage NAME" (so that getopt's own complaints read well). It returns one of
 * enum tp_exit. Help text: const char cmd_NAME_usage[] beside the handler, shown
 * by main for --help; with usage NULL in the table the command gets --help itself.
 */
#ifndef TELEPAGE_CMD_H
#define TELEPAGE_CMD_H

#include "genl.h"

#define TP_DEFAULT_DIR	"/run/telepage"
#define TP_DIR_ENV	"TELEPAGE_DIR"

enum tp_exit {
	TP_OK = 0,
	TP_FAILED = 1,
	TP_USAGE = 2,
};

struct command {
	const char *name;
	const char *summary;		/* one line for telepage --help */
	const char *usage;		/* for telepage NAME --help */
	int (*fn)(int argc, char **argv);
};

int cmd_abandon(int argc, char **argv);
int cmd_agent(int argc, char **argv);
int cmd_agent_init(int argc, char **argv);	/* of cmd_agent() */
int cmd_attach(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_delete(int argc, char **argv);
int cmd_detach(int argc, char **argv);
int cmd_dirty(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_freeze(int argc, char **argv);
int cmd_images(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_monitor(int argc, char **argv);
int cmd_move(int argc, char **argv);
int cmd_plumb(int argc, char **argv);
int cmd_release(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_thaw(int argc, char **argv);
int cmd_workingset(int argc, char **argv);

extern const char cmd_abandon_usage[], cmd_attach_usage[], cmd_create_usage[],
		  cmd_delete_usage[], cmd_detach_usage[], cmd_dirty_usage[],
		  cmd_freeze_usage[], cmd_images_usage[], cmd_list_usage[], cmd_monitor_usage[],
		  cmd_plumb_usage[], cmd_release_usage[], cmd_stats_usage[], cmd_status_usage[],
		  cmd_thaw_usage[], cmd_workingset_usage[];

/*
 * Errors: one line on stderr each, "telepage: WHAT: WHY (WHAT TO DO)". Control
 * characters in names are escaped. Both return the exit status for `return`.
 */

/* @fmt is all of it after "telepage: " */
int tp_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * A call of genl.h failed with @err (negative errno): @fmt says what was tried
 * ("create vm0"), why comes from the kernel's words or strerror. @hint says what
 * to do about it, NULL: the usual advice for this errno, if there is any.
 * @nl NULL: it was tp_nl_open() that failed.
 */
int tp_fail_nl(const struct tp_nl *nl, int err, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* wrong usage, exit status 2: "telepage create: MESSAGE (see telepage create --help)" */
int tp_usage(const char *argv0, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* opens the request socket or says why not (then returns an exit status, not 0) */
int tp_open(struct tp_nl **nl, const char *what);

/* mount.c: mounts the filesystem at @dir unless it is there; 0 or a negative errno */
int tp_mount(const char *dir);
/* @opt (of --dir) if not NULL, else $TELEPAGE_DIR, else /run/telepage */
const char *tp_dir(const char *opt);

#endif /* TELEPAGE_CMD_H */
