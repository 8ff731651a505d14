// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_move.c - telepage move: asks the local agent and shows how it goes
 */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "agent.h"
#include "cmd.h"
#include "fmt.h"
#include "local.h"
#include "move.h"
#include "parse.h"
#include "progress.h"
#include "tojson.h"
#include "transport.h"

static const char usage[] =
"Usage: telepage move VM --to HOST[:PORT] [OPTIONS]\n"
"       telepage move --watch VM\n"
"       telepage move --abort VM\n"
"       telepage move --forget VM [--yes]\n\n"
"Teleports a running QEMU VM: it goes on at HOST, and what is not there yet of its\n"
"memory follows. Both hosts run telepage agent.\n\n"
"  --to HOST[:PORT]   the other host's agent, default port 4790\n"
"  --as NAME          what the VM is called there, default VM\n"
"  --qmp PATH         the VM's QMP socket, default VM-DIR/VM/qmp.sock\n"
"  --vm-dir DIR       default the agent's own\n"
"  --mode MODE        postcopy: the VM moves at once, its memory follows; hybrid (default):\n"
"                     it is pushed while the VM runs here, as long as that pays, the rest\n"
"                     follows; precopy: the VM stands still for the rest\n"
"  --switch-after S   push for at most S seconds before the VM moves; implies hybrid\n"
"  --warm MS          of postcopy: the VM stands still for at most MS longer until the\n"
"                     pages that it needs first are there, default 1000; 0: it does not\n"
"  --sample MS        look for MS ms which pages the VM uses, and push these first; default\n"
"                     200, 0: not at all\n"
"  --bulk-lanes N     connections for pages that nobody waits for, default 2\n"
"  --no-wait          return when the VM runs there, its memory still on the way\n"
"  --json             one object with the outcome on stdout, also of a failure\n"
"  --watch            show a move that is under way\n"
"  --abort            give a move up; possible until it is committed\n"
"  --forget           end a move in doubt: nobody is asked any more, the VM stays as\n"
"                     it is here, stopped, and its memory frozen\n"
"  --yes              do not ask; needed when there is no terminal to ask on\n"
"  --socket PATH      of the local agent, default " TP_AGENT_SOCKET "\n";

struct view {
	const char *vm;
	bool json, no_wait, aborting;
	bool bar;			/* progress has been begun */
	bool quiet;			/* its steps are not told */
	bool live;			/* the bar is of a round */
	uint64_t round;			/* of pushing live, as was told */
	uint64_t sent;			/* pages, when it was */
	struct tp_progress progress;
};

static volatile sig_atomic_t watching;
static char interrupt_words[256];

static void interrupted(int sig)
{
	(void)sig;
	if (watching && write(STDERR_FILENO, interrupt_words, strlen(interrupt_words)) < 0)
		_exit(1);
	_exit(130);
}

static uint64_t num(json_t *obj, const char *key)
{
	return json_integer_value(json_object_get(obj, key));
}

static const char *str(json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

static void say(struct view *v, const char *line)
{
	char clean[1024];

	if (v->json || v->quiet)
		return;
	tp_escape(clean, sizeof(clean), line);
	if (v->bar)
		tp_progress_say(&v->progress, "%s", clean);
	else
		fprintf(stderr, "%s\n", clean);
}

static const char *in_words(const char *state)
{
	static const struct { const char *state, *words; } table[] = {
		{ "connect", "connecting" },
		{ "prepare", "preparing memory at the destination" },
		{ "lanes", "connecting lanes" },
		{ "start", "starting a VMM at the destination" },
		{ "warm", "looking for the pages that it needs first" },
		{ "switch", "switching over" },
		{ "undo", "rolling back" },
		{ "in-doubt", "in doubt whether it runs there; it stays stopped here until that is known, or until telepage move --forget" },
		{ "reconnect", "lost the destination's agent, reconnecting (pages have their own connections)" },
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (!strcmp(state, table[i].state))
			return table[i].words;
	return NULL;
}

static void end_live(struct view *v)
{
	if (v->live)
		tp_progress_finish(&v->progress, false);
	v->bar = v->bar && !v->live;
	v->live = false;
}

/* of a large VM a round takes minutes */
static void show_round(struct view *v, json_t *msg)
{
	uint64_t left = num(msg, "left"), sent = num(msg, "sent") - v->sent;

	/* it has not quite begun, or is over */
	if (v->json || v->quiet || !left)
		return;
	if (!v->bar) {
		tp_progress_init(&v->progress, stderr, v->vm);
		v->progress.no_demand = true;
		v->bar = true;
		v->live = true;
	}
	tp_progress_update(&v->progress, sent, sent + left, 0);
}

static void show_live(struct view *v, json_t *msg)
{
	char line[200];

	if (num(msg, "round") == v->round) {
		show_round(v, msg);
		return;
	}
	end_live(v);
	v->round = num(msg, "round");
	v->sent = num(msg, "sent");
	snprintf(line, sizeof(line), v->round > 1 ?
		 "%s: pushing again what was written to, round %llu: %llu pages" :
		 "%s: pushing memory while it runs here", v->vm, (unsigned long long)v->round,
		 (unsigned long long)num(msg, "again"));
	say(v, line);
}

static void show_state(struct view *v, json_t *msg)
{
	const char *state = str(msg, "state"), *why = str(msg, "why"), *words = in_words(state);
	char line[900];

	if (!strcmp(state, "live") && json_object_get(msg, "round"))
		show_live(v, msg);
	else
		end_live(v);
	if (!words)
		return;
	snprintf(line, sizeof(line), "%s: %s%s%s", v->vm, words, *why ? ": " : "", why);
	say(v, line);
}

static void show_running(struct view *v, json_t *r)
{
	char line[512], size[TP_FMT_LEN], wire[TP_FMT_LEN];
	json_t *warm = json_object_get(r, "warm");

	if (warm) {
		snprintf(line, sizeof(line), "%s: %llu of %llu pages that it needs first are there",
			 v->vm, (unsigned long long)num(warm, "here_pages"),
			 (unsigned long long)num(warm, "pages"));
		say(v, line);
	}
	if (json_object_get(r, "switch_ms"))
		snprintf(line, sizeof(line), "%s: runs at %s as %s after %llu ms (%s of device state, %s on the wire)",
			 v->vm, str(r, "to"), str(r, "as"),
			 (unsigned long long)num(r, "switch_ms"),
			 tp_fmt_size(size, sizeof(size), num(r, "state_bytes")),
			 tp_fmt_size(wire, sizeof(wire), num(r, "state_wire_bytes")));
	else
		snprintf(line, sizeof(line), "%s: runs at %s as %s", v->vm, str(r, "to"),
			 str(r, "as"));
	say(v, line);
}

static void show_progress(struct view *v, json_t *c)
{
	uint64_t total = num(c, "total"), absent = num(c, "absent");

	if (v->json || v->quiet)
		return;
	if (!v->bar)
		tp_progress_init(&v->progress, stderr, v->vm);
	v->bar = true;
	tp_progress_update(&v->progress, total - absent, total, num(c, "demand"));
}

static void show_done(struct view *v, json_t *r)
{
	char ram[TP_FMT_LEN], wire[TP_FMT_LEN], zero[TP_FMT_LEN], demand[TP_FMT_LEN],
	     push[TP_FMT_LEN], total[TP_FMT_LEN], file[TP_FMT_LEN], line[900];
	int n;

	n = snprintf(line, sizeof(line), "%s: %s at %s, %s pages (%s): %s zero, %s from files there, %s demanded, %s pushed; %s on the wire",
		     v->vm, !strcmp(str(r, "status"), "complete") ? "complete" : "running",
		     str(r, "to"), tp_fmt_count(total, sizeof(total), num(r, "pages_total")),
		     tp_fmt_size(ram, sizeof(ram), num(r, "ram_bytes")),
		     tp_fmt_count(zero, sizeof(zero), num(r, "pages_zero")),
		     tp_fmt_count(file, sizeof(file), num(r, "pages_file")),
		     tp_fmt_count(demand, sizeof(demand), num(r, "pages_demand")),
		     tp_fmt_count(push, sizeof(push), num(r, "pages_push")),
		     tp_fmt_size(wire, sizeof(wire), num(r, "wire_bytes")));
	if (json_object_get(r, "fill_ms"))
		snprintf(line + n, sizeof(line) - n, "; down %llu ms, filled in %llu ms",
			 (unsigned long long)num(r, "switch_ms"),
			 (unsigned long long)num(r, "fill_ms"));
	say(v, line);
}

/* the object of a move that did not come about; @v->vm may be NULL */
static void show_failure(const struct view *v, const char *status, const char *why)
{
	char words[1024];

	copy_str(words, why);
	if (v->json)
		tp_json_print(json_pack("{s:s?, s:s, s:s}", "vm", v->vm, "status", status,
					"error", plain(words)));
}

/* wrong usage: the line on stderr that every command has, and with --json the object */
static int wrong(struct view *v, const char *argv0, const char *fmt, ...)
{
	char words[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	if (v->vm && !tp_name_ok(v->vm))
		v->vm = NULL;
	show_failure(v, "failed", words);
	return tp_usage(argv0, "%s", words);
}

static int failure(struct view *v, json_t *msg)
{
	const char *why = str(msg, "error");
	bool undone = json_is_true(json_object_get(msg, "undone"));
	/* undone as well, but the VM does not go on */
	bool stopped = json_is_true(json_object_get(msg, "stopped"));
	/* nobody knows here how it goes on; the next agent does */
	bool lost = json_is_true(json_object_get(msg, "lost"));

	if (v->bar)
		tp_progress_finish(&v->progress, true);
	show_failure(v, undone ? "undone" : stopped ? "stopped" : lost ? "unknown" : "failed", why);
	/* also when it was being undone before we asked */
	if (v->aborting && undone) {
		say(v, "aborted; it is where it was");
		return TP_OK;
	}
	if (v->json)
		return TP_FAILED;
	return tp_fail(undone ? "%s stays here: %s" :
		       stopped ? "%s was not moved, and does not run here: %s" : "move %s: %s",
		       v->vm, why);
}

static int no_target(struct view *v, const char *to, const char *why)
{
	char words[512];

	snprintf(words, sizeof(words), "%s: %s", to, why);
	show_failure(v, "failed", words);
	return v->json ? TP_FAILED : tp_fail("move %s: %s", v->vm, words);
}

static int forgotten(struct view *v, json_t *obj)
{
	char line[1024];
	json_t *name;
	size_t i;
	int n;

	n = snprintf(line, sizeof(line), "%s: the move is forgotten; if the VM runs nowhere else: ",
		     v->vm);
	json_array_foreach(json_object_get(obj, "regions"), i, name)
		if (n < (int)sizeof(line))
			n += snprintf(line + n, sizeof(line) - n, "telepage thaw %s, ",
				      json_string_value(name));
	if (n < (int)sizeof(line))
		snprintf(line + n, sizeof(line) - n, "then cont by QMP");
	say(v, line);
	return v->json ? tp_json_print(json_incref(obj)) : TP_OK;
}

/* the one thing that the agent never does by itself */
static int confirm_forget(struct view *v, const char *argv0, bool yes)
{
	char answer[16];

	if (yes)
		return TP_OK;
	if (!isatty(STDIN_FILENO))
		return wrong(v, argv0, "--forget needs --yes when there is no terminal to ask on");
	fprintf(stderr, "%s: its destination is not asked any more, and gets no more pages if it runs there. Type yes: ",
		v->vm);
	if (fgets(answer, sizeof(answer), stdin) && !strcmp(answer, "yes\n"))
		return TP_OK;
	show_failure(v, "failed", "not confirmed, nothing was done");
	return v->json ? TP_FAILED :
	       tp_fail("move --forget %s: not confirmed, nothing was done", v->vm);
}

static int got_line(json_t *msg, void *arg)
{
	struct view *v = arg;
	json_t *obj;

	if (json_object_get(msg, "error"))
		return failure(v, msg);
	if (json_object_get(msg, "state"))
		show_state(v, msg);
	obj = json_object_get(msg, "progress");
	if (obj)
		show_progress(v, obj);
	obj = json_object_get(msg, "running");
	if (obj) {
		show_running(v, obj);
		if (v->no_wait) {
			if (v->json)
				tp_json_print(json_incref(obj));
			return TP_OK;
		}
	}
	obj = json_object_get(msg, "forgotten");
	if (obj)
		return forgotten(v, obj);
	obj = json_object_get(msg, "done");
	if (!obj)
		return -1;
	if (v->bar) {
		tp_progress_update(&v->progress, num(obj, "pages_total"), num(obj, "pages_total"),
				   num(obj, "pages_demand"));
		tp_progress_finish(&v->progress, true);
		v->bar = false;
	}
	show_done(v, obj);
	if (v->json)
		return tp_json_print(json_incref(obj));
	return TP_OK;
}

/* the agent does not know our working directory */
static char *absolute(const char *path)
{
	char *cwd, *full;

	if (*path == '/')
		return xstrdup(path);
	cwd = getcwd(NULL, 0);
	full = xasprintf("%s/%s", cwd ? cwd : "", path);
	free(cwd);
	return full;
}

static bool add_path(json_t *req, const char *key, const char *path)
{
	char *full = path ? absolute(path) : NULL;
	bool ok = !full || !json_object_set_new(req, key, json_string(full));

	free(full);
	return ok;
}

/* what is not said here the agent knows; NULL: a path is not UTF-8 */
static json_t *move_request(const char *vm, const char *as, const char *qmp, const char *vm_dir,
			    const struct target *target, unsigned int bulk)
{
	json_t *req = json_pack("{s:s, s:s, s:i, s:o}", "cmd", "move", "vm", vm, "bulk", bulk,
				"target", target_to_json(target));

	if (as)
		json_object_set_new(req, "as", json_string(as));
	/* what is not UTF-8 is no JSON, and without it the agent would take its own */
	if (!add_path(req, "qmp", qmp) || !add_path(req, "vm_dir", vm_dir)) {
		json_decref(req);
		return NULL;
	}
	return req;
}

/* also behind whatever is wrong */
static bool has_word(char **argv, const char *word)
{
	while (*++argv && strcmp(*argv, "--") != 0)
		if (!strcmp(*argv, word))
			return true;
	return false;
}

int cmd_move(int argc, char **argv)
{
	enum { TO = 256, AS, QMP, VM_DIR, BULK, NO_WAIT, JSON, WATCH, ABORT, FORGET, YES,
	       SOCKET, MODE, AFTER, WARM, SAMPLE };
	static const struct option longopts[] = {
		{ "to", required_argument, NULL, TO },
		{ "as", required_argument, NULL, AS },
		{ "qmp", required_argument, NULL, QMP },
		{ "vm-dir", required_argument, NULL, VM_DIR },
		{ "bulk-lanes", required_argument, NULL, BULK },
		{ "mode", required_argument, NULL, MODE },
		{ "switch-after", required_argument, NULL, AFTER },
		{ "warm", required_argument, NULL, WARM },
		{ "sample", required_argument, NULL, SAMPLE },
		{ "no-wait", no_argument, NULL, NO_WAIT },
		{ "json", no_argument, NULL, JSON },
		{ "watch", no_argument, NULL, WATCH },
		{ "abort", no_argument, NULL, ABORT },
		{ "forget", no_argument, NULL, FORGET },
		{ "yes", no_argument, NULL, YES },
		{ "socket", required_argument, NULL, SOCKET },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	const char *to = NULL, *as = NULL, *qmp = NULL, *vm_dir = NULL, *mode = NULL,
		   *sock = TP_AGENT_SOCKET, *why, *empty;
	bool watch = false, abort_it = false, forget = false, yes = false;
	uint32_t bulk = TP_BULK_LANES, after = 0, warm = UINT32_MAX, sample = 0;
	bool samples = false;
	enum move_mode parsed;
	struct view v = { 0 };
	struct target target;
	json_t *req;
	int c;

	v.json = has_word(argv, "--json");
	while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		empty = tp_empty_option(longopts, c);
		if (empty)
			return wrong(&v, argv[0], TP_EMPTY_OPTION, empty);
		switch (c) {
		case TO: to = optarg; break;
		case AS: as = optarg; break;
		case QMP: qmp = optarg; break;
		case VM_DIR: vm_dir = optarg; break;
		case BULK:
			if (!tp_parse_u32(optarg, &bulk) || bulk < 1 || bulk > TELEPAGE_LANE_MAX)
				return wrong(&v, argv[0], "--bulk-lanes takes 1 to %d",
					     TELEPAGE_LANE_MAX);
			break;
		case MODE:
			mode = optarg;
			if (!move_mode_parse(mode, &parsed))
				return wrong(&v, argv[0],
					     "--mode is postcopy, hybrid or precopy, not '%s'", mode);
			break;
		case AFTER:
			if (!tp_parse_u32(optarg, &after) || !after || after > MOVE_AFTER_MAX)
				return wrong(&v, argv[0], "--switch-after takes 1 to %d seconds",
					     MOVE_AFTER_MAX);
			break;
		case WARM:
			if (!tp_parse_u32(optarg, &warm) || warm > MOVE_WARM_MAX)
				return wrong(&v, argv[0], "--warm takes 0 to %d ms",
					     MOVE_WARM_MAX);
			break;
		case SAMPLE:
			samples = true;
			if (!tp_parse_u32(optarg, &sample) || sample > MOVE_SAMPLE_MAX)
				return wrong(&v, argv[0], "--sample takes 0 to %d ms",
					     MOVE_SAMPLE_MAX);
			break;
		case NO_WAIT: v.no_wait = true; break;
		case JSON: v.json = true; break;
		case WATCH: watch = true; break;
		case ABORT: abort_it = true; break;
		case FORGET: forget = true; break;
		case YES: yes = true; break;
		case SOCKET: sock = optarg; break;
		case 'h':
			fputs(usage, stdout);
			return TP_OK;
		default:
			/* getopt has said what is wrong */
			show_failure(&v, "failed", "wrong command line");
			return TP_USAGE;
		}
	}
	if (optind + 1 != argc)
		return wrong(&v, argv[0], optind < argc ? "takes one VM" : "which VM?");
	v.vm = argv[optind];
	if (!tp_name_ok(v.vm) || (as && !tp_name_ok(as)))
		return wrong(&v, argv[0], "a VM's name is " TP_NAME_RULE);
	if (watch || abort_it || forget) {
		if (to || as || qmp || vm_dir || mode || after || warm != UINT32_MAX || samples ||
		    watch + abort_it + forget > 1)
			return wrong(&v, argv[0],
				     "--watch, --abort and --forget go with nothing else");
		c = forget ? confirm_forget(&v, argv[0], yes) : TP_OK;
		if (c)
			return c;
		v.aborting = abort_it;
		req = json_pack("{s:s, s:s}", "cmd",
				watch ? "watch" : abort_it ? "abort" : "forget", "vm", v.vm);
	} else {
		if (yes)
			return wrong(&v, argv[0], "--yes goes with --forget");
		if (!to)
			return wrong(&v, argv[0], "--to which host?");
		if (warm != UINT32_MAX && (!mode || parsed != MOVE_POSTCOPY))
			return wrong(&v, argv[0], "--warm goes with --mode postcopy");
		if (after && mode && parsed == MOVE_POSTCOPY)
			return wrong(&v, argv[0], "--switch-after goes with --mode hybrid or precopy");
		if (sample && mode && parsed == MOVE_PRECOPY)
			return wrong(&v, argv[0], "--sample goes with --mode postcopy or hybrid");
		why = target_check(to);
		if (why)
			return wrong(&v, argv[0], "--to '%s': %s", to, why);
		why = target_resolve(&target, to);
		if (why)
			return no_target(&v, to, why);
		req = move_request(v.vm, as, qmp, vm_dir, &target, bulk);
		if (!req)
			return wrong(&v, argv[0], "--qmp and --vm-dir have to be UTF-8");
		if (mode)
			json_object_set_new(req, "mode", json_string(mode));
		if (after)
			json_object_set_new(req, "switch_after", json_integer(after));
		if (warm != UINT32_MAX)
			json_object_set_new(req, "warm", json_integer(warm));
		if (samples)
			json_object_set_new(req, "sample", json_integer(sample));
	}
	snprintf(interrupt_words, sizeof(interrupt_words),
		 "\nthe move goes on; watch it: telepage move --watch %s, give it up: telepage move --abort %s\n",
		 v.vm, v.vm);
	watching = !abort_it && !forget;
	signal(SIGINT, interrupted);
	return agent_talk(sock, req, got_line, &v);
}
