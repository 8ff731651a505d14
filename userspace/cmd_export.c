// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_export.c - telepage export: a region, a file or memory of a process that peers
 * may import
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "fmt.h"
#include "maps.h"
#include "parse.h"
#include "tls.h"

static const char usage[] =
"Usage: telepage export NAME [--to PEER]... [--region R | --file PATH [--offset N] [--size N]]\n"
"       telepage export NAME [--to PEER]... --pid PID (--range ADDR,LEN | --map PATTERN)...\n\n"
"Offers a region, a file or memory of a process to other hosts: telepage import NAME\n"
"--from HERE there. The pages of a region are given out once it is frozen (telepage\n"
"freeze), until then whoever asks waits; a file or a process is given out at once and\n"
"must not change: stop or pause the process first, and do not end it before the other\n"
"host has all. telepage release NAME takes it back.\n\n"
"  --to PEER     who may import it: the name in a host's certificate, or any. Without\n"
"                it: whoever has the shared key, and no host that has a certificate\n"
"  --region R    default NAME\n"
"  --file PATH   anything that can be read at an offset: a file, a disk, a memfd\n"
"  --offset N    where it begins in the file, a multiple of 4K\n"
"  --size N      how long it is, default to the end of the file\n"
"  --pid PID     the process; takes the right to ptrace it\n"
"  --range ADDR,LEN   these addresses of it, as 0x7f0000000000,1G; several follow each\n"
"                other in the export in the order they are given\n"
"  --map PATTERN what it has mapped: a file, by its path, the last part of that or the\n"
"                name of a memfd; a name as [heap]; or anon:LARGEST, its largest\n"
"                memory without a file. Prints what was found\n";

static char peers[TELEPAGE_PEER_MAX + 1];	/* with spaces between them */

static struct tp_range ranges[TELEPAGE_RANGE_MAX];
static size_t nr_ranges;

static bool add_peer(const char *peer)
{
	size_t at = strlen(peers), n = strlen(peer);

	if (!n || peer[strspn(peer, TLS_NAME_CHARS ":")] || at + n + 2 > sizeof(peers))
		return false;
	snprintf(peers + at, sizeof(peers) - at, "%s%s", at ? " " : "", peer);
	return true;
}

static int refused(const struct tp_nl *nl, int err, const char *name)
{
	const char *hint = err == -EEXIST ? "telepage release takes it back" :
			   err == -EACCES ? "choose other ranges" : NULL;

	return err ? tp_fail_nl(nl, err, hint, "export %s", name) : TP_OK;
}

static int export_file(struct tp_nl *nl, const char *name, const char *path, uint64_t offset,
		       uint64_t size)
{
	/* a pipe or a terminal must not be waited for: it is refused */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), err;

	if (fd < 0)
		return tp_fail("export %s: %s: %s", name, path, strerror(errno));
	err = tp_export_new_for(nl, name, peers, NULL, fd, offset, size);
	close(fd);
	return refused(nl, err, name);
}

static int export_pid(struct tp_nl *nl, const char *name, uint32_t pid)
{
	char path[32];
	int fd, err;

	/* Opening it shows the right to ptrace; without it CAP_SYS_ADMIN may still do. */
	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = tp_export_new_pid(nl, name, peers, pid, fd, ranges, nr_ranges);
	if (fd >= 0)
		close(fd);
	return refused(nl, err, name);
}

static bool add_range(uint64_t addr, uint64_t len)
{
	if (nr_ranges == TELEPAGE_RANGE_MAX)
		return false;
	ranges[nr_ranges++] = (struct tp_range){ addr, len };
	return true;
}

static void print_map(FILE *out, const struct map *m)
{
	char size[TP_FMT_LEN], name[256];

	fprintf(out, "0x%" PRIx64 ",0x%" PRIx64 " %s %s %s\n", m->start, m->end - m->start,
		tp_fmt_size(size, sizeof(size), m->end - m->start), m->perms,
		tp_escape(name, sizeof(name), *m->name ? m->name : "anonymous"));
}

/* the ranges of --map; says which, or which could have been meant */
static int add_maps(const char *name, uint32_t pid, const char *pattern)
{
	const struct map **found;
	struct maps maps;
	size_t n;
	int err;

	err = maps_read(pid, &maps);
	if (err == -ENOENT || err == -ESRCH)
		return tp_fail("export %s: there is no process %" PRIu32, name, pid);
	if (err)
		return tp_fail("export %s: the maps of process %" PRIu32 ": %s", name, pid,
			       strerror(-err));
	err = maps_find(&maps, pattern, &found, &n);
	if (err == -ENOENT) {
		err = tp_fail("export %s: process %" PRIu32 " has mapped nothing called '%s' (see /proc/%" PRIu32 "/maps)",
			      name, pid, pattern, pid);
	} else if (err == -ENOTUNIQ) {
		err = tp_fail("export %s: '%s' could mean several mappings, say which with --range:",
			      name, pattern);
		for (size_t i = 0; i < n; i++)
			print_map(stderr, found[i]);
	} else if (err) {
		err = tp_fail("export %s: %s", name, strerror(-err));
	}
	for (size_t i = 0; !err && i < n; i++) {
		if (add_range(found[i]->start, found[i]->end - found[i]->start))
			print_map(stdout, found[i]);
		else
			err = tp_fail("export %s: more than %d ranges", name, TELEPAGE_RANGE_MAX);
	}
	free(found);
	maps_free(&maps);
	return err;
}

int cmd_export(int argc, char **argv)
{
	enum { TO = 256, REGION, FILE_, OFFSET, SIZE, PID, RANGE, MAP };
	static const struct option longopts[] = {
		{ "to", required_argument, NULL, TO },
		{ "region", required_argument, NULL, REGION },
		{ "file", required_argument, NULL, FILE_ },
		{ "offset", required_argument, NULL, OFFSET },
		{ "size", required_argument, NULL, SIZE },
		{ "pid", required_argument, NULL, PID },
		{ "range", required_argument, NULL, RANGE },
		{ "map", required_argument, NULL, MAP },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	const char *region = NULL, *file = NULL, *name, *empty;
	/* --range and --map in their order: a map is looked up when the process is known */
	const char *map[TELEPAGE_RANGE_MAX];
	struct tp_range range[TELEPAGE_RANGE_MAX] = { 0 };
	uint64_t offset = 0, size = 0;
	uint32_t pid = 0;
	struct tp_nl *nl;
	size_t n = 0;
	int c, err;

	while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		empty = tp_empty_option(longopts, c);
		if (empty)
			return tp_usage(argv[0], TP_EMPTY_OPTION, empty);
		switch (c) {
		case TO:
			if (!add_peer(optarg))
				return tp_usage(argv[0], "'%s' names no peer", optarg);
			break;
		case REGION: region = optarg; break;
		case FILE_: file = optarg; break;
		case OFFSET:
			if (!tp_parse_size(optarg, &offset) || offset % TELEPAGE_PAGE_SIZE)
				return tp_usage(argv[0], "'%s' is no offset: a multiple of 4 KiB",
						optarg);
			break;
		case SIZE:
			if (!tp_parse_size(optarg, &size) || !size)
				return tp_usage(argv[0], TP_SIZE_RULE, "--size", optarg);
			break;
		case PID:
			if (!tp_parse_u32(optarg, &pid) || !pid || pid > INT32_MAX)
				return tp_usage(argv[0], "'%s' is no process", optarg);
			break;
		case RANGE:
		case MAP:
			if (n == TELEPAGE_RANGE_MAX)
				return tp_usage(argv[0], "at most %d ranges", TELEPAGE_RANGE_MAX);
			map[n] = c == MAP ? optarg : NULL;
			if (c == RANGE && !tp_parse_range(optarg, &range[n].addr, &range[n].len))
				return tp_usage(argv[0], "bad range '%s', one is as 0x7f0000000000,1G",
						optarg);
			n++;
			break;
		case 'h':
			fputs(usage, stdout);
			return TP_OK;
		default:
			return TP_USAGE;
		}
	}
	if (optind + 1 != argc)
		return tp_usage(argv[0], optind < argc ? "takes one NAME" : "under which name?");
	name = argv[optind];
	if (!tp_name_ok(name))
		return tp_usage(argv[0], "a name is " TP_NAME_RULE);
	if (region && !tp_name_ok(region))
		return tp_usage(argv[0], "a region's name is " TP_NAME_RULE);
	if (!!region + !!file + !!pid > 1)
		return tp_usage(argv[0], "a region, a file or a process, one of them");
	if (!file && (offset || size))
		return tp_usage(argv[0], "--offset and --size go with --file");
	if (!pid && n)
		return tp_usage(argv[0], "--range and --map go with --pid");
	if (pid && !n)
		return tp_usage(argv[0], "which memory of the process? --range or --map says");
	for (size_t i = 0; i < n; i++) {
		if (!map[i]) {
			if (!add_range(range[i].addr, range[i].len))
				return tp_usage(argv[0], "at most %d ranges", TELEPAGE_RANGE_MAX);
			continue;
		}
		err = add_maps(name, pid, map[i]);
		if (err)
			return err;
	}
	err = tp_open(&nl, "export");
	if (err)
		return err;
	if (pid)
		err = export_pid(nl, name, pid);
	else if (file)
		err = export_file(nl, name, file, offset, size);
	else
		err = refused(nl, tp_export_new_for(nl, name, peers, region ? region : name, -1, 0,
						    0), name);
	tp_nl_close(nl);
	return err;
}
