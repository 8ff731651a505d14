// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_agent.c - telepage agent: start, signals, and the kernel's events
 *
 * Nothing in the kernel is torn down when the agent ends; whatever it was doing
 * is found again by the next one.
 */
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent.h"
#include "cmd.h"
#include "images.h"
#include "import.h"
#include "indexer.h"
#include "keys.h"
#include "journal.h"
#include "ktls.h"
#include "lanes.h"
#include "local.h"
#include "move.h"
#include "planner.h"
#include "serve.h"
#include "notify.h"
#include "parse.h"
#include "peer.h"
#include "transport.h"
#include "workingset.h"

static const char usage[] =
"Usage: telepage agent [OPTIONS]\n"
"       telepage agent init ...   makes keys, see telepage agent init --help\n\n"
"The daemon that connects this host with others: it answers other agents and\n"
"carries out telepage move and telepage import. It stays in the foreground.\n\n"
"  --keys DIR           what this host proves itself with, default " TP_KEYS_DIR "\n"
"  --listen ADDR[:PORT] where other agents connect, default :4790: any address, IPv4\n"
"                       and IPv6; [ADDR]:PORT with an IPv6 address\n"
"  --no-listen          no other agent may connect; without keys this one connects\n"
"                       to none either\n"
"  --insecure-plain     talk to other agents without encryption or identity, and to\n"
"                       those only that do the same\n"
"  --rekey SIZE         a connection gets new keys after so many bytes, default 256G\n"
"  --socket PATH        for commands here, default " TP_AGENT_SOCKET "\n"
"  --dir DIR            where regions are, default " TP_DEFAULT_DIR "\n"
"  --vm-dir DIR         a directory per VM, default " TP_VM_DIR "\n"
"  --hook PATH          starts and stops VMMs, default $TELEPAGE_HOOK or\n"
"                       " TP_HOOK "\n"
"  --state DIR          the journal, default " TP_AGENT_STATE "\n"
"  --accept-moves RULE  which VMs may come here: all (default), started as their source\n"
"                       says; known: those of which this host has VM-DIR/VM/args, which\n"
"                       alone says it; none\n"
"  --orphan-timeout S   how long a VM that is ready to run here waits for its\n"
"                       source, default 30\n"
"  --images DIR         files that may have pages of VMs, see telepage images --help,\n"
"                       default " IMAGES_DIR "\n"
"  --keep-images SIZE   so much of the disk is for memory images of VMs that have left,\n"
"                       default 0: none is kept\n"
"  --plan-rate SIZE     read and hash so many bytes a second at most to find pages in\n"
"                       them, default 0: no limit\n";

static struct tp_nl *events;

/* systemd, if it is what has started us */
static void tell_manager(const char *state)
{
	int err = tp_notify(state);

	if (err < 0)
		note("cannot say %s to $NOTIFY_SOCKET: %s", state, strerror(-err));
}

static void one_event(const struct tp_event *ev, void *arg)
{
	(void)arg;
	lanes_event(ev);
	move_dst_event(ev);
	import_event(ev);
	workingset_event(ev);
	if (ev->kind == TELEPAGE_EVENT_REGION_DEL)
		planner_forget(ev->region);
}

static void kernel_event(uint32_t what, void *arg)
{
	(void)what;
	(void)arg;
	if (tp_nl_events_read(events, one_event, NULL) != -ENOBUFS)
		return;
	/*
	 * What the lost events told can be read from the dump: a lane that is gone is
	 * connected anew. How far a region is, who waits for it asks by himself.
	 */
	plinks_adopt();
	plinks_start();
	planner_forget_gone();
}

static void accept_plan(int fd, json_t *first, const char *who)
{
	const char *token = json_string_value(json_object_get(first, "link"));
	struct plink *l = token ? plink_by_token(token) : NULL;

	if (!l || l->connects || strcmp(l->who, who) != 0)
		planner_accept(fd, "nothing is planned here");
	else if (l->import)
		serve_accept_plan(fd, l);
	else
		move_dst_accept_plan(fd, l);
}

static void greeted(int fd, json_t *first, const char *from, const char *who)
{
	const char *role = json_string_value(json_object_get(first, "role"));

	if (role && !strcmp(role, "control")) {
		peer_accept(fd, from, who);
	} else if (role && !strcmp(role, "lane")) {
		plink_accept_lane(fd, first, from, who);
	} else if (role && !strcmp(role, "state")) {
		move_dst_accept_state(fd, first, who);
	} else if (role && !strcmp(role, "plan")) {
		accept_plan(fd, first, who);
	} else {
		transport_answer(fd, "unknown role");
		close(fd);
	}
}

static void signalled(uint32_t what, void *arg)
{
	struct signalfd_siginfo si;
	int fd = *(int *)arg;

	(void)what;
	if (read(fd, &si, sizeof(si)) != sizeof(si))
		return;
	note("ends on signal %u; the kernel goes on without it", si.ssi_signo);
	tell_manager("STOPPING=1");
	loop_stop(0);
}

static void catch_signals(void)
{
	static int fd;
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd >= 0)
		watch_add(fd, EPOLLIN, signalled, &fd);
}

/* a QEMU's mem-path is compared with it */
static const char *without_slash(const char *dir)
{
	char *copy = xstrdup(dir);
	size_t n = strlen(copy);

	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = 0;
	return copy;
}

/* far below 2^24 records of 16 KiB, also when some are shorter */
#define REKEY_BYTES	(256ULL << 30)

#define ORPHAN_MAX_S	604800

struct options {
	const char *listen, *socket;
	struct addrinfo *at;		/* what @listen is */
	bool no_listen;
};

static int open_keys(const struct options *o)
{
	const char *missing;
	char err[384];

	if (agent.plain)
		return TP_OK;
	agent.keys = keys_load(agent.keys_dir, err, sizeof(err));
	if (!agent.keys && !o->no_listen)
		return tp_fail("agent: %s", err);
	if (!agent.keys) {
		note("%s; until then there are no peers", err);
		return TP_OK;
	}
	missing = ktls_missing();
	if (missing)
		return tp_fail("agent: %s", missing);
	note("this is %s%s", agent.keys->name,
	     agent.keys->both ? "; the shared key beside the certificate is not used" : "");
	return TP_OK;
}

static int start(const struct options *o)
{
	char at[80];
	int err;

	/* first of all: what another agent is about must not be undone behind its back */
	err = journal_open();
	if (err == -EAGAIN)
		return tp_fail("agent: another agent has %s", agent.state);
	if (err)
		return tp_fail("agent: %s: %s", agent.state, strerror(-err));
	err = open_keys(o);
	if (err)
		return err;
	err = tp_nl_open(&agent.nl);
	if (err)
		return tp_fail_nl(NULL, err, NULL, "agent");
	err = tp_mount(agent.dir);
	if (err)
		return tp_fail("agent: cannot mount on %s: %s", agent.dir, strerror(-err));
	err = loop_init();
	if (err)
		return tp_fail("agent: %s", strerror(-err));
	err = tp_nl_events_open(&events);
	if (err)
		return tp_fail_nl(NULL, err, NULL, "agent: the kernel's events");
	catch_signals();
	watch_add(tp_nl_fd(events), EPOLLIN, kernel_event, NULL);
	err = local_listen(o->socket);
	if (err == -EADDRINUSE)
		return tp_fail("agent: another agent answers at %s", o->socket);
	if (err)
		return tp_fail("agent: %s: %s", o->socket, strerror(-err));

	err = o->no_listen ? 0 : transport_listen(o->at);
	if (err) {
		unlink(o->socket);
		return tp_fail("agent: cannot listen on %s: %s", o->listen, strerror(-err));
	}

	plinks_adopt();
	move_dst_restore();
	move_src_restore();
	import_restore();
	planner_forget_gone();
	move_drop_orphans();
	plinks_start();

	/* last: nobody is let in before we know what we have */
	if (!o->no_listen)
		transport_accept(greeted);
	note("ready%s%s%s%s", o->no_listen ? "" : ", listens on ",
	     o->no_listen ? "" : transport_listens(at, sizeof(at)),
	     agent.plain ? ", in the clear" : "",
	     agent.accept_moves == ACCEPT_KNOWN ? ", takes VMs that are known here" :
	     agent.accept_moves == ACCEPT_NONE ? ", takes no VMs" : "");
	tell_manager("READY=1");
	indexer_start(agent.images, agent.plan_rate);
	err = loop_run();
	indexer_stop();
	unlink(o->socket);
	return err;
}

int cmd_agent(int argc, char **argv)
{
	enum { LISTEN = 256, NO_LISTEN, PLAIN, KEYS, REKEY, SOCKET, DIR, VM_DIR, HOOK, STATE,
	       ORPHAN, IMAGES, KEEP_IMAGES, PLAN_RATE, ACCEPT };
	static const struct option longopts[] = {
		{ "listen", required_argument, NULL, LISTEN },
		{ "no-listen", no_argument, NULL, NO_LISTEN },
		{ "insecure-plain", no_argument, NULL, PLAIN },
		{ "keys", required_argument, NULL, KEYS },
		{ "rekey", required_argument, NULL, REKEY },
		{ "socket", required_argument, NULL, SOCKET },
		{ "dir", required_argument, NULL, DIR },
		{ "vm-dir", required_argument, NULL, VM_DIR },
		{ "hook", required_argument, NULL, HOOK },
		{ "state", required_argument, NULL, STATE },
		{ "orphan-timeout", required_argument, NULL, ORPHAN },
		{ "images", required_argument, NULL, IMAGES },
		{ "keep-images", required_argument, NULL, KEEP_IMAGES },
		{ "plan-rate", required_argument, NULL, PLAN_RATE },
		{ "accept-moves", required_argument, NULL, ACCEPT },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	struct options o = { .socket = TP_AGENT_SOCKET };
	const char *dir = NULL, *hook = NULL, *why, *empty;
	double seconds = 30;
	int c, err;

	if (argc > 1 && !strcmp(argv[1], "init")) {
		argv[1] = "telepage agent init";
		return cmd_agent_init(argc - 1, argv + 1);
	}
	agent.hook = getenv("TELEPAGE_HOOK");
	if (!agent.hook || !*agent.hook)
		agent.hook = TP_HOOK;
	agent.keys_dir = TP_KEYS_DIR;
	agent.rekey_bytes = REKEY_BYTES;
	agent.vm_dir = TP_VM_DIR;
	agent.state = TP_AGENT_STATE;
	agent.images = IMAGES_DIR;
	while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		empty = tp_empty_option(longopts, c);
		if (empty)
			return tp_usage(argv[0], TP_EMPTY_OPTION, empty);
		switch (c) {
		case LISTEN: o.listen = optarg; break;
		case NO_LISTEN: o.no_listen = true; break;
		case PLAIN: agent.plain = true; break;
		case KEYS: agent.keys_dir = optarg; break;
		case REKEY:
			if (!tp_parse_size(optarg, &agent.rekey_bytes) || !agent.rekey_bytes)
				return tp_usage(argv[0], TP_SIZE_RULE, "--rekey", optarg);
			break;
		case SOCKET: o.socket = optarg; break;
		case DIR: dir = optarg; break;
		case VM_DIR: agent.vm_dir = optarg; break;
		case HOOK: hook = optarg; break;
		case STATE: agent.state = optarg; break;
		case ORPHAN:
			if (!tp_parse_seconds(optarg, &seconds) || seconds > ORPHAN_MAX_S)
				return tp_usage(argv[0], "bad number of seconds '%s' (0 to %d)", optarg,
						ORPHAN_MAX_S);
			break;
		case ACCEPT:
			if (!accept_parse(optarg, &agent.accept_moves))
				return tp_usage(argv[0], "--accept-moves is all, known or none, not '%s'",
						optarg);
			break;
		case IMAGES: agent.images = optarg; break;
		case KEEP_IMAGES:
			if (!tp_parse_size(optarg, &agent.keep_images))
				return tp_usage(argv[0], TP_SIZE_RULE, "--keep-images", optarg);
			break;
		case PLAN_RATE:
			if (!tp_parse_size(optarg, &agent.plan_rate))
				return tp_usage(argv[0], TP_SIZE_RULE, "--plan-rate", optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			return TP_OK;
		default:
			return TP_USAGE;
		}
	}
	if (optind < argc)
		return tp_usage(argv[0], "too many arguments");
	if (o.no_listen && o.listen)
		return tp_usage(argv[0], "--listen or --no-listen");
	if (!o.listen)
		o.listen = ":4790";
	if (hook && access(hook, X_OK))
		return tp_fail("agent: --hook %s: %s", hook, strerror(errno));
	if (hook)
		agent.hook = hook;
	err = o.no_listen ? 0 : listen_resolve(o.listen, &o.at, &why);
	if (err == -EINVAL)
		return tp_usage(argv[0], "--listen '%s': %s", o.listen, why);
	if (err)
		return tp_fail("agent: cannot listen on %s: %s", o.listen, why);
	agent.dir = without_slash(tp_dir(dir));
	agent.orphan_ms = seconds * 1000;
	err = start(&o);
	if (o.at)
		freeaddrinfo(o.at);
	return err;
}
