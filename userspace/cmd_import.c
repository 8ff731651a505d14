// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_import.c - telepage import: asks the local agent for a region from a peer
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "attach.h"
#include "cmd.h"
#include "local.h"
#include "parse.h"
#include "progress.h"
#include "transport.h"
#include "workingset.h"

static const char usage[] =
"Usage: telepage import NAME --from HOST[:PORT] [OPTIONS]\n\n"
"Makes region NAME and fills it from an export of HOST: pages come when they are\n"
"touched, the rest by and by. A region NAME that was never touched and has the\n"
"right size is used.\n\n"
"  --from HOST[:PORT]  the other host's agent, default port 4790\n"
"  --export NAME       what it is called there, default NAME\n"
"  --bulk-lanes N      connections for pages that nobody waits for, default 2\n"
"  --no-push           only pages that are touched\n"
"  --group NAME        take pages from images and VMs of this group, default none: only\n"
"                      from its own images; see telepage-images(8)\n"
"  --uffd PATH         wait there, in the background, for a VMM whose memory is its own\n"
"  --workingset FILE   ask for the pages that it names first: telepage-workingset(8)\n"
"  --wait              until all of it is here\n"
"  --socket PATH       of the local agent, default " TP_AGENT_SOCKET "\n";

struct view {
	const char *region;
	const char *uffd;		/* where a VMM will connect, or NULL */
	int listener;
	struct workingset set;		/* to be asked for first */
	bool wait, bar;
	struct tp_progress progress;
};

static uint64_t num(json_t *obj, const char *key)
{
	return json_integer_value(json_object_get(obj, key));
}

/*
 * A process of its own waits for the VMM: the kernel borrows the address space of who
 * attaches, and the agent's is to stay its own.
 */
static int leave_attacher(struct view *v)
{
	struct attach a = { .region = v->region, .fill = true };
	pid_t pid;
	int null;

	if (!v->uffd)
		return TP_OK;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return tp_fail("import %s: %s", v->region, strerror(errno));
	if (!pid) {
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		setsid();
		/* errors go where ours go; who waits for our output does not wait for it */
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		_exit(attach_one(&a, v->listener, v->uffd));
	}
	close(v->listener);
	v->uffd = NULL;
	return TP_OK;
}

/* Costs time only, so it is said and no more. */
static void replay(struct view *v)
{
	struct tp_nl *nl;
	int err;

	if (!v->set.n || tp_open(&nl, "import"))
		return;
	err = workingset_replay(nl, v->region, &v->set);
	if (err)
		tp_fail_nl(nl, err, NULL, "import %s: asking for its working set", v->region);
	tp_nl_close(nl);
	workingset_free(&v->set);
}

static int got_line(json_t *msg, void *arg)
{
	const char *error = json_string_value(json_object_get(msg, "error"));
	json_t *c = json_object_get(msg, "progress"), *done = json_object_get(msg, "done");
	struct view *v = arg;

	if (done)
		c = json_object_get(done, "counters");
	if (v->wait && !error && c) {
		if (!v->bar)
			tp_progress_init(&v->progress, stderr, v->region);
		v->bar = true;
		tp_progress_update(&v->progress, num(c, "total") - num(c, "absent"), num(c, "total"),
				   num(c, "demand"));
	}
	if (v->bar && (done || error))
		tp_progress_finish(&v->progress, true);
	if (error)
		return tp_fail("import %s: %s", v->region, error);
	/* from here on the region is there and takes pages */
	if (json_object_get(msg, "importing"))
		replay(v);
	if ((done || json_object_get(msg, "importing")) && leave_attacher(v))
		return TP_FAILED;
	if (done || (json_object_get(msg, "importing") && !v->wait))
		return TP_OK;
	return -1;
}

int cmd_import(int argc, char **argv)
{
	enum { FROM = 256, EXPORT, BULK, NO_PUSH, UFFD, GROUP, SET, WAIT, SOCKET };
	static const struct option longopts[] = {
		{ "from", required_argument, NULL, FROM },
		{ "export", required_argument, NULL, EXPORT },
		{ "bulk-lanes", required_argument, NULL, BULK },
		{ "no-push", no_argument, NULL, NO_PUSH },
		{ "uffd", required_argument, NULL, UFFD },
		{ "group", required_argument, NULL, GROUP },
		{ "workingset", required_argument, NULL, SET },
		{ "wait", no_argument, NULL, WAIT },
		{ "socket", required_argument, NULL, SOCKET },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	const char *from = NULL, *export = NULL, *group = NULL, *set = NULL,
		   *sock = TP_AGENT_SOCKET, *why, *empty;
	uint32_t bulk = TP_BULK_LANES;
	struct view v = { 0 };
	struct target target;
	bool push = true;
	int c;

	while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		empty = tp_empty_option(longopts, c);
		if (empty)
			return tp_usage(argv[0], TP_EMPTY_OPTION, empty);
		switch (c) {
		case FROM: from = optarg; break;
		case EXPORT: export = optarg; break;
		case BULK:
			if (!tp_parse_u32(optarg, &bulk) || bulk < 1 || bulk > TELEPAGE_LANE_MAX)
				return tp_usage(argv[0], "--bulk-lanes takes 1 to %d",
						TELEPAGE_LANE_MAX);
			break;
		case NO_PUSH: push = false; break;
		case UFFD: v.uffd = optarg; break;
		case GROUP: group = optarg; break;
		case SET: set = optarg; break;
		case WAIT: v.wait = true; break;
		case SOCKET: sock = optarg; break;
		case 'h':
			fputs(usage, stdout);
			return TP_OK;
		default:
			return TP_USAGE;
		}
	}
	if (optind + 1 != argc)
		return tp_usage(argv[0], optind < argc ? "takes one NAME" : "which region?");
	v.region = argv[optind];
	if (!export)
		export = v.region;
	if (!tp_name_ok(v.region) || !tp_name_ok(export))
		return tp_usage(argv[0], "a name is " TP_NAME_RULE);
	if (group && !tp_name_ok(group))
		return tp_usage(argv[0], "--group '%s' is no name: " TP_NAME_RULE, group);
	if (!from)
		return tp_usage(argv[0], "--from which host?");
	why = target_check(from);
	if (why)
		return tp_usage(argv[0], "--from '%s': %s", from, why);
	/* now, so that one that is none stops everything */
	why = set ? workingset_load_named(set, &v.set) : NULL;
	if (why)
		return tp_fail("import %s: %s: %s", v.region, set, why);
	why = target_resolve(&target, from);
	if (why)
		return tp_fail("import %s: %s: %s", v.region, from, why);
	if (v.uffd) {
		/* now, so that a path that cannot be had stops everything */
		v.listener = attach_listen(v.uffd, 0600, 0, 0);
		if (v.listener < 0)
			return TP_FAILED;
	}
	c = agent_talk(sock, json_pack("{s:s, s:s, s:s, s:i, s:b, s:s*, s:b, s:o}", "cmd", "import",
				       "region", v.region, "export", export, "bulk", bulk,
				       "push", push, "group", group, "uffd", !!v.uffd,
				       "target", target_to_json(&target)),
		       got_line, &v);
	if (v.uffd)
		unlink(v.uffd);		/* nobody was left to wait there */
	workingset_free(&v.set);
	return c;
}
