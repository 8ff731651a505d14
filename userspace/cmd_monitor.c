// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_monitor.c - print events as they come
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd.h"
#include "fmt.h"
#include "parse.h"
#include "progress.h"
#include "tojson.h"

const char cmd_monitor_usage[] =
	"Usage: telepage monitor [--json] [--count N] [--timeout S]\n\n"
	"Prints events as they come, one a line. \"listening\" is the first line: what happens\n"
	"after it is not missed.\n\n"
	"  --json        a JSON object on each line\n"
	"  --count N     end after N events\n"
	"  --timeout S   end after S seconds; with --count that is a failure\n";

struct monitor {
	bool json;
	uint64_t count, seen;		/* count 0: no end */
	uint64_t until_ns;		/* 0: no end */
	int status;
};

static bool done(const struct monitor *m)
{
	return m->status || (m->count && m->seen >= m->count);
}

static void print_stamp(void)
{
	struct timespec ts;
	struct tm tm;
	char buf[32];

	clock_gettime(CLOCK_REALTIME, &ts);
	localtime_r(&ts.tv_sec, &tm);
	strftime(buf, sizeof(buf), "%H:%M:%S", &tm);
	printf("%s.%03ld ", buf, ts.tv_nsec / 1000000);
}

static void print_text(const struct tp_event *ev)
{
	const char *kind = tp_event_name(ev->kind);
	char buf[4 * sizeof(ev->reason) + 1];

	print_stamp();
	printf("%s", kind ? kind : "unknown");
	if (*ev->region)
		printf(" %s", tp_escape(buf, sizeof(buf), ev->region));
	if (*ev->export)
		printf(" %s", tp_escape(buf, sizeof(buf), ev->export));
	if (ev->has_link)
		printf(" link %" PRIu32, ev->link);
	if (ev->kind == TELEPAGE_EVENT_LANE_UP || ev->kind == TELEPAGE_EVENT_LANE_LOST)
		printf(" lane %" PRIu32, ev->lane);
	if (*ev->reason)
		printf(": %s", tp_escape(buf, sizeof(buf), ev->reason));
	if (ev->error)
		printf(" (%s)", strerror(ev->error));
	putchar('\n');
	fflush(stdout);
}

static void print_event(const struct tp_event *ev, void *arg)
{
	struct monitor *m = arg;

	if (done(m))
		return;		/* more came in the same read than was asked for */
	m->seen++;
	if (m->json)
		m->status = tp_json_print(tp_json_event(ev));
	else
		print_text(ev);
}

static int print_note(const struct monitor *m, const char *word)
{
	if (m->json)
		return tp_json_print(json_pack("{so ss}", "time", tp_json_now(), "event", word));
	print_stamp();
	puts(word);
	return fflush(stdout) ? tp_fail("cannot write the output") : TP_OK;
}

/* milliseconds for poll(), rounded up so that it does not spin at the end */
static int wait_ms(const struct monitor *m)
{
	uint64_t now = tp_now_ns();

	if (!m->until_ns)
		return -1;
	if (now >= m->until_ns)
		return 0;
	if (m->until_ns - now > 3600 * 1000000000ULL)
		return 3600 * 1000;
	return (int)((m->until_ns - now + 999999) / 1000000);
}

static int run(struct tp_nl *nl, struct monitor *m)
{
	struct pollfd pfd = { .fd = tp_nl_fd(nl), .events = POLLIN };
	int err, n;

	m->status = print_note(m, "listening");
	while (!done(m)) {
		n = poll(&pfd, 1, wait_ms(m));
		if (n < 0 && errno != EINTR)
			return tp_fail("monitor: %s", strerror(errno));
		if (n == 0 && m->until_ns && tp_now_ns() >= m->until_ns) {
			if (!m->count)
				return TP_OK;
			return tp_fail("monitor: %" PRIu64 " of %" PRIu64 " events came in time",
				       m->seen, m->count);
		}
		if (n <= 0)
			continue;
		err = tp_nl_events_read(nl, print_event, m);
		if (err == -ENOBUFS)
			m->status = print_note(m, "lost");
		else if (err)
			return tp_fail_nl(nl, err, NULL, "monitor");
	}
	return m->status;
}

static int parse_args(int argc, char **argv, struct monitor *m)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "count", required_argument, NULL, 'c' },
		{ "timeout", required_argument, NULL, 't' },
		{ 0 }
	};
	double seconds;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'j':
			m->json = true;
			break;
		case 'c':
			if (!tp_parse_u64(optarg, &m->count) || !m->count)
				return tp_usage(argv[0], "'%s' is no number of events", optarg);
			break;
		case 't':
			if (!tp_parse_seconds(optarg, &seconds))
				return tp_usage(argv[0], "'%s' is no number of seconds", optarg);
			m->until_ns = tp_now_ns() + (uint64_t)(seconds * 1e9);
			break;
		default:
			return TP_USAGE;
		}
	}
	if (argc != optind)
		return tp_usage(argv[0], "takes no '%s'", argv[optind]);
	return TP_OK;
}

int cmd_monitor(int argc, char **argv)
{
	struct monitor m = { 0 };
	struct tp_nl *nl;
	int err, status;

	status = parse_args(argc, argv, &m);
	if (status)
		return status;
	err = tp_nl_events_open(&nl);
	if (err)
		return tp_fail_nl(NULL, err, NULL, "monitor");
	status = run(nl, &m);
	tp_nl_close(nl);
	return status;
}
