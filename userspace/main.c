// SPDX-License-Identifier: GPL-2.0
/*
 * main.c - the table of commands
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

#ifndef TP_VERSION
#define TP_VERSION "unknown"
#endif

static const struct command commands[] = {
	{ "create",  "make a region: a file that a VMM maps as guest memory",
	  cmd_create_usage, cmd_create },
	{ "list",    "regions, exports and links", cmd_list_usage, cmd_list },
	{ "status",  "how far regions have been filled", cmd_status_usage, cmd_status },
	{ "stats",   "all counters", cmd_stats_usage, cmd_stats },
	{ "move",    "teleport a running VM to another host", NULL, cmd_move },
	{ "export",  "offer memory to a peer", NULL, cmd_export },
	{ "import",  "fill a region from a peer", NULL, cmd_import },
	{ "attach",  "serve a VMM whose memory is its own (userfaultfd)",
	  cmd_attach_usage, cmd_attach },
	{ "detach",  "end that, when all pages are here", cmd_detach_usage, cmd_detach },
	{ "agent",   "the daemon that connects hosts", NULL, cmd_agent },
	{ "images",  "files here that may have pages of a VM already",
	  cmd_images_usage, cmd_images },
	{ "abandon", "give up the pages that are still at the peer",
	  cmd_abandon_usage, cmd_abandon },
	{ "release", "take back an export", cmd_release_usage, cmd_release },
	{ "delete",  "delete a region", cmd_delete_usage, cmd_delete },
	{ "freeze",  "let no write into a region", cmd_freeze_usage, cmd_freeze },
	{ "thaw",    "undo freeze", cmd_thaw_usage, cmd_thaw },
	{ "dirty",   "which pages were written to", cmd_dirty_usage, cmd_dirty },
	{ "workingset", "which pages were needed first, and asking for them again",
	  cmd_workingset_usage, cmd_workingset },
	{ "monitor", "print events as they come", cmd_monitor_usage, cmd_monitor },
	{ "plumb",   "single steps: links, lanes, serving, importing",
	  cmd_plumb_usage, cmd_plumb },
};

#define NR_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static void help(FILE *f)
{
	fprintf(f, "Usage: telepage COMMAND [ARGUMENTS]\n\n"
		   "Moves the memory of running virtual machines between hosts.\n\nCommands:\n");
	for (size_t i = 0; i < NR_COMMANDS; i++)
		fprintf(f, "  %-10s  %s\n", commands[i].name, commands[i].summary);
	fprintf(f, "\ntelepage COMMAND --help says more about one, telepage(8) about all.\n");
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* --help counts up to "--", which ends the options */
static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

/* output that could not be written (a full disk, a closed pipe) is a failure */
static int flushed(int status)
{
	if ((fflush(stdout) || ferror(stdout)) && status == TP_OK)
		return tp_fail("cannot write the output");
	return status;
}

int main(int argc, char **argv)
{
	const struct command *c;
	char argv0[64];

	if (argc < 2) {
		help(stderr);
		return TP_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		help(stdout);
		return flushed(TP_OK);
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("telepage %s\n", TP_VERSION);
		return flushed(TP_OK);
	}

	c = find(argv[1]);
	if (!c)
		return tp_usage("telepage", "there is no command '%s'", argv[1]);
	snprintf(argv0, sizeof(argv0), "telepage %s", c->name);
	argv[1] = argv0;
	if (c->usage && wants_help(argc - 1, argv + 1)) {
		fputs(c->usage, stdout);
		return flushed(TP_OK);
	}
	return flushed(c->fn(argc - 1, argv + 1));
}
