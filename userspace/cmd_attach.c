// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_attach.c - a region for a VMM whose memory is its own
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach.h"
#include "cmd.h"
#include "handshake.h"
#include "parse.h"

const char cmd_attach_usage[] =
	"Usage: telepage attach REGION --listen PATH [--mode MODE] [--owner USER] [OPTIONS]\n"
	"       telepage attach REGION --pid PID --fd N --range RANGE... [--memfd N] [OPTIONS]\n\n"
	"Serves a VMM that keeps guest RAM in memory of its own from REGION, through its\n"
	"userfaultfd. Waits for one VMM at a socket (Firecracker's handshake), or takes\n"
	"descriptors of a process. When it returns, the kernel serves; nothing has to run.\n\n"
	"  --listen PATH   where the VMM connects to\n"
	"  --mode MODE     permissions of the socket, default 0600\n"
	"  --owner USER    owner of the socket, as USER or USER:GROUP\n"
	"  --pid PID       the VMM's process\n"
	"  --fd N          its userfaultfd, a descriptor of that process\n"
	"  --range ADDR,LEN,OFFSET[,PAGESIZE]\n"
	"                  where which part of the region lies; ADDR may be 0x...; PAGESIZE\n"
	"                  4096 or, for hugetlb, 2M\n"
	"  --memfd N       the memfd that its memory is a shared mapping of\n"
	"  --no-fill       only pages that are touched\n";

enum { LISTEN = 256, MODE, OWNER, PID, FD, RANGE, MEMFD, NO_FILL };

struct args {
	struct attach a;
	const char *listen;
	uint32_t mode, uid, gid, fd, memfd;
	bool socket_opts, has_fd, has_memfd;
	struct tp_uffd_range ranges[TELEPAGE_RANGE_MAX];
	size_t nr;
};

static int take_option(const char *argv0, int o, struct args *g)
{
	switch (o) {
	case LISTEN:
		g->listen = optarg;
		return TP_OK;
	case MODE:
		g->socket_opts = true;
		return tp_parse_mode(optarg, &g->mode) ? TP_OK :
		       tp_usage(argv0, "'%s' is no mode", optarg);
	case OWNER:
		g->socket_opts = true;
		return tp_parse_owner(optarg, &g->uid, &g->gid) ? TP_OK :
		       tp_usage(argv0, "there is no user or group '%s'", optarg);
	case PID:
		return tp_parse_u32(optarg, &g->a.pid) && g->a.pid ? TP_OK :
		       tp_usage(argv0, "'%s' is no process", optarg);
	case FD:
		g->has_fd = true;
		return tp_parse_u32(optarg, &g->fd) ? TP_OK :
		       tp_usage(argv0, "'%s' is no descriptor", optarg);
	case MEMFD:
		g->has_memfd = true;
		return tp_parse_u32(optarg, &g->memfd) ? TP_OK :
		       tp_usage(argv0, "'%s' is no descriptor", optarg);
	case RANGE:
		if (g->nr == TELEPAGE_RANGE_MAX)
			return tp_usage(argv0, "takes %d ranges at most",
					TELEPAGE_RANGE_MAX);
		return range_parse(optarg, &g->ranges[g->nr++]) ? TP_OK :
		       tp_usage(argv0, "'%s' is no range ADDR,LEN,OFFSET[,PAGESIZE]", optarg);
	case NO_FILL:
		g->a.fill = false;
		return TP_OK;
	}
	return TP_USAGE;
}

static int parse_args(int argc, char **argv, struct args *g)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, LISTEN },
		{ "mode", required_argument, NULL, MODE },
		{ "owner", required_argument, NULL, OWNER },
		{ "pid", required_argument, NULL, PID },
		{ "fd", required_argument, NULL, FD },
		{ "range", required_argument, NULL, RANGE },
		{ "memfd", required_argument, NULL, MEMFD },
		{ "no-fill", no_argument, NULL, NO_FILL },
		{ 0 }
	};
	int o, status;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		status = take_option(argv[0], o, g);
		if (status)
			return status;
	}
	if (argc - optind != 1)
		return tp_usage(argv[0], optind < argc ? "takes one REGION" : "which region?");
	g->a.region = argv[optind];
	if (!tp_name_ok(g->a.region))
		return tp_usage(argv[0], "'%s' is no name: " TP_NAME_RULE, g->a.region);
	if (g->listen) {
		if (g->has_fd || g->has_memfd || g->nr)
			return tp_usage(argv[0], "--listen gets descriptor and ranges from the VMM");
		return TP_OK;
	}
	if (g->socket_opts)
		return tp_usage(argv[0], "--mode and --owner go with --listen");
	if (!g->a.pid || !g->has_fd || !g->nr)
		return tp_usage(argv[0], "needs --listen, or --pid, --fd and --range");
	return TP_OK;
}

/* a copy of a descriptor of another process, -1: why not was said */
static int get_fd(uint32_t pid, uint32_t nr)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0), fd;

	fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, nr, 0);
	if (fd < 0)
		tp_fail("descriptor %" PRIu32 " of process %" PRIu32 ": %s", nr, pid,
			strerror(errno));
	if (pidfd >= 0)
		close(pidfd);
	return fd;
}

static int from_process(struct args *g)
{
	uint64_t size = attach_region_size(g->a.region);
	int fd, memfd = -1;
	const char *bad;

	if (!size)
		return TP_FAILED;
	bad = ranges_check(g->ranges, g->nr, size);
	if (bad)
		return tp_fail("attach %s: %s", g->a.region, bad);
	fd = get_fd(g->a.pid, g->fd);
	if (fd < 0)
		return TP_FAILED;
	if (g->has_memfd) {
		memfd = get_fd(g->a.pid, g->memfd);
		if (memfd < 0) {
			close(fd);
			return TP_FAILED;
		}
	}
	return attach_fd(&g->a, fd, memfd, g->ranges, g->nr);
}

int cmd_attach(int argc, char **argv)
{
	struct args g = { .a.fill = true, .mode = 0600 };
	int status = parse_args(argc, argv, &g), s;

	if (status)
		return status;
	if (!g.listen)
		return from_process(&g);
	if (!attach_region_size(g.a.region))
		return TP_FAILED;
	s = attach_listen(g.listen, g.mode, g.uid, g.gid);
	return s < 0 ? TP_FAILED : attach_one(&g.a, s, g.listen);
}
