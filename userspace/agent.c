// SPDX-License-Identifier: GPL-2.0
/*
 * agent.c - what the agent's files share
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

#include "agent.h"
#include "move.h"
#include "parse.h"

struct agent agent;

const char *nl_words(char *buf, size_t len, int err, const char *fmt, ...)
{
	const char *words = tp_nl_error(agent.nl);
	char what[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(buf, len, "%s: %s", what, words && *words ? words : strerror(-err));
	return buf;
}

bool name_ok(const char *name)
{
	return tp_name_ok(name);
}

int region_open(const char *name)
{
	char *path = xasprintf("%s/%s", agent.dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	fd = fd < 0 ? -errno : fd;
	free(path);
	return fd;
}

void token_new(char token[TOKEN_LEN + 1])
{
	unsigned char raw[TOKEN_LEN / 2];
	size_t i;

	/* never short for so few bytes; without randomness nothing is safe */
	if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		abort();
	for (i = 0; i < sizeof(raw); i++)
		sprintf(token + 2 * i, "%02x", raw[i]);
}

bool token_ok(const char *token)
{
	return strlen(token) == TOKEN_LEN && strspn(token, "0123456789abcdef") == TOKEN_LEN;
}

/* words from hooks, VMMs and peers go into JSON and onto terminals */
char *plain(char *s)
{
	char *p;

	for (p = s; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			*p = '?';
	return s;
}

json_t *counters_to_json(const struct counters *c)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			 "total", (json_int_t)c->total, "absent", (json_int_t)c->absent,
			 "zero", (json_int_t)c->zero, "demand", (json_int_t)c->demand,
			 "push", (json_int_t)c->push, "rx_bytes", (json_int_t)c->rx_bytes,
			 "file", (json_int_t)c->file);
}

void counters_from_json(struct counters *c, json_t *obj)
{
	json_int_t total = 0, absent = 0, zero = 0, demand = 0, push = 0, rx = 0, file = 0;

	if (json_unpack(obj, "{s:I, s:I, s:I, s:I, s:I, s:I, s?I}", "total", &total,
			"absent", &absent, "zero", &zero, "demand", &demand, "push", &push,
			"rx_bytes", &rx, "file", &file))
		return;
	*c = (struct counters){ total, absent, zero, demand, push, rx, file };
}

int counters_add(struct counters *c, const char *name)
{
	struct tp_region r;
	int err = tp_region_get(agent.nl, name, &r);

	if (err)
		return err;
	c->total += r.size / TELEPAGE_PAGE_SIZE;
	c->absent += r.absent;
	c->zero += r.stats.zero;
	c->demand += r.stats.demand;
	c->push += r.stats.push;
	c->rx_bytes += r.stats.rx_bytes;
	c->file += r.stats.file;
	return r.state;
}

bool still_fills(int state)
{
	return state != -ENOENT && state != TELEPAGE_REGION_LOCAL &&
	       state != TELEPAGE_REGION_ABANDONED;
}
