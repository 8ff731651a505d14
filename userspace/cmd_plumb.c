// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_plumb.c - single steps, for tests and for finding faults
 *
 * Each is one netlink command, plus a plain TCP connection for a lane. The agent
 * does the same with encrypted sockets and connects again when one breaks.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "dial.h"
#include "parse.h"

#define DIAL_TIMEOUT_S	30

const char cmd_plumb_usage[] =
	"Usage: telepage plumb STEP\n\n"
	"Single steps for tests and for finding faults. Lanes made here are plain TCP, without\n"
	"encryption, and nobody connects them again: telepage agent does both.\n\n"
	"  link new [--peer NOTE]         make a link, prints its number\n"
	"  link set LINK NOTE             change its note\n"
	"  link del LINK                  delete it\n"
	"  lane attach LINK LANE HOW      give it a socket; LANE 0 is urgent, 1 to 16 bulk\n"
	"      --connect HOST:PORT        connect (tries again while refused)\n"
	"      --listen [ADDRESS:]PORT    or take one connection\n"
	"      --fd N                     or pass on descriptor N, a connected TCP socket\n"
	"      --timeout S                give up after S seconds (default 30)\n"
	"  lane detach LINK LANE          take it away and shut it down\n"
	"  export NAME --region REGION    export a region\n"
	"  export NAME --file PATH [--offset BYTES] [--size BYTES]\n"
	"                                 or a file\n"
	"  serve EXPORT LINK              let the peer ask for it, prints the export id\n"
	"  region-import NAME --link LINK --export-id ID [--no-push]\n"
	"                                 take the pages of a region from the peer\n";

/* one step: positional arguments are in argv[optind…], none has been looked at */
struct step {
	const char *name, *name2;	/* "link", "new"; name2 NULL: one word */
	unsigned int nr_args;
	int (*fn)(char **args);
};

/* options of all steps; which of them a step takes is its business */
static struct {
	const char *peer, *connect, *listen, *region, *file;
	const char *fd, *link, *export_id, *offset, *size, *timeout;
	bool no_push;
} opt;

static struct tp_nl *nl;

/* to the kernel: when the arguments are right, for that they are not is said first */
static int open_kernel(void)
{
	return tp_open(&nl, "plumb");
}

static int bad(const char *what, const char *value)
{
	return tp_usage("telepage plumb", "'%s' is no %s", value, what);
}

static int parse_id(const char *s, const char *what, uint32_t *v)
{
	return tp_parse_u32(s, v) ? TP_OK : bad(what, s);
}

static int parse_name(const char *s)
{
	return tp_name_ok(s) ? TP_OK : bad("name: " TP_NAME_RULE, s);
}

static int link_new(char **args)
{
	uint32_t id;
	int err;

	if (opt.peer && strlen(opt.peer) > TELEPAGE_PEER_MAX)
		return bad("note: it is too long", opt.peer);
	if (open_kernel())
		return TP_FAILED;
	err = tp_link_new(nl, opt.peer, &id);
	if (err)
		return tp_fail_nl(nl, err, NULL, "plumb link new");
	printf("%" PRIu32 "\n", id);
	return TP_OK;
}

static int link_set(char **args)
{
	uint32_t id;
	int err;

	if (parse_id(args[0], "link", &id))
		return TP_USAGE;
	if (strlen(args[1]) > TELEPAGE_PEER_MAX)
		return bad("note: it is too long", args[1]);
	if (open_kernel())
		return TP_FAILED;
	err = tp_link_set(nl, id, args[1]);
	return err ? tp_fail_nl(nl, err, NULL, "plumb link set %" PRIu32, id) : TP_OK;
}

static int link_del(char **args)
{
	uint32_t id;
	int err;

	if (parse_id(args[0], "link", &id))
		return TP_USAGE;
	if (open_kernel())
		return TP_FAILED;
	err = tp_link_del(nl, id);
	return err ? tp_fail_nl(nl, err, NULL, "plumb link del %" PRIu32, id) : TP_OK;
}

/* how a lane gets its socket */
struct lane_how {
	const char *addr;		/* NULL: it is @fd */
	char host[256], port[8];
	double timeout;
	uint32_t fd;
};

static int parse_how(struct lane_how *how)
{
	how->addr = opt.connect ? opt.connect : opt.listen;
	how->timeout = DIAL_TIMEOUT_S;
	if (!!opt.connect + !!opt.listen + !!opt.fd != 1)
		return tp_usage("telepage plumb", "takes one of --connect, --listen and --fd");
	if (opt.timeout && !tp_parse_seconds(opt.timeout, &how->timeout))
		return bad("number of seconds", opt.timeout);
	if (opt.fd && (!tp_parse_u32(opt.fd, &how->fd) || how->fd > INT32_MAX))
		return bad("descriptor", opt.fd);
	if (how->addr && !tp_parse_host_port(how->addr, !opt.connect, how->host,
					     sizeof(how->host), how->port, sizeof(how->port)))
		return bad(opt.connect ? "HOST:PORT" : "[ADDRESS:]PORT", how->addr);
	return TP_OK;
}

/* a descriptor, or -1 and @why */
static int lane_socket(const struct lane_how *how, char *why, size_t len)
{
	if (!how->addr)
		return (int)how->fd;
	return opt.connect ? tp_dial(how->host, how->port, how->timeout, why, len) :
			     tp_accept_one(how->host, how->port, how->timeout, why, len);
}

static int lane_attach(char **args)
{
	char what[64], why[256];
	struct lane_how how = { 0 };
	uint32_t link, lane;
	int err, fd;

	if (parse_id(args[0], "link", &link))
		return TP_USAGE;
	if (!tp_parse_u32(args[1], &lane) || lane > TELEPAGE_LANE_MAX)
		return bad("lane: 0 to 16", args[1]);
	if (parse_how(&how))
		return TP_USAGE;
	if (open_kernel())
		return TP_FAILED;
	snprintf(what, sizeof(what), "plumb lane attach %" PRIu32 " %" PRIu32, link, lane);
	fd = lane_socket(&how, why, sizeof(why));
	if (fd < 0)
		return tp_fail("%s: %s %s: %s", what, opt.connect ? "connect to" : "listen on",
			       how.addr, why);
	err = tp_lane_attach(nl, link, lane, fd);
	if (!opt.fd)
		close(fd);
	return err ? tp_fail_nl(nl, err, NULL, "%s", what) : TP_OK;
}

static int lane_detach(char **args)
{
	uint32_t link, lane;
	int err;

	if (parse_id(args[0], "link", &link))
		return TP_USAGE;
	if (!tp_parse_u32(args[1], &lane) || lane > TELEPAGE_LANE_MAX)
		return bad("lane: 0 to 16", args[1]);
	if (open_kernel())
		return TP_FAILED;
	err = tp_lane_detach(nl, link, lane);
	return err ? tp_fail_nl(nl, err, NULL, "plumb lane detach %" PRIu32 " %" PRIu32, link,
				lane) : TP_OK;
}

static int export_file(const char *name)
{
	uint64_t offset = 0, size = 0;
	int err, fd;

	if (opt.offset && (!tp_parse_size(opt.offset, &offset) || offset % TELEPAGE_PAGE_SIZE))
		return bad("offset: a multiple of 4 KiB", opt.offset);
	if (opt.size && (!tp_parse_size(opt.size, &size) || !size))
		return bad("size", opt.size);
	if (open_kernel())
		return TP_FAILED;
	fd = open(opt.file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return tp_fail("plumb export %s: %s: %s", name, opt.file, strerror(errno));
	err = tp_export_new_fd(nl, name, fd, offset, size);
	close(fd);
	return err ? tp_fail_nl(nl, err, NULL, "plumb export %s", name) : TP_OK;
}

static int export_new(char **args)
{
	int err;

	if (parse_name(args[0]))
		return TP_USAGE;
	if (!opt.region == !opt.file)
		return tp_usage("telepage plumb", "takes one of --region and --file");
	if (!opt.file && (opt.offset || opt.size))
		return tp_usage("telepage plumb", "--offset and --size go with --file");
	if (opt.file)
		return export_file(args[0]);
	if (parse_name(opt.region))
		return TP_USAGE;
	if (open_kernel())
		return TP_FAILED;
	err = tp_export_new_region(nl, args[0], opt.region);
	return err ? tp_fail_nl(nl, err, NULL, "plumb export %s", args[0]) : TP_OK;
}

static int serve(char **args)
{
	uint32_t link, id;
	int err;

	if (parse_name(args[0]) || parse_id(args[1], "link", &link))
		return TP_USAGE;
	if (open_kernel())
		return TP_FAILED;
	err = tp_export_serve(nl, args[0], link, &id);
	if (err)
		return tp_fail_nl(nl, err, NULL, "plumb serve %s", args[0]);
	printf("%" PRIu32 "\n", id);
	return TP_OK;
}

static int region_import(char **args)
{
	uint32_t link, id;
	int err;

	if (parse_name(args[0]))
		return TP_USAGE;
	if (!opt.link || !opt.export_id)
		return tp_usage("telepage plumb", "region-import takes --link and --export-id");
	if (parse_id(opt.link, "link", &link) || parse_id(opt.export_id, "export id", &id))
		return TP_USAGE;
	if (open_kernel())
		return TP_FAILED;
	err = tp_region_import(nl, args[0], link, id, !opt.no_push);
	return err ? tp_fail_nl(nl, err, NULL, "plumb region-import %s", args[0]) : TP_OK;
}

static const struct step steps[] = {
	{ "link", "new", 0, link_new },
	{ "link", "set", 2, link_set },
	{ "link", "del", 1, link_del },
	{ "lane", "attach", 2, lane_attach },
	{ "lane", "detach", 2, lane_detach },
	{ "export", NULL, 1, export_new },
	{ "serve", NULL, 2, serve },
	{ "region-import", NULL, 1, region_import },
};

/* how many words of @args name the step: 0, this is not it */
static int matches(const struct step *s, char **args, int nr)
{
	if (nr < 1 || strcmp(args[0], s->name) != 0)
		return 0;
	if (!s->name2)
		return 1;
	return nr > 1 && !strcmp(args[1], s->name2) ? 2 : 0;
}

static int parse_options(int argc, char **argv)
{
	static const struct {
		const char *name;
		const char **value;
	} texts[] = {
		{ "peer", &opt.peer }, { "connect", &opt.connect }, { "listen", &opt.listen },
		{ "fd", &opt.fd }, { "timeout", &opt.timeout }, { "region", &opt.region },
		{ "file", &opt.file }, { "offset", &opt.offset }, { "size", &opt.size },
		{ "link", &opt.link }, { "export-id", &opt.export_id },
	};
	enum { NR_TEXTS = sizeof(texts) / sizeof(texts[0]) };
	struct option options[NR_TEXTS + 2] = { 0 };
	const char *empty;
	int o;

	for (int i = 0; i < NR_TEXTS; i++)
		options[i] = (struct option){ texts[i].name, required_argument, NULL, 256 + i };
	options[NR_TEXTS] = (struct option){ "no-push", no_argument, NULL, 'n' };

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		empty = tp_empty_option(options, o);
		if (empty)
			return tp_usage(argv[0], TP_EMPTY_OPTION, empty);
		if (o == 'n')
			opt.no_push = true;
		else if (o >= 256 && o < 256 + NR_TEXTS)
			*texts[o - 256].value = optarg;
		else
			return TP_USAGE;
	}
	return TP_OK;
}

int cmd_plumb(int argc, char **argv)
{
	const struct step *s = NULL;
	int status, words = 0, nr;

	status = parse_options(argc, argv);
	if (status)
		return status;
	nr = argc - optind;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && !words; i++) {
		s = &steps[i];
		words = matches(s, argv + optind, nr);
	}
	if (!words)
		return tp_usage(argv[0], nr ? "there is no such step" : "which step?");
	if (nr - words != (int)s->nr_args)
		return tp_usage(argv[0], "%s%s%s takes %u argument%s", s->name, s->name2 ? " " : "",
				s->name2 ? s->name2 : "", s->nr_args, s->nr_args == 1 ? "" : "s");
	status = s->fn(argv + optind + words);
	tp_nl_close(nl);
	return status;
}
