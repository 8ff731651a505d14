// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_create.c - make a region
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "parse.h"
#include "tojson.h"

const char cmd_create_usage[] =
	"Usage: telepage create NAME SIZE [OPTIONS]\n\n"
	"Makes a region of SIZE bytes (suffixes K, M, G, T: 1024 each), all of it zero,\n"
	"and prints the path of its file. Mounts the filesystem if need be.\n\n"
	"  --mode MODE          permissions of the file, octal (default 0600)\n"
	"  --owner UID[:GID]    owner of the file, numbers or names (default root)\n"
	"  --dir DIR            where the filesystem is mounted\n"
	"                       (default $TELEPAGE_DIR, else /run/telepage)\n"
	"  --json               print the region as JSON instead of its path\n";

struct create {
	const char *name, *dir;
	uint64_t size;
	uint32_t mode, uid, gid;
	bool json;
};

static int parse_args(int argc, char **argv, struct create *c)
{
	static const struct option options[] = {
		{ "mode", required_argument, NULL, 'm' },
		{ "owner", required_argument, NULL, 'o' },
		{ "dir", required_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ 0 }
	};
	const char *empty;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		empty = tp_empty_option(options, o);
		if (empty)
			return tp_usage(argv[0], TP_EMPTY_OPTION, empty);
		switch (o) {
		case 'm':
			if (!tp_parse_mode(optarg, &c->mode))
				return tp_usage(argv[0], "'%s' is no octal mode like 0660", optarg);
			break;
		case 'o':
			if (!tp_parse_owner(optarg, &c->uid, &c->gid))
				return tp_usage(argv[0], "there is no owner '%s'", optarg);
			break;
		case 'd':
			c->dir = optarg;
			break;
		case 'j':
			c->json = true;
			break;
		default:
			return TP_USAGE;
		}
	}
	if (argc - optind != 2)
		return tp_usage(argv[0], "takes a NAME and a SIZE");
	c->name = argv[optind];
	if (!tp_name_ok(c->name))
		return tp_usage(argv[0], "'%s' is no name: " TP_NAME_RULE, c->name);
	if (!tp_parse_size(argv[optind + 1], &c->size))
		return tp_usage(argv[0], "'%s' is no size like 512M or 4G", argv[optind + 1]);
	if (!c->size || c->size % TELEPAGE_PAGE_SIZE)
		return tp_usage(argv[0], "the size must be a multiple of 4 KiB");
	return TP_OK;
}

int cmd_create(int argc, char **argv)
{
	struct create c = { .mode = 0600 };
	struct tp_region region;
	struct tp_nl *nl;
	int err, status;

	status = parse_args(argc, argv, &c);
	if (status)
		return status;

	/* in this order: a missing module is told as such, not as a failed mount */
	status = tp_open(&nl, argv[0] + strlen("telepage "));
	if (status)
		return status;
	c.dir = tp_dir(c.dir);
	err = tp_mount(c.dir);
	if (err) {
		status = tp_fail("create %s: cannot mount the telepage filesystem at %s: %s%s",
				 c.name, c.dir, strerror(-err),
				 err == -EPERM ? " (it takes CAP_SYS_ADMIN: run it as root)" : "");
		goto out;
	}
	err = tp_region_new(nl, c.name, c.size, c.mode, c.uid, c.gid, &region);
	if (err) {
		status = tp_fail_nl(nl, err,
				    err == -EEXIST ? "telepage list shows it" :
				    err == -ENOMEM ? "take a smaller size" : NULL,
				    "create %s", c.name);
		goto out;
	}
	if (c.json)
		status = tp_json_print(tp_json_region(&region));
	else
		printf("%s/%s\n", c.dir, c.name);
out:
	tp_nl_close(nl);
	return status;
}
