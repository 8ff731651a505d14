// SPDX-License-Identifier: GPL-2.0
/*
 * move_probe.c - what a move has to know of the VM before anything is done
 */
#include "move_src.h"

#define CMD_MS		10000

bool msrc_is_vm(const struct msrc *m, const struct vm_ram *ram)
{
	return ram->nr && m->ram.nr && !strcmp(ram->region[0].name, m->ram.region[0].name);
}

static void found_ram(const struct vm_ram *ram, const char *err, void *arg)
{
	struct msrc *m = arg;

	m->ram_finder = NULL;
	if (err) {
		msrc_failed(m, "%s", err);
		return;
	}
	m->ram = *ram;
	msrc_enter(m, SRC_CONNECT);
}

/* hints for the hook at the other side; a QEMU that does not tell is fine */
static void keep_hint(struct msrc *m, const char *key, json_t *ret, const char *of)
{
	json_t *v = of ? json_object_get(ret, of) : ret;

	if (json_is_string(v))
		json_object_set(m->machine, key, v);
}

static void got_machine(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;

	(void)err;
	keep_hint(m, "machine", ret, NULL);
	m->ram_finder = qmp_find_ram(m->qmp, CMD_MS, found_ram, m);
}

static void got_version(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;
	json_t *v = json_object_get(ret, "qemu");

	(void)err;
	if (v)
		json_object_set_new(m->machine, "version", json_sprintf("%d.%d.%d",
			(int)json_integer_value(json_object_get(v, "major")),
			(int)json_integer_value(json_object_get(v, "minor")),
			(int)json_integer_value(json_object_get(v, "micro"))));
	qmp_cmd(m->qmp, "qom-get", json_pack("{s:s, s:s}", "path", "/machine",
					     "property", "type"), CMD_MS, got_machine, m);
}

static void got_uuid(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;

	(void)err;
	keep_hint(m, "uuid", ret, "UUID");
	qmp_cmd(m->qmp, "query-version", NULL, CMD_MS, got_version, m);
}

static void got_name(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;

	(void)err;
	keep_hint(m, "name", ret, "name");
	qmp_cmd(m->qmp, "query-uuid", NULL, CMD_MS, got_uuid, m);
}

static void got_migration(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;
	const char *status = json_string_value(json_object_get(ret, "status"));

	if (err) {
		msrc_failed(m, "%s", err);
		return;
	}
	if (status && (!strcmp(status, "active") || !strcmp(status, "setup") ||
		       !strcmp(status, "device") || !strcmp(status, "cancelling"))) {
		msrc_failed(m, "QEMU is migrating this VM already");
		return;
	}
	m->machine = json_object();
	qmp_cmd(m->qmp, "query-name", NULL, CMD_MS, got_name, m);
}

static void got_status(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;
	const char *status = json_string_value(json_object_get(ret, "status"));

	if (err) {
		msrc_failed(m, "%s", err);
		return;
	}
	m->was_running = json_is_true(json_object_get(ret, "running"));
	if (!m->was_running && (!status || strcmp(status, "paused") != 0)) {
		msrc_failed(m, "the VM is neither running nor paused but '%s'",
			    status ? status : "?");
		return;
	}
	qmp_cmd(m->qmp, "query-migrate", NULL, CMD_MS, got_migration, m);
}

/* ends in SRC_CONNECT or in failure */
void msrc_probe(struct msrc *m)
{
	qmp_cmd(m->qmp, "query-status", NULL, CMD_MS, got_status, m);
}
