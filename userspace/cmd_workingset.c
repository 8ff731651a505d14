// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_workingset.c - which pages of a VM were needed first
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "cmd.h"
#include "file.h"
#include "fmt.h"
#include "parse.h"
#include "sample.h"
#include "tojson.h"
#include "workingset.h"

const char cmd_workingset_usage[] =
	"Usage: telepage workingset show NAME [FILE] [--json]\n"
	"       telepage workingset export NAME FILE\n"
	"       telepage workingset import NAME FILE\n"
	"       telepage workingset replay NAME [FILE]\n"
	"       telepage workingset sample NAME [--for MS] [--every N] [--json]\n\n"
	"Which pages of region NAME were needed first when it was filled from a peer, in their\n"
	"order: show prints what the kernel has written down, or a FILE has; export writes it\n"
	"to FILE; import gives FILE to the agent, which has it replayed the next time a region\n"
	"NAME begins to fill; replay asks for these pages now, before somebody needs them. FILE -\n"
	"is standard input or output, none with replay what the agent keeps.\n\n"
	"sample looks which pages of region NAME, or of the VM NAME that runs on regions NAME and\n"
	"NAME.N, are used from now on: how many, an estimate of all, and the faults that it has cost.\n\n"
	"  --for MS      so many milliseconds, default 1000\n"
	"  --every N     look at one piece of 2 MiB of N, default 16; 1: at all\n"
	"  --json        one JSON object\n"
	"  --state DIR   of the agent, default " TP_AGENT_STATE "\n";

struct args {
	const char *what, *name, *file, *state;
	uint32_t ms, every;		/* of sample; 0: not said */
	bool json;
};

static int load(const struct args *a, const char *path, struct workingset *w)
{
	const char *why = workingset_load_named(path, w);

	return why ? tp_fail("workingset %s %s: %s: %s", a->what, a->name, path, why) : TP_OK;
}

/* what the kernel has of the region */
static int read_kernel(const struct args *a, struct workingset *w)
{
	struct tp_nl *nl;
	int err, status = tp_open(&nl, "workingset");

	if (status)
		return status;
	err = workingset_read(nl, a->name, w);
	if (err)
		status = tp_fail_nl(nl, err, NULL, "workingset %s %s", a->what, a->name);
	tp_nl_close(nl);
	return status;
}

static int show_json(const struct args *a, const struct workingset *w)
{
	json_t *runs = json_array();
	json_t *o;

	for (size_t i = 0; i < w->n; i++)
		json_array_append_new(runs, json_pack("{sI sI}", "start",
						      (json_int_t)w->runs[i].start, "count",
						      (json_int_t)w->runs[i].count));
	o = json_pack("{ss sI sI so}", "name", a->name, "pages", (json_int_t)w->pages, "touched",
		      (json_int_t)workingset_count(w), "runs", runs);
	return tp_json_print(o);
}

static int show(const struct args *a)
{
	char touched[TP_FMT_LEN], pages[TP_FMT_LEN], size[TP_FMT_LEN];
	struct workingset w;
	int status = a->file ? load(a, a->file, &w) : read_kernel(a, &w);

	if (status)
		return status;
	if (a->json) {
		status = show_json(a, &w);
	} else {
		uint64_t n = workingset_count(&w);

		printf("%s of %s pages were needed (%s), in %zu run%s\n",
		       tp_fmt_count(touched, sizeof(touched), n),
		       tp_fmt_count(pages, sizeof(pages), w.pages),
		       tp_fmt_size(size, sizeof(size), n * TELEPAGE_PAGE_SIZE), w.n,
		       w.n == 1 ? "" : "s");
		for (size_t i = 0; i < w.n; i++)
			printf("%" PRIu64 " %" PRIu64 "\n", (uint64_t)w.runs[i].start,
			       (uint64_t)w.runs[i].count);
	}
	workingset_free(&w);
	return status;
}

static int do_export(const struct args *a)
{
	struct workingset w;
	char *text;
	int err = 0, status = read_kernel(a, &w);

	if (status)
		return status;
	text = workingset_format(&w);
	workingset_free(&w);
	if (!text)
		err = -ENOMEM;
	else if (!strcmp(a->file, "-"))
		fputs(text, stdout);
	else
		err = file_put(a->file, text, 0600);
	free(text);
	return err ? tp_fail("workingset export %s: %s: %s", a->name, a->file, strerror(-err)) : TP_OK;
}

static int do_import(const struct args *a)
{
	struct workingset w;
	int err, status = load(a, a->file, &w);

	if (status)
		return status;
	err = workingset_store(a->state, a->name, &w);
	workingset_free(&w);
	return err ? tp_fail("workingset import %s: %s: %s", a->name, a->state, strerror(-err)) :
	       TP_OK;
}

static int do_replay(const struct args *a)
{
	char path[512];
	struct workingset w;
	struct tp_nl *nl;
	int err, status;

	workingset_path(path, sizeof(path), a->state, a->name);
	status = load(a, a->file ? a->file : path, &w);
	if (status)
		return status;
	status = tp_open(&nl, "workingset");
	if (!status) {
		err = workingset_replay(nl, a->name, &w);
		if (err)
			status = tp_fail_nl(nl, err, NULL, "workingset replay %s", a->name);
		tp_nl_close(nl);
	}
	workingset_free(&w);
	return status;
}

static int do_sample(const struct args *a)
{
	struct sample_args s = { .name = a->name, .json = a->json, .ms = a->ms ? a->ms : 1000,
				 .every = a->every ? a->every : 16 };

	return workingset_sample(&s);
}

static const struct {
	const char *name;
	int min, max;			/* arguments behind it */
	int (*fn)(const struct args *a);
} steps[] = {
	{ "show", 1, 2, show },
	{ "export", 2, 2, do_export },
	{ "import", 2, 2, do_import },
	{ "replay", 1, 2, do_replay },
	{ "sample", 1, 1, do_sample },
};

int cmd_workingset(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "state", required_argument, NULL, 's' },
		{ "for", required_argument, NULL, 'f' },
		{ "every", required_argument, NULL, 'e' },
		{ 0 }
	};
	struct args a = { .state = TP_AGENT_STATE };
	const char *empty;
	int o, n;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		empty = tp_empty_option(options, o);
		if (empty)
			return tp_usage(argv[0], TP_EMPTY_OPTION, empty);
		switch (o) {
		case 'j': a.json = true; break;
		case 's': a.state = optarg; break;
		case 'f':
			if (!tp_parse_u32(optarg, &a.ms) || !a.ms || a.ms > 3600000)
				return tp_usage(argv[0], "--for takes 1 to 3600000 ms");
			break;
		case 'e':
			if (!tp_parse_u32(optarg, &a.every) || !a.every)
				return tp_usage(argv[0], "--every takes a number from 1 on");
			break;
		default:
			return TP_USAGE;
		}
	}
	n = argc - optind - 1;
	if (n < 0)
		return tp_usage(argv[0], "show, export, import, replay or sample?");
	a.what = argv[optind];
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		if (strcmp(a.what, steps[i].name) != 0)
			continue;
		if (n < steps[i].min || n > steps[i].max)
			return tp_usage(argv[0], "%s takes a NAME%s", a.what,
					steps[i].max == 1 ? "" : steps[i].min == 1 ?
					" and perhaps a FILE" : " and a FILE");
		a.name = argv[optind + 1];
		a.file = n > 1 ? argv[optind + 2] : NULL;
		if (!tp_name_ok(a.name))
			return tp_usage(argv[0], "'%s' is no name: " TP_NAME_RULE, a.name);
		if (a.file && !*a.file)
			return tp_usage(argv[0], "%s takes a FILE, not ''", a.what);
		if (a.json && steps[i].fn != show && steps[i].fn != do_sample)
			return tp_usage(argv[0], "--json belongs to show and sample");
		if ((a.ms || a.every) && steps[i].fn != do_sample)
			return tp_usage(argv[0], "--for and --every belong to sample");
		return steps[i].fn(&a);
	}
	return tp_usage(argv[0], "there is no '%s': show, export, import, replay or sample", a.what);
}
