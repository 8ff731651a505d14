// SPDX-License-Identifier: GPL-2.0
/*
 * qmp_ram.c - which of a VM's memory is a region here
 *
 * Looks at the memory back ends under /objects. With x-ignore-shared QEMU
 * leaves out every shared block, so a shared one that is not a region of ours
 * would be silently lost: such a VM is refused.
 *
 * QEMU lists them in no order, and at the destination region N is memory of back end
 * ramN: each has to be in its place, or the guest finds one's content in another.
 */
#include <stdio.h>
#include <stdlib.h>

#include "qmp.h"

struct qmp_ram {
	struct qmp *q;
	unsigned int timeout_ms;	/* of each question */
	ram_fn fn;
	void *arg;
	json_t *backends;		/* [[name, type], ...] */
	size_t at;			/* the one being asked about */
	const char *prop;
	char path[192];
	bool cancelled;
	struct vm_ram ram;
};

static void next_backend(struct qmp_ram *r);

void qmp_ram_cancel(struct qmp_ram *r)
{
	if (!r || r->cancelled)
		return;
	r->cancelled = true;
	json_decref(r->backends);
	loop_free(r);
}

static void finish(struct qmp_ram *r, const char *err)
{
	r->fn(err ? NULL : &r->ram, err, r->arg);
	qmp_ram_cancel(r);
}

static void get(struct qmp_ram *r, const char *prop, qmp_fn fn)
{
	char object[96];

	snprintf(object, sizeof(object), "/objects/%s",
		 json_string_value(json_array_get(json_array_get(r->backends, r->at), 0)));
	r->prop = prop;
	qmp_cmd(r->q, "qom-get", json_pack("{s:s, s:s}", "path", object, "property", prop),
		r->timeout_ms, fn, r);
}

static const char *backend(struct qmp_ram *r)
{
	return json_string_value(json_array_get(json_array_get(r->backends, r->at), 0));
}

static bool is_file(struct qmp_ram *r)
{
	const char *type = json_string_value(json_array_get(json_array_get(r->backends, r->at), 1));

	return !strcmp(type, "child<memory-backend-file>");
}

static void got_size(json_t *ret, const char *err, void *arg)
{
	struct qmp_ram *r = arg;
	struct tp_region region;
	char words[320], nl[200];
	const char *name;
	int e;

	if (err) {
		finish(r, err);
		return;
	}
	name = r->path + strlen(agent.dir) + 1;
	if (r->ram.nr == MOVE_REGIONS_MAX) {
		finish(r, "the VM has more memory back ends than telepage moves");
		return;
	}
	e = tp_region_get(agent.nl, name, &region);
	if (e) {
		finish(r, nl_words(nl, sizeof(nl), e, "region %s", name));
		return;
	}
	if ((uint64_t)json_integer_value(ret) != region.size) {
		snprintf(words, sizeof(words),
			 "memory back end %s has %lld bytes, region %s has %llu: they must be equal",
			 backend(r), (long long)json_integer_value(ret), name,
			 (unsigned long long)region.size);
		finish(r, words);
		return;
	}
	snprintf(r->ram.region[r->ram.nr].name, sizeof(r->ram.region[0].name), "%s", name);
	copy_str(r->ram.region[r->ram.nr].backend, backend(r));
	r->ram.region[r->ram.nr++].size = region.size;
	r->at++;
	next_backend(r);
}

static void got_share(json_t *ret, const char *err, void *arg)
{
	struct qmp_ram *r = arg;
	size_t len = strlen(agent.dir);
	bool share = !err && json_is_true(ret), here;
	char words[320];

	here = r->path[0] && !strncmp(r->path, agent.dir, len) && r->path[len] == '/' &&
	       name_ok(r->path + len + 1);
	if (here && share) {
		get(r, "size", got_size);
		return;
	}
	if (here) {
		snprintf(words, sizeof(words), "memory back end %s maps %s without share=on",
			 backend(r), r->path);
		finish(r, words);
		return;
	}
	if (share) {
		snprintf(words, sizeof(words),
			 "memory back end %s is shared and not a file in %s: it would not be moved",
			 backend(r), agent.dir);
		finish(r, words);
		return;
	}
	/* private memory travels with the device state */
	r->at++;
	next_backend(r);
}

static void got_path(json_t *ret, const char *err, void *arg)
{
	struct qmp_ram *r = arg;

	if (err) {
		finish(r, err);
		return;
	}
	snprintf(r->path, sizeof(r->path), "%s",
		 json_string_value(ret) ? json_string_value(ret) : "");
	get(r, "share", got_share);
}

/* ram2 before ram10 */
static int by_backend(const void *a, const void *b)
{
	const struct vm_region *x = a, *y = b;

	return strverscmp(x->backend, y->backend);
}

static void next_backend(struct qmp_ram *r)
{
	char words[256];

	if (r->at < json_array_size(r->backends)) {
		r->path[0] = 0;
		if (is_file(r))
			get(r, "mem-path", got_path);
		else
			get(r, "share", got_share);
		return;
	}
	if (!r->ram.nr) {
		snprintf(words, sizeof(words),
			 "the VM's RAM is no region: it needs -object memory-backend-file,mem-path=%s/NAME,share=on",
			 agent.dir);
		finish(r, words);
		return;
	}
	qsort(r->ram.region, r->ram.nr, sizeof(r->ram.region[0]), by_backend);
	finish(r, NULL);
}

static void got_objects(json_t *ret, const char *err, void *arg)
{
	struct qmp_ram *r = arg;
	json_t *o;
	size_t i;

	if (err) {
		finish(r, err);
		return;
	}
	json_array_foreach(ret, i, o) {
		const char *name = json_string_value(json_object_get(o, "name"));
		const char *type = json_string_value(json_object_get(o, "type"));

		if (name && type && strlen(name) < 64 &&
		    !strncmp(type, "child<memory-backend-", 21))
			json_array_append_new(r->backends, json_pack("[s,s]", name, type));
	}
	next_backend(r);
}

struct qmp_ram *qmp_find_ram(struct qmp *q, unsigned int timeout_ms, ram_fn fn, void *arg)
{
	struct qmp_ram *r = xcalloc(1, sizeof(*r));

	r->q = q;
	r->timeout_ms = timeout_ms;
	r->fn = fn;
	r->arg = arg;
	r->backends = json_array();
	qmp_cmd(q, "qom-list", json_pack("{s:s}", "path", "/objects"), timeout_ms,
		got_objects, r);
	return r;
}
