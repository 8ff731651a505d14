// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_images.c - files of this host that may have pages of a VM
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "fmt.h"
#include "images.h"
#include "local.h"
#include "oneshot.h"
#include "origin.h"
#include "parse.h"
#include "progress.h"
#include "table.h"
#include "tojson.h"

const char cmd_images_usage[] =
	"Usage: telepage images [list] [--group GROUP | --vm VM] [--json] [--socket PATH]\n"
	"       telepage images add FILE {--group GROUP | --vm VM} [--name NAME]\n"
	"       telepage images remove NAME... {--group GROUP | --vm VM} [--kind kept|disk]\n"
	"                       [--yes]\n"
	"       telepage images index [NAME {--group GROUP | --vm VM}]\n\n"
	"Files of this host in which pages of a VM that comes here are found, so that they need\n"
	"not cross the network: memory images that were kept, and disk or base images that were\n"
	"registered. A GROUP is a tenant: its images are for its own VMs only. A VM without a\n"
	"group has images of its own, which are for nobody else, whatever it is called.\n\n"
	"  list     what there is; index \"stale\": the file has changed since, \"missing\": it is\n"
	"           gone, \"old\": an older telepage has kept it, and it is not used; and on a\n"
	"           terminal how much kept images take and may, if an agent runs\n"
	"  add      register FILE, a raw or qcow2 image or a block device, as NAME (default:\n"
	"           as the file is called); it stays where it is\n"
	"  remove   forget what was registered, delete what was kept\n"
	"  index    index now what has no valid index, or NAME anew; the agent does that in\n"
	"           the background, too\n\n"
	"  --group GROUP   the tenant\n"
	"  --vm VM         the VM (or imported region) VM, which has no group\n"
	"  --name NAME     what FILE is called here\n"
	"  --kind KIND     kept or disk: which, when NAME is both\n"
	"  --yes           do not ask, though memory images are deleted; needed for that when\n"
	"                  there is no terminal to ask on\n"
	"  --json          one JSON object\n"
	"  --socket PATH   of the agent that keeps images, default " TP_AGENT_SOCKET "\n"
	"  --dir DIR       where the images are, default " IMAGES_DIR "\n";

#define ANSWER_S	5		/* an agent's, who has little to look up */
#define LIST_HINT	"(telepage images list shows what there is)"

/* options of all steps; which of them a step takes is its business */
struct images_opts {
	const char *dir, *name, *socket;
	const char *group, *vm;		/* one of them, or neither */
	const char *whose;		/* what they come to (group.h), or NULL */
	char buf[GROUP_LEN];		/* for that */
	unsigned int kinds;		/* all of them, if it was not said */
	bool yes, json;
};

/* for words about what was asked for */
static const char *whose_words(const struct images_opts *o)
{
	static char words[TELEPAGE_NAME_MAX + 32];

	snprintf(words, sizeof(words), o->group ? "group %s" : "VM %s, without a group,",
		 o->group ? o->group : o->vm);
	return words;
}

static const char *index_state(const struct images_entry *e)
{
	if (e->old)
		return "old";
	if (e->err)
		return e->err == -ENOENT ? "missing" : "-";
	return e->indexed ? "yes" : e->stale ? "stale" : "no";
}

/* --- list --------------------------------------------------------------------- */

/* what kept images take, and what they may */
struct kept {
	uint64_t bytes, budget;
	bool known;			/* the budget is */
	char *dir;
};

static int got_budget(json_t *msg, void *arg)
{
	json_t *done = json_object_get(msg, "done");
	const char *dir = json_string_value(json_object_get(done, "dir"));
	struct kept *k = arg;

	k->known = dir && !strcmp(dir, k->dir);
	k->budget = json_integer_value(json_object_get(done, "budget"));
	return TP_OK;
}

static uint64_t kept_bytes(const struct images_entry *v, size_t n)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += v[i].kept ? v[i].bytes : 0;
	return bytes;
}

/*
 * Of all groups, of which @v are those that were asked for; without an agent, or with one
 * that has another store, nobody knows the budget.
 */
static void look_at_kept(const struct images_opts *o, const struct images_entry *v, size_t n,
			 struct kept *k)
{
	struct images_entry *all;
	size_t nr;

	*k = (struct kept){ .dir = realpath(o->dir, NULL) };
	/* not there yet */
	if (!k->dir)
		k->dir = xstrdup(o->dir);
	if (!o->whose) {
		k->bytes = kept_bytes(v, n);
	} else if (!images_list(o->dir, NULL, &all, &nr)) {
		/* what cannot be listed was told of already */
		k->bytes = kept_bytes(all, nr);
		images_free(all, nr);
	}
	/* one that does not answer keeps nobody from seeing what there is */
	agent_ask(o->socket, json_pack("{s:s}", "cmd", "images"), ANSWER_S, got_budget, k);
	free(k->dir);
}

static void show_kept(const struct kept *k)
{
	char bytes[TP_FMT_LEN], budget[TP_FMT_LEN];

	tp_fmt_size(bytes, sizeof(bytes), k->bytes);
	tp_fmt_size(budget, sizeof(budget), k->budget);
	if (!k->known)
		printf("\nkept images take %s; no agent tells how much they may\n", bytes);
	else if (!k->budget)
		printf("\nkept images take %s; none is kept any more (--keep-images of the agent)\n",
		       bytes);
	else
		printf("\nkept images take %s of %s (--keep-images of the agent)\n", bytes,
		       budget);
}

static int show_json(const struct images_entry *v, size_t n, const struct kept *k)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct images_entry *e = &v[i];
		json_t *o = json_pack("{s:s?, s:s?, s:s, s:s}", "group", group_name(e->group),
				      "vm", group_own(e->group), "name", e->name,
				      "kind", e->kept ? "kept" : "disk");

		/* a path is bytes, and may be no UTF-8 */
		if (json_object_set_new(o, "path", json_string(e->path)))
			json_object_set_new(o, "path", json_null());
		json_object_set_new(o, "size", e->err ? json_null() : json_integer(e->size));
		json_object_set_new(o, "bytes", e->err ? json_null() : json_integer(e->bytes));
		json_object_set_new(o, "time", e->err ? json_null() : json_integer(e->when));
		json_object_set_new(o, "index", e->err ? json_null() : json_string(index_state(e)));
		json_object_set_new(o, "error",
				    e->err || e->old ? json_string(images_error(e)) : json_null());
		json_array_append_new(a, o);
	}
	return tp_json_print(json_pack("{s:o, s:{s:I, s:o}}", "images", a, "kept",
				       "bytes", (json_int_t)k->bytes, "budget",
				       k->known ? json_integer(k->budget) : json_null()));
}

static void show(const struct images_entry *v, size_t n)
{
	struct tp_table t = { .columns = 8, .right = 1 << 3 | 1 << 4 | 1 << 5, .whole = true };
	time_t now = time(NULL);

	if (!n) {
		puts("no images");
		return;
	}
	tp_table_row(&t, (const char *[]){ "GROUP", "NAME", "KIND", "SIZE", "ON DISK", "AGE",
					   "INDEX", "FILE" });
	for (size_t i = 0; i < n; i++) {
		const struct images_entry *e = &v[i];
		char size[TP_FMT_LEN] = "-", bytes[TP_FMT_LEN] = "-", age[TP_FMT_LEN] = "-";
		char group[GROUP_TEXT_LEN], *file;
		bool tell = e->old || (e->err && e->err != -ENOENT);

		if (!e->err) {
			tp_fmt_size(size, sizeof(size), e->size);
			tp_fmt_size(bytes, sizeof(bytes), e->bytes);
			tp_fmt_left(age, sizeof(age), now > e->when ? now - e->when : 0);
		}
		/* that it is missing is said already */
		if (asprintf(&file, "%s%s%s", e->path, tell ? ": " : "",
			     tell ? images_error(e) : "") < 0)
			abort();
		tp_table_row(&t, (const char *[]){ group_text(group, e->group), e->name,
						   e->kept ? "kept" : "disk", size, bytes, age,
						   index_state(e), file });
		free(file);
	}
	tp_table_print(&t, stdout);
}

/* the words for a store that cannot be read or written */
static int fail_dir(const struct images_opts *o, const char *what, int err)
{
	return tp_fail("images %s: %s: %s%s", what, o->dir, strerror(-err),
		       err == -EACCES || err == -EPERM ? " (run it as root)" : "");
}

static int do_list(const struct images_opts *o, int argc, char **argv)
{
	struct images_entry *v;
	bool tells = o->json || isatty(STDOUT_FILENO);
	int err, status = TP_OK;
	struct kept kept = { 0 };
	size_t n;

	(void)argv;
	if (argc)
		return tp_usage("telepage images", "list takes no names");
	err = images_list(o->dir, o->whose, &v, &n);
	if (err)
		return fail_dir(o, "list", err);
	if (tells)
		look_at_kept(o, v, n, &kept);
	if (o->json)
		status = show_json(v, n, &kept);
	else
		show(v, n);
	if (tells && !o->json)
		show_kept(&kept);
	images_free(v, n);
	return status;
}

/* --- add, remove ------------------------------------------------------------------- */

static int do_add(const struct images_opts *o, int argc, char **argv)
{
	const char *file, *name;
	int err;

	if (argc != 1 || !o->whose)
		return tp_usage("telepage images", "add takes a FILE and --group or --vm");
	file = argv[0];
	name = strrchr(file, '/');
	name = o->name ? o->name : name ? name + 1 : file;
	if (!tp_name_ok(name))
		return tp_usage("telepage images", "'%s' is no name, give one with --name: "
				TP_NAME_RULE, name);
	/* before a store is made */
	err = images_can_add(file);
	switch (err) {
	case 0:
		break;
	case -ELOOP:
	case -EINVAL:
		return tp_fail("images add: %s: is no path that can be registered", file);
	default:
		return tp_fail("images add: %s: %s", file, origin_error(err));
	}
	err = images_add(o->dir, o->whose, name, file);
	if (err == -EEXIST)
		return tp_fail("images add: %s has another file as %s (give a --name)",
			       whose_words(o), name);
	return err ? fail_dir(o, "add", err) : TP_OK;
}

static unsigned int kind_of(const struct images_entry *e)
{
	return e->kept ? IMAGES_KEPT : IMAGES_DISK;
}

/* is what @name says there, and one thing only? @bytes of kept images go */
static int would_delete(const struct images_opts *o, const struct images_entry *v, size_t n,
			const char *name, uint64_t *bytes)
{
	unsigned int found = 0;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].name, name) != 0 || !(o->kinds & kind_of(&v[i])))
			continue;
		found |= kind_of(&v[i]);
		*bytes += v[i].kept ? v[i].bytes : 0;
	}
	if (found == IMAGES_ALL)
		return tp_fail("images remove: %s has a kept and a registered %s (say --kind kept or --kind disk)",
			       whose_words(o), name);
	if (found)
		return TP_OK;
	return tp_fail("images remove: %s has no %s%s " LIST_HINT, whose_words(o), name,
		       o->kinds == IMAGES_KEPT ? " that was kept" :
		       o->kinds == IMAGES_DISK ? " that is a disk" : "");
}

/* everything is there, and if memory is deleted that is meant */
static int confirm(const struct images_opts *o, int argc, char **argv)
{
	struct images_entry *v;
	char size[TP_FMT_LEN];
	int err, status = TP_OK;
	uint64_t all = 0;
	size_t n;

	err = images_list(o->dir, o->whose, &v, &n);
	if (err)
		return fail_dir(o, "remove", err);
	for (int i = 0; status == TP_OK && i < argc; i++)
		status = would_delete(o, v, n, argv[i], &all);
	images_free(v, n);
	if (status || !all || o->yes)
		return status;
	if (!isatty(STDIN_FILENO))
		return tp_usage("telepage images", "needs --yes to delete memory images when there "
				"is no terminal to ask on");
	fprintf(stderr, "%s of kept memory images are deleted. Type yes: ",
		tp_fmt_size(size, sizeof(size), all));
	if (!tp_confirmed())
		return tp_fail("images remove: not confirmed, nothing was done");
	return TP_OK;
}

static int do_remove(const struct images_opts *o, int argc, char **argv)
{
	int err, status;

	if (!argc || !o->whose)
		return tp_usage("telepage images", "remove takes names and --group or --vm");
	for (int i = 0; i < argc; i++)
		if (!tp_name_ok(argv[i]))
			return tp_usage("telepage images", "'%s' is no name: " TP_NAME_RULE,
					argv[i]);
	status = confirm(o, argc, argv);
	for (int i = 0; status == TP_OK && i < argc; i++) {
		err = images_remove(o->dir, o->whose, argv[i], o->kinds);
		/* somebody else, or the same name twice */
		if (err && err != -ENOENT)
			status = fail_dir(o, "remove", err);
	}
	return status;
}

/* --- index ------------------------------------------------------------------------- */

static volatile sig_atomic_t stopped_by;

/* a second one ends it at once; what is left over then goes the next time */
static void stop(int sig)
{
	stopped_by = sig;
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = stop, .sa_flags = SA_RESETHAND | SA_RESTART }, was;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (!sigaction(signals[i], NULL, &was) && was.sa_handler != SIG_IGN)
			sigaction(signals[i], &sa, NULL);
}

static bool progress(uint64_t done, uint64_t total, void *arg)
{
	tp_progress_update(arg, done, total, 0);
	return !stopped_by;
}

static int index_one(const char *dir, const struct images_entry *e)
{
	char label[GROUP_TEXT_LEN + TELEPAGE_NAME_MAX + 2], group[GROUP_TEXT_LEN];
	struct tp_progress p;
	int fd = images_open(e, NULL), err;

	if (fd < 0)
		return tp_fail("images index: %s: %s", e->path,
			       e->err || e->old ? images_error(e) : origin_error(fd));
	snprintf(label, sizeof(label), "%s/%s", group_text(group, e->group), e->name);
	tp_progress_init(&p, stderr, label);
	p.no_demand = true;
	err = index_build(fd, e->index, NULL, progress, &p);
	if (!err)
		images_indexed(dir, e, fd);
	close(fd);
	tp_progress_finish(&p, !err);
	if (!err)
		return TP_OK;
	if (err == -ECANCELED)
		return TP_FAILED;
	if (err == -ESTALE)
		return tp_fail("images index: %s is written to (index it when nobody uses it)",
			       e->path);
	if (err == -EBUSY)
		return tp_fail("images index: %s is being indexed already", e->path);
	if (err == -EEXIST)
		return tp_fail("images index: %s (or that with .tmp) is there and is no index: move it away",
			       e->index);
	return tp_fail("images index: %s, of %s: %s", e->index, e->path, strerror(-err));
}

static int do_index(const struct images_opts *o, int argc, char **argv)
{
	const char *name = argc ? argv[0] : NULL;
	struct images_entry *v;
	int err, status = TP_OK;
	bool found = false;
	size_t n;

	if (argc > 1 || (argc && !o->whose))
		return tp_usage("telepage images", "index takes one NAME and --group or --vm, or "
				"nothing");
	if (name && !tp_name_ok(name))
		return tp_usage("telepage images", "'%s' is no name: " TP_NAME_RULE, name);
	images_sweep(o->dir);
	err = images_list(o->dir, o->whose, &v, &n);
	if (err)
		return fail_dir(o, "index", err);
	catch_signals();
	/* one that fails does not keep the others from it */
	for (size_t i = 0; i < n && !stopped_by; i++) {
		index_sweep(v[i].index);
		if (name ? strcmp(v[i].name, name) != 0 : v[i].indexed || v[i].old)
			continue;
		found = true;
		if (index_one(o->dir, &v[i]))
			status = TP_FAILED;
	}
	images_free(v, n);
	/* who waits for us is to see what has ended us */
	if (stopped_by) {
		signal(stopped_by, SIG_DFL);
		raise(stopped_by);
	}
	if (name && !found)
		return tp_fail("images index: %s has no %s " LIST_HINT, whose_words(o), name);
	return status;
}

/* ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	int (*fn)(const struct images_opts *o, int argc, char **argv);
	const char *options;		/* of those that not all of them take */
} steps[] = {
	{ "list", do_list, "js" },
	{ "add", do_add, "n" },
	{ "remove", do_remove, "yk" },
	{ "index", do_index, "" },
};

#define NR_STEPS	(sizeof(steps) / sizeof(steps[0]))

static int parse_args(int argc, char **argv, struct images_opts *o, char *given)
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "group", required_argument, NULL, 'g' },
		{ "vm", required_argument, NULL, 'v' },
		{ "name", required_argument, NULL, 'n' },
		{ "kind", required_argument, NULL, 'k' },
		{ "socket", required_argument, NULL, 's' },
		{ "yes", no_argument, NULL, 'y' },
		{ "json", no_argument, NULL, 'j' },
		{ 0 }
	};
	const char *empty;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		empty = tp_empty_option(options, c);
		if (empty)
			return tp_usage(argv[0], TP_EMPTY_OPTION, empty);
		switch (c) {
		case 'd': o->dir = optarg; break;
		case 'g': o->group = optarg; break;
		case 'v': o->vm = optarg; break;
		case 'n': o->name = optarg; break;
		case 'k':
			o->kinds = !strcmp(optarg, "kept") ? IMAGES_KEPT :
				   !strcmp(optarg, "disk") ? IMAGES_DISK : 0;
			if (!o->kinds)
				return tp_usage(argv[0], "--kind is kept or disk, no '%s'", optarg);
			break;
		case 's': o->socket = optarg; break;
		case 'y': o->yes = true; break;
		case 'j': o->json = true; break;
		default: return TP_USAGE;
		}
		if (strchr("nyjks", c) && !strchr(given, c))
			given[strlen(given)] = (char)c;
	}
	if (o->group && !tp_name_ok(o->group))
		return tp_usage(argv[0], "'%s' is no name: " TP_NAME_RULE, o->group);
	if (o->vm && !tp_name_ok(o->vm))
		return tp_usage(argv[0], "'%s' is no name: " TP_NAME_RULE, o->vm);
	if (o->group && o->vm)
		return tp_usage(argv[0], "--vm is a VM that has no group, so not both");
	if (o->name && !tp_name_ok(o->name))
		return tp_usage(argv[0], "'%s' is no name: " TP_NAME_RULE, o->name);
	return TP_OK;
}

int cmd_images(int argc, char **argv)
{
	struct images_opts o = {
		.dir = IMAGES_DIR, .socket = TP_AGENT_SOCKET, .kinds = IMAGES_ALL,
	};
	char given[8] = "";
	const char *word;
	size_t i = 0;
	int status;

	status = parse_args(argc, argv, &o, given);
	if (status)
		return status;
	if (o.group || o.vm) {
		group_set(o.buf, o.group, o.vm);
		o.whose = o.buf;
	}
	word = optind < argc ? argv[optind++] : "list";
	while (i < NR_STEPS && strcmp(steps[i].name, word) != 0)
		i++;
	if (i == NR_STEPS)
		return tp_usage(argv[0], "knows list, add, remove and index, no '%s'", word);
	if (given[strspn(given, steps[i].options)])
		return tp_usage(argv[0], "--json and --socket go with list, --name with add, "
				"--kind and --yes with remove");
	return steps[i].fn(&o, argc - optind, argv + optind);
}
