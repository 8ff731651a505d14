// SPDX-License-Identifier: GPL-2.0
/*
 * target.c - where a peer's agent is
 */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

#include "loop.h"
#include "target.h"

const char *target_split(char *where, const char **host, const char **port)
{
	char *colon;

	*host = where;
	*port = NULL;
	if (*where == '[') {
		char *end = strchr(where, ']');

		if (!end || (end[1] && end[1] != ':'))
			return "'[' without ']'";
		*end = 0;
		*host = where + 1;
		if (end[1])
			*port = end + 2;
		return NULL;
	}
	colon = strrchr(where, ':');
	/* more than one colon: a bare IPv6 address */
	if (colon && strchr(where, ':') == colon) {
		*colon = 0;
		*port = colon + 1;
	}
	return NULL;
}

long target_port(const char *port)
{
	char *end;
	long n;

	if (!port)
		return TP_PORT;
	n = strtol(port, &end, 10);
	return !*port || *end || n < 1 || n > 65535 ? -1 : n;
}

const char *target_check(const char *where)
{
	char *copy = xstrdup(where);
	const char *host, *port, *why;

	why = target_split(copy, &host, &port);
	if (!why && target_port(port) < 0)
		why = "bad port number";
	if (!why && (!*host || strlen(host) >= sizeof(((struct target *)0)->host)))
		why = "bad host name";
	free(copy);
	return why;
}

const char *target_resolve(struct target *t, const char *where)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo numeric = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *list, *ai;
	const char *host, *port, *why;
	char *copy = xstrdup(where);
	int err;

	memset(t, 0, sizeof(*t));
	why = target_check(where);
	if (why)
		goto out;
	target_split(copy, &host, &port);
	t->port = target_port(port);
	copy_str(t->host, host);
	/* an address is one also where the interfaces are not up yet, or only loopback is */
	err = getaddrinfo(host, NULL, &numeric, &list);
	if (err)
		err = getaddrinfo(host, NULL, &hints, &list);
	if (err) {
		why = gai_strerror(err);
		goto out;
	}
	for (ai = list; ai && t->nr < TP_TARGET_ADDRS; ai = ai->ai_next)
		if (!getnameinfo(ai->ai_addr, ai->ai_addrlen, t->addr[t->nr],
				 sizeof(t->addr[0]), NULL, 0, NI_NUMERICHOST))
			t->nr++;
	freeaddrinfo(list);
	if (!t->nr)
		why = "no address";
out:
	free(copy);
	return why;
}

json_t *target_to_json(const struct target *t)
{
	json_t *addrs = json_array();
	unsigned int i;

	for (i = 0; i < t->nr; i++)
		json_array_append_new(addrs, json_string(t->addr[i]));
	return json_pack("{s:s, s:i, s:o}", "host", t->host, "port", t->port, "addrs", addrs);
}

bool target_from_json(struct target *t, json_t *obj)
{
	json_t *addrs, *a;
	const char *host;
	int port;
	size_t i;

	memset(t, 0, sizeof(*t));
	if (json_unpack(obj, "{s:s, s:i, s:o}", "host", &host, "port", &port, "addrs", &addrs))
		return false;
	if (strlen(host) >= sizeof(t->host) || port < 1 || port > 65535)
		return false;
	copy_str(t->host, host);
	t->port = port;
	json_array_foreach(addrs, i, a) {
		const char *s = json_string_value(a);

		if (!s || strlen(s) >= sizeof(t->addr[0]) || t->nr == TP_TARGET_ADDRS)
			return false;
		copy_str(t->addr[t->nr], s);
		t->nr++;
	}
	return t->nr > 0;
}
