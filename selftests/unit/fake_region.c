// SPDX-License-Identifier: GPL-2.0
/*
 * fake_region.c - regions and exports without a kernel: files, and copies of them
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"

/* regions */

static void region_path(const char *h, const char *name, char *path, size_t len)
{
	snprintf(path, len, "%s/%s", str(host(h), "dir"), name);
}

static void copy_file(const char *from, const char *to, off_t offset, size_t size)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	while (size && (n = sendfile(out, in, &offset, size)) > 0)
		size -= n;
	close(in);
	close(out);
}

static bool link_up(json_t *link)
{
	return json_object_size(sub(link, "lanes")) > 0;
}

/*
 * With a file "plans" regions can be held: then nothing is complete before a plan was through
 * with it, or the agent has let go of it.
 */
static bool held_back(json_t *r)
{
	return json_object_get(r, "planned") && !json_is_true(json_object_get(r, "let_go")) &&
	       (json_is_true(json_object_get(r, "held")) ||
		num(r, "planned") < num(r, "size") / 4096);
}

static bool am_worker(void)
{
	char name[16] = "";

	prctl(PR_GET_NAME, name);
	return !strcmp(name, "telepage-plan");
}

/* content is copied already; is it time to say so? */
static void maybe_complete(const char *h, const char *name, json_t *r)
{
	if (num(r, "state") != TELEPAGE_REGION_FILLING || !json_is_true(json_object_get(r, "copied")) ||
	    flag("hold") || held_back(r) || !link_up(find_link(host(h), num(r, "link"))))
		return;
	set(r, "state", TELEPAGE_REGION_LOCAL);
	set(r, "absent", 0);
	json_object_set_new(r, "importing", json_false());
	emit(h, TELEPAGE_EVENT_REGION_COMPLETE, name, 0, 0);
}

static bool export_open(const char *h, json_t *e)
{
	const char *region = str(e, "region");

	return !*region || json_is_true(json_object_get(find(host(h), "regions", region), "frozen"));
}

/* region @name of @h takes everything from the peer's export, if that is open */
static void try_copy(const char *h, const char *name, json_t *r)
{
	json_t *link = find_link(host(h), num(r, "link")), *e;
	const char *peer = str(link, "peer_host"), *key;
	char from[512], to[512];

	if (!*peer || json_is_true(json_object_get(r, "copied")))
		return;
	json_object_foreach(sub(host(peer), "exports"), key, e) {
		if (num(e, "id") != num(r, "export_id") || !export_open(peer, e))
			continue;
		if (*str(e, "region"))
			region_path(peer, str(e, "region"), from, sizeof(from));
		else
			snprintf(from, sizeof(from), "%s", str(e, "file"));
		region_path(h, name, to, sizeof(to));
		copy_file(from, to, num(e, "offset"), num(r, "size"));
		json_object_set_new(r, "copied", json_true());
		set(r, "absent", num(r, "size") / 4096 / 2);
		maybe_complete(h, name, r);
	}
}

/* whoever imports anything may have been waiting for what just changed */
static void try_all(void)
{
	const char *h, *name;
	json_t *hobj, *r;

	json_object_foreach(all, h, hobj)
		json_object_foreach(sub(hobj, "regions"), name, r)
			if (num(r, "state") == TELEPAGE_REGION_FILLING)
				try_copy(h, name, r);
}

static bool mapped(const char *path)
{
	DIR *dir = opendir("/proc");
	struct dirent *de;
	bool found = false;
	char line[1024];

	while (!found && (de = readdir(dir))) {
		char maps[300];
		FILE *f;

		snprintf(maps, sizeof(maps), "/proc/%s/maps", de->d_name);
		if (de->d_name[0] < '0' || de->d_name[0] > '9' || !(f = fopen(maps, "r")))
			continue;
		while (!found && fgets(line, sizeof(line), f)) {
			line[strcspn(line, "\n")] = 0;
			found = strlen(line) > strlen(path) &&
				!strcmp(line + strlen(line) - strlen(path), path);
		}
		fclose(f);
	}
	closedir(dir);
	return found;
}

static void region_out(const char *name, json_t *r, struct tp_region *out)
{
	uint64_t pages = num(r, "size") / 4096;
	char open_flag[128];
	const char *key;
	json_t *e;

	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%s", name);
	out->size = num(r, "size");
	out->id = num(r, "id");
	snprintf(open_flag, sizeof(open_flag), "open.%s", name);
	out->openers = flag(open_flag);
	out->state = num(r, "state");
	out->frozen = json_is_true(json_object_get(r, "frozen"));
	out->absent = num(r, "absent");
	out->resident = pages - out->absent;
	out->importing = json_is_true(json_object_get(r, "importing"));
	out->link = num(r, "link");
	out->export_id = num(r, "export_id");
	out->harvests = num(r, "harvests");
	json_object_foreach(sub(host(self()), "exports"), key, e)
		out->exports += !strcmp(str(e, "region"), name);
	if (json_is_true(json_object_get(r, "copied"))) {
		out->stats.zero = pages / 4;
		out->stats.demand = 7;
		out->stats.push = pages - pages / 4 - 7 - out->absent;
		out->stats.rx_bytes = (out->stats.push + 7) * 4096;
	}
}

int tp_region_new(struct tp_nl *nl, const char *name, uint64_t size, uint32_t mode, uint32_t uid,
		  uint32_t gid, struct tp_region *out)
{
	json_t *h = load(), *r;
	char path[512];
	int fd;

	if (find(h, "regions", name))
		return save(fail(-EEXIST, name, "there is a region already"));
	if (!size || size % 4096)
		return save(fail(-EINVAL, name, "bad size"));
	if (size > 1ULL << 40)
		return save(fail(-ENOMEM, name, "more than the memory of the machine"));
	region_path(self(), name, path, sizeof(path));
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, size))
		return save(-errno);
	close(fd);
	set(h, "last_region", num(h, "last_region") + 1);
	r = json_pack("{s:I, s:I}", "size", (json_int_t)size, "id", num(h, "last_region"));
	json_object_set_new(sub(h, "regions"), name, r);
	if (out)
		region_out(name, r, out);
	return save(0);
}

int tp_region_del(struct tp_nl *nl, const char *name)
{
	json_t *h = load(), *r = find(h, "regions", name);
	struct tp_region out;
	char path[512];

	if (!r)
		return save(fail(-ENOENT, name, "no region"));
	region_out(name, r, &out);
	region_path(self(), name, path, sizeof(path));
	if (out.state == TELEPAGE_REGION_FILLING)
		return save(fail(-EBUSY, name, "is filling"));
	if (out.exports)
		return save(fail(-EBUSY, name, "is exported"));
	if (out.openers)
		return save(fail(-EBUSY, name, "is open"));
	if (mapped(path))
		return save(fail(-EBUSY, name, "is mapped"));
	unlink(path);
	json_object_del(sub(h, "regions"), name);
	emit(self(), TELEPAGE_EVENT_REGION_DEL, name, 0, 0);
	return save(0);
}

int tp_region_get(struct tp_nl *nl, const char *name, struct tp_region *out)
{
	json_t *h = load(), *r = find(h, "regions", name);

	if (flag_here("deaf"))
		return save(fail(-ENOMEM, name, "out of memory"));
	if (!r)
		return save(fail(-ENOENT, name, "no region"));
	maybe_complete(self(), name, r);
	region_out(name, r, out);
	return save(0);
}

int tp_region_dump(struct tp_nl *nl, struct tp_region_list *out)
{
	json_t *list = sub(load(), "regions"), *r;
	const char *name;

	out->v = calloc(json_object_size(list) + 1, sizeof(*out->v));
	out->n = 0;
	json_object_foreach(list, name, r)
		region_out(name, r, &out->v[out->n++]);
	return save(0);
}

void tp_region_list_free(struct tp_region_list *l)
{
	free(l->v);
}

int tp_region_freeze(struct tp_nl *nl, const char *name)
{
	json_t *r = find(load(), "regions", name);

	if (!r)
		return save(fail(-ENOENT, name, "no region"));
	json_object_set_new(r, "frozen", json_true());
	try_all();
	return save(0);
}

int tp_region_thaw(struct tp_nl *nl, const char *name)
{
	json_t *r = find(load(), "regions", name);

	if (!r)
		return save(fail(-ENOENT, name, "no region"));
	if (flag("nothaw"))
		return save(fail(-ENOMEM, name, "no memory"));
	json_object_set_new(r, "frozen", json_false());
	return save(0);
}

int tp_region_dirty(struct tp_nl *nl, const char *name, uint64_t start, uint64_t count, bool clear,
		    uint8_t *bitmap)
{
	json_t *r = find(load(), "regions", name);

	if (!r)
		return save(fail(-ENOENT, name, "no region"));
	/* nobody has written to it */
	memset(bitmap, 0, (count + 7) / 8);
	set(r, "harvests", num(r, "harvests") + clear);
	return save(0);
}

/* with a file "touched": 20 pages were needed, from the fourth on */
int tp_region_touched(struct tp_nl *nl, const char *name, uint64_t start,
		      struct telepage_run *runs, size_t *n, uint64_t *nr)
{
	*nr = flag("touched") ? 1 : 0;
	*n = *nr && !start ? 1 : 0;
	if (*n)
		runs[0] = (struct telepage_run){ .start = 3, .count = 20 };
	return 0;
}

int tp_region_replay(struct tp_nl *nl, const char *name, const struct telepage_run *runs,
		     size_t n)
{
	json_t *r = find(load(), "regions", name);

	if (!r)
		return save(fail(-ENOENT, name, "no region"));
	set(r, "replayed", runs[0].start * 1000 + runs[0].count);
	return save(0);
}

int tp_region_replay_local(struct tp_nl *nl, const char *name, const struct telepage_run *runs,
			   size_t n)
{
	json_t *r = find(load(), "regions", name);
	char list[256] = "";

	if (!r)
		return save(fail(-ENOENT, name, "no region"));
	for (size_t i = 0, at = 0; i < n && at < sizeof(list); i++)
		at += snprintf(list + at, sizeof(list) - at, "%s%llu+%llu", i ? " " : "",
			       (unsigned long long)runs[i].start,
			       (unsigned long long)runs[i].count);
	json_object_set_new(r, "first", json_string(list));
	return save(0);
}

/* with a file "used": the second sample of a region has pages 40 to 49, others 7 to 9 */
int tp_region_sample(struct tp_nl *nl, const char *name, uint32_t every, uint32_t seed)
{
	json_t *r = find(load(), "regions", name);

	if (!r)
		return save(fail(-ENOENT, name, "no region"));
	if (every && flag("nosample"))
		return save(fail(-ENOMEM, name, "no memory"));
	set(r, "every", every);
	set(r, "samples", every ? num(r, "samples") + 1 : 0);
	return save(0);
}

int tp_region_sampled(struct tp_nl *nl, const char *name, uint64_t start,
		      struct telepage_run *runs, size_t *n, struct tp_sample *s)
{
	json_t *r = find(load(), "regions", name);
	struct telepage_run run = { .start = 7, .count = 3 };

	if (!r)
		return save(fail(-ENOENT, name, "no region"));
	if (!num(r, "every"))
		return save(fail(-ENODATA, name, "no sample"));
	if (num(r, "samples") == 2)
		run = (struct telepage_run){ .start = 40, .count = 10 };
	*n = flag("used") && start <= run.start;
	if (*n)
		runs[0] = run;
	*s = (struct tp_sample){
		.every = num(r, "every"), .sampled = num(r, "size") / 4096 / num(r, "every"),
		.touched = *n ? run.count : 0, .faults = *n ? run.count + 2 : 0,
	};
	return save(0);
}

int tp_region_import(struct tp_nl *nl, const char *name, uint32_t link, uint32_t export_id,
		     bool push)
{
	json_t *h = load(), *r = find(h, "regions", name);

	if (!r || !find_link(h, link))
		return save(fail(-ENOENT, name, "no region or no such link"));
	if (num(r, "state") || json_is_true(json_object_get(r, "copied")))
		return save(fail(-EBUSY, name, "imports already or has content"));
	set(r, "state", TELEPAGE_REGION_FILLING);
	set(r, "absent", num(r, "size") / 4096);
	set(r, "link", link);
	set(r, "export_id", export_id);
	json_object_set_new(r, "importing", json_true());
	try_copy(self(), name, r);
	return save(0);
}

int tp_region_import_live(struct tp_nl *nl, const char *name, uint32_t link, uint32_t export_id)
{
	return tp_region_import(nl, name, link, export_id, true);
}

int tp_region_origin(struct tp_nl *nl, const char *name, int fd, const struct tp_extent *extents,
		     size_t nr, bool replace, bool fill)
{
	load();
	return save(fail(-EOPNOTSUPP, name, "no files here"));
}

int tp_plan_hold(struct tp_nl *nl, const char *name)
{
	json_t *r = find(load(), "regions", name);

	if (!r || !flag("plans"))
		return save(fail(-EOPNOTSUPP, name, "no files here"));
	json_object_set_new(r, "held", json_true());
	set(r, "planned", 0);
	return save(0);
}

int tp_plan_planned(struct tp_nl *nl, const char *name, uint64_t pages)
{
	json_t *r = find(load(), "regions", name);

	if (r && json_object_get(r, "planned")) {
		set(r, "planned", pages);
		json_object_set_new(r, "let_go", json_boolean(!am_worker()));
	}
	return save(r ? 0 : fail(-ENOENT, name, "no region"));
}

int tp_plan_drop(struct tp_nl *nl, const char *name, const struct tp_extent *runs, size_t nr)
{
	return 0;
}

int tp_plan_ready(struct tp_nl *nl, const char *name)
{
	json_t *r = find(load(), "regions", name);

	if (!r || !json_is_true(json_object_get(r, "held")))
		return save(fail(r ? -EINVAL : -ENOENT, name, "is not held"));
	json_object_set_new(r, "held", json_false());
	json_object_set_new(r, "ready", json_true());
	return save(0);
}

int tp_region_abandon(struct tp_nl *nl, const char *name)
{
	json_t *r = find(load(), "regions", name);

	if (!r)
		return save(fail(-ENOENT, name, "no region"));
	if (num(r, "state") != TELEPAGE_REGION_FILLING)
		return save(fail(-EINVAL, name, "nothing is absent"));
	set(r, "state", TELEPAGE_REGION_ABANDONED);
	json_object_set_new(r, "importing", json_false());
	emit(self(), TELEPAGE_EVENT_REGION_ABANDONED, name, 0, 0);
	return save(0);
}

/* exports */

static void export_out(const char *name, json_t *e, struct tp_export *out)
{
	json_t *l;
	size_t i;

	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%s", name);
	snprintf(out->region, sizeof(out->region), "%s", str(e, "region"));
	snprintf(out->peer, sizeof(out->peer), "%s", str(e, "peer"));
	out->id = num(e, "id");
	out->offset = num(e, "offset");
	out->size = num(e, "size");
	out->open = export_open(self(), e);
	out->wanted = flag("wanted");
	out->round = num(e, "round");
	out->begun = out->round;
	/* with a file "rewritten" the first round leaves pages, and the second none */
	out->push = flag("rewritten") ? out->round * 1000 : 0;
	out->rewritten = flag("rewritten") && out->round == 1 ? 100 : 0;
	out->links = calloc(json_array_size(json_object_get(e, "links")) + 1, sizeof(uint32_t));
	json_array_foreach(json_object_get(e, "links"), i, l)
		out->links[out->nr_links++] = json_integer_value(l);
}

static int export_add(json_t *h, const char *name, json_t *e)
{
	if (find(h, "exports", name)) {
		json_decref(e);
		return fail(-EEXIST, name, "there is an export already");
	}
	set(h, "last_export", num(h, "last_export") + 1);
	set(e, "id", num(h, "last_export") + 40);
	json_object_set_new(e, "links", json_array());
	json_object_set_new(sub(h, "exports"), name, e);
	return 0;
}

static int export_region(const char *name, const char *peer, const char *region)
{
	json_t *h = load(), *r = find(h, "regions", region);

	if (!r)
		return save(fail(-ENOENT, region, "no region"));
	return save(export_add(h, name, json_pack("{s:s, s:s, s:I}", "region", region,
						  "peer", peer, "size", num(r, "size"))));
}

static int export_fd(const char *name, const char *peer, int fd, uint64_t offset, uint64_t size)
{
	json_t *h = load();
	char proc[64], path[512] = "";
	struct stat st;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (readlink(proc, path, sizeof(path) - 1) < 0 || fstat(fd, &st))
		return save(-errno);
	return save(export_add(h, name, json_pack("{s:s, s:s, s:I, s:I}", "file", path,
		"peer", peer, "offset", (json_int_t)offset,
		"size", size ? (json_int_t)size : (json_int_t)(st.st_size - offset))));
}

int tp_export_new_for(struct tp_nl *nl, const char *name, const char *peer, const char *region,
		      int fd, uint64_t offset, uint64_t size)
{
	return region ? export_region(name, peer, region) :
	       export_fd(name, peer, fd, offset, size);
}

int tp_export_new_region(struct tp_nl *nl, const char *name, const char *region)
{
	return export_region(name, "", region);
}

int tp_export_new_fd(struct tp_nl *nl, const char *name, int fd, uint64_t offset, uint64_t size)
{
	return export_fd(name, "", fd, offset, size);
}

int tp_export_new_pid(struct tp_nl *nl, const char *name, const char *peer, uint32_t pid,
		      int mem_fd, const struct tp_range *ranges, size_t n)
{
	return -EOPNOTSUPP;
}

int tp_export_del(struct tp_nl *nl, const char *name)
{
	json_t *h = load();

	if (!find(h, "exports", name))
		return save(fail(-ENOENT, name, "no export"));
	json_object_del(sub(h, "exports"), name);
	return save(0);
}

int tp_export_get(struct tp_nl *nl, const char *name, struct tp_export *out)
{
	json_t *e = find(load(), "exports", name);

	if (!e)
		return save(fail(-ENOENT, name, "no export"));
	export_out(name, e, out);
	return save(0);
}

void tp_export_clear(struct tp_export *e)
{
	free(e->links);
}

int tp_export_dump(struct tp_nl *nl, struct tp_export_list *out)
{
	json_t *list = sub(load(), "exports"), *e;
	const char *name;

	out->v = calloc(json_object_size(list) + 1, sizeof(*out->v));
	out->n = 0;
	json_object_foreach(list, name, e)
		export_out(name, e, &out->v[out->n++]);
	return save(0);
}

void tp_export_list_free(struct tp_export_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->v[i].links);
	free(l->v);
}

int tp_export_serve(struct tp_nl *nl, const char *name, uint32_t link, uint32_t *export_id)
{
	json_t *h = load(), *e = find(h, "exports", name);

	if (!e || !find_link(h, link))
		return save(fail(-ENOENT, name, "no export or no such link"));
	json_array_append_new(json_object_get(e, "links"), json_integer(link));
	*export_id = num(e, "id");
	return save(0);
}

/* a line "START+COUNT ..." in $TELEPAGE_FAKE/order for each */
int tp_export_order(struct tp_nl *nl, const char *name, const struct telepage_run *runs, size_t n)
{
	json_t *e = find(load(), "exports", name);
	char path[256];
	FILE *f;

	if (!e)
		return save(fail(-ENOENT, name, "no export"));
	snprintf(path, sizeof(path), "%s/order", root());
	f = fopen(path, "a");
	for (size_t i = 0; f && i < n; i++)
		fprintf(f, "%llu+%llu%c", (unsigned long long)runs[i].start,
			(unsigned long long)runs[i].count, i + 1 < n ? ' ' : '\n');
	if (f)
		fclose(f);
	return save(0);
}

/* all is pushed and heard of at once, and nobody writes */
int tp_export_round(struct tp_nl *nl, const char *name, struct tp_export *out)
{
	json_t *e = find(load(), "exports", name);

	if (!e)
		return save(fail(-ENOENT, name, "no export"));
	json_object_set_new(e, "round", json_integer(num(e, "round") + 1));
	export_out(name, e, out);
	return save(0);
}

/* the filesystem */

const char *tp_dir(const char *opt)
{
	const char *env = getenv(TP_DIR_ENV);

	return opt ? opt : env ? env : TP_DEFAULT_DIR;
}

int tp_mount(const char *dir)
{
	json_object_set_new(load(), "dir", json_string(dir));
	return save(mkdir(dir, 0755) && errno != EEXIST ? -errno : 0);
}

/* What was attached is one line of JSON in a file, for tests to compare. */
int tp_uffd_attach(struct tp_nl *nl, const char *region, int fd, uint32_t pid, int memfd, bool fill,
		   const struct tp_uffd_range *ranges, size_t nr_ranges)
{
	json_t *o = json_pack("{s:b, s:i, s:b, s:[]}", "fd", fcntl(fd, F_GETFD) >= 0, "pid",
			      (int)pid, "fill", fill, "ranges");
	char path[512];
	int err;

	for (size_t i = 0; i < nr_ranges; i++)
		json_array_append_new(json_object_get(o, "ranges"),
				      json_pack("[I, I, I, i]", (json_int_t)ranges[i].addr,
						(json_int_t)ranges[i].len,
						(json_int_t)ranges[i].offset,
						(int)ranges[i].page_size));
	snprintf(path, sizeof(path), "%s/attached.%s", root(), region);
	err = json_dump_file(o, path, JSON_COMPACT | JSON_SORT_KEYS) ? -EIO : 0;
	json_decref(o);
	return err;
}

int tp_uffd_detach(struct tp_nl *nl, const char *region)
{
	return -EOPNOTSUPP;
}

int tp_uffd_get(struct tp_nl *nl, const char *region, struct tp_uffd *out)
{
	return -ENOENT;
}

int tp_uffd_dump(struct tp_nl *nl, struct tp_uffd_list *out)
{
	out->v = NULL;
	out->n = 0;
	return 0;
}

void tp_uffd_list_free(struct tp_uffd_list *l)
{
}
