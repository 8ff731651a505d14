// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_create.c - make a region
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "image.h"
#include "parse.h"
#include "tojson.h"

const char cmd_create_usage[] =
	"Usage: telepage create NAME SIZE [OPTIONS]\n"
	"       telepage create NAME [SIZE] --image FILE [OPTIONS]\n\n"
	"Makes a region of SIZE bytes (suffixes K, M, G, T, P, E: 1024 each), all of it zero,\n"
	"and prints the path of its file. Mounts the filesystem if need be.\n\n"
	"  --image FILE         its content is that of FILE, a memory image, which is read\n"
	"                       as pages are touched, and in the background; it must not\n"
	"                       change until the region is complete\n"
	"  --no-fill            with --image: only pages that are touched\n"
	"  --mode MODE          permissions of the file, octal (default 0600)\n"
	"  --owner UID[:GID]    owner of the file, numbers or names (default root)\n"
	"  --dir DIR            where the filesystem is mounted\n"
	"                       (default $TELEPAGE_DIR, else /run/telepage)\n"
	"  --json               print the region as JSON instead of its path\n";

struct create {
	const char *name, *dir, *image;
	uint64_t size;
	uint32_t mode, uid, gid;
	bool json, no_fill;
};

static int parse_args(int argc, char **argv, struct create *c)
{
	static const struct option options[] = {
		{ "mode", required_argument, NULL, 'm' },
		{ "owner", required_argument, NULL, 'o' },
		{ "dir", required_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ "image", required_argument, NULL, 'i' },
		{ "no-fill", no_argument, NULL, 'n' },
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
		case 'i':
			c->image = optarg;
			break;
		case 'n':
			c->no_fill = true;
			break;
		default:
			return TP_USAGE;
		}
	}
	if (c->no_fill && !c->image)
		return tp_usage(argv[0], "--no-fill goes with --image");
	if (argc - optind != 2 && !(c->image && argc - optind == 1))
		return tp_usage(argv[0], "takes a NAME and a SIZE");
	c->name = argv[optind];
	if (!tp_name_ok(c->name))
		return tp_usage(argv[0], "'%s' is no name: " TP_NAME_RULE, c->name);
	if (argc - optind == 1)
		return TP_OK;
	if (!tp_parse_size(argv[optind + 1], &c->size))
		return tp_usage(argv[0], "'%s' is no size like 512M or 4G", argv[optind + 1]);
	if (!c->size || c->size % TELEPAGE_PAGE_SIZE)
		return tp_usage(argv[0], "the size must be a multiple of 4 KiB, and not 0");
	return TP_OK;
}

int cmd_create(int argc, char **argv)
{
	struct create c = { .mode = 0600 };
	struct tp_region region;
	struct image image = { .fd = -1 };
	struct tp_nl *nl;
	int err, status;

	status = parse_args(argc, argv, &c);
	if (status)
		return status;
	if (c.image) {
		status = image_open(&image, c.image, &c.size);
		if (status)
			return status;
	}

	/* in this order: a missing module is told as such, not as a failed mount */
	status = tp_open(&nl, argv[0] + strlen("telepage "));
	if (status) {
		image_close(&image);
		return status;
	}
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
	if (c.image) {
		err = tp_region_origin(nl, c.name, image.fd, image.v, image.n, false, !c.no_fill);
		if (err) {
			status = tp_fail_nl(nl, err, NULL, "create %s: %s", c.name, c.image);
			tp_region_del(nl, c.name);
			goto out;
		}
		tp_region_get(nl, c.name, &region);
	}
	if (c.json)
		status = tp_json_print(tp_json_region(&region));
	else
		printf("%s/%s\n", c.dir, c.name);
out:
	image_close(&image);
	tp_nl_close(nl);
	return status;
}
