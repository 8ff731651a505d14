// SPDX-License-Identifier: GPL-2.0
/*
 * fake_state.c - the state of all pretended hosts, in one file
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake.h"

static char words[256];

const char *root(void)
{
	const char *r = getenv("TELEPAGE_FAKE");

	if (!r) {
		fprintf(stderr, "TELEPAGE_FAKE is not set\n");
		exit(99);
	}
	return r;
}

const char *self(void)
{
	const char *h = getenv("TELEPAGE_FAKE_HOST");

	return h ? h : "a";
}

int fail(int err, const char *name, const char *why)
{
	snprintf(words, sizeof(words), "%s: %s", name, why);
	return err;
}

/* the state file, locked from load() to save() */

static int lock_fd = -1;
json_t *all;

json_t *sub(json_t *obj, const char *key)
{
	json_t *v = json_object_get(obj, key);

	if (!v) {
		v = json_object();
		json_object_set_new(obj, key, v);
	}
	return v;
}

json_t *host(const char *name)
{
	return sub(all, name);
}

json_t *load(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/lock", root());
	lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	flock(lock_fd, LOCK_EX);
	snprintf(path, sizeof(path), "%s/state.json", root());
	all = json_load_file(path, 0, NULL);
	if (!all)
		all = json_object();
	words[0] = 0;
	return host(self());
}

int save(int ret)
{
	char path[256], tmp[264];

	snprintf(path, sizeof(path), "%s/state.json", root());
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	json_dump_file(all, tmp, JSON_INDENT(1));
	rename(tmp, path);
	json_decref(all);
	all = NULL;
	close(lock_fd);
	return ret;
}

json_int_t num(json_t *obj, const char *key)
{
	return json_integer_value(json_object_get(obj, key));
}

void set(json_t *obj, const char *key, json_int_t v)
{
	json_object_set_new(obj, key, json_integer(v));
}

const char *str(json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

json_t *find(json_t *h, const char *kind, const char *name)
{
	return json_object_get(sub(h, kind), name);
}

json_t *find_link(json_t *h, uint32_t id)
{
	char key[16];

	snprintf(key, sizeof(key), "%u", id);
	return find(h, "links", key);
}

bool flag(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", root(), name);
	return !access(path, F_OK);
}

bool flag_here(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s.%s", name, self());
	return flag(path);
}

/* events: a datagram to every listener of the host */

void emit(const char *to, enum telepage_event kind, const char *region, int link, int lane)
{
	json_t *obj = json_pack("{s:i, s:s, s:i, s:i}", "kind", kind, "region",
				region ? region : "", "link", link, "lane", lane);
	char *text = json_dumps(obj, 0), prefix[64];
	DIR *dir = opendir(root());
	struct dirent *de;
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(prefix, sizeof(prefix), "ev.%s.", to);
	while (dir && (de = readdir(dir))) {
		struct sockaddr_un sa = { .sun_family = AF_UNIX };

		if (strncmp(de->d_name, prefix, strlen(prefix)))
			continue;
		snprintf(sa.sun_path, sizeof(sa.sun_path), "%.60s/%.40s", root(), de->d_name);
		sendto(s, text, strlen(text), MSG_DONTWAIT, (struct sockaddr *)&sa, sizeof(sa));
	}
	if (dir)
		closedir(dir);
	close(s);
	free(text);
	json_decref(obj);
}

const char *tp_nl_error(const struct tp_nl *nl)
{
	return words;
}
