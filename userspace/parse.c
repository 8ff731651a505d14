// SPDX-License-Identifier: GPL-2.0
/*
 * parse.c - what people write on a command line
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/telepage.h>

#include "parse.h"

/* strtoull() takes blanks, signs and "": none of them is a number here */
static bool digits(const char *s, int base, uint64_t *v, const char **end)
{
	char *e;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	*v = strtoull(s, &e, base);
	*end = e;
	return !errno && e != s;
}

bool tp_parse_u64(const char *s, uint64_t *v)
{
	const char *end;
	uint64_t n;

	if (!digits(s, 10, &n, &end) || *end)
		return false;
	*v = n;
	return true;
}

bool tp_parse_u32(const char *s, uint32_t *v)
{
	uint64_t n;

	if (!tp_parse_u64(s, &n) || n > UINT32_MAX)
		return false;
	*v = n;
	return true;
}

/* K, KB and KiB are the same here: 1024 bytes */
static bool unit_shift(const char *s, unsigned int *shift)
{
	static const char units[] = "KMGTPE";
	const char *u = *s ? strchr(units, toupper((unsigned char)*s)) : NULL;

	*shift = u ? 10 * (u - units + 1) : 0;
	if (u) {
		s++;
		if (*s == 'i' && (s[1] == 'B' || s[1] == 'b'))
			s++;
	}
	return !*s || ((*s == 'B' || *s == 'b') && !s[1]);
}

bool tp_parse_size(const char *s, uint64_t *bytes)
{
	uint64_t whole, part = 0, scale = 1;
	unsigned int shift;
	const char *end;

	if (!digits(s, 10, &whole, &end))
		return false;
	if (*end == '.') {
		/* six digits are finer than any page of any size that exists */
		for (end++; isdigit((unsigned char)*end); end++) {
			if (scale == 1000000)
				return false;
			part = part * 10 + (*end - '0');
			scale *= 10;
		}
		if (scale == 1)
			return false;
	}
	if (!unit_shift(end, &shift) || (shift && whole >> (64 - shift)))
		return false;
	if (scale > 1 && !shift)
		return false;	/* half a byte */
	whole <<= shift;
	part = (uint64_t)(((unsigned __int128)part << shift) / scale);
	if (whole + part < whole)
		return false;
	*bytes = whole + part;
	return true;
}

bool tp_parse_addr(const char *s, uint64_t *v)
{
	unsigned long long n;
	char *end;

	if (s[0] != '0' || (s[1] != 'x' && s[1] != 'X'))
		return tp_parse_size(s, v);
	if (!isxdigit((unsigned char)s[2]))
		return false;
	errno = 0;
	n = strtoull(s, &end, 16);
	if (errno || *end)
		return false;
	*v = n;
	return true;
}

bool tp_parse_range(const char *s, uint64_t *addr, uint64_t *len)
{
	const char *comma = strchr(s, ',');
	uint64_t a, l;
	char buf[32];

	if (!comma || comma - s >= (long)sizeof(buf))
		return false;
	snprintf(buf, sizeof(buf), "%.*s", (int)(comma - s), s);
	if (!tp_parse_addr(buf, &a) || !tp_parse_addr(comma + 1, &l))
		return false;
	*addr = a;
	*len = l;
	return true;
}

bool tp_parse_seconds(const char *s, double *v)
{
	double n;
	char *end;

	if (!isdigit((unsigned char)*s) && *s != '.')
		return false;
	/* strtod() would take hexadecimal and exponents too */
	if (s[strspn(s, "0123456789.")])
		return false;
	n = strtod(s, &end);
	if (end == s || *end || n > 366.0 * 24 * 3600)
		return false;
	*v = n;
	return true;
}

bool tp_parse_mode(const char *s, uint32_t *mode)
{
	const char *end;
	uint64_t n;

	if (!digits(s, 8, &n, &end) || *end || n > 0777)
		return false;
	*mode = n;
	return true;
}

static bool parse_user(const char *s, uint32_t *uid, uint32_t *gid)
{
	/* a number need not belong to anybody */
	bool number = tp_parse_u32(s, uid);
	struct passwd *pw = number ? getpwuid(*uid) : getpwnam(s);

	if (pw)
		*uid = pw->pw_uid;
	*gid = pw ? pw->pw_gid : 0;
	return number || pw;
}

static bool parse_group(const char *s, uint32_t *gid)
{
	struct group *gr;

	if (tp_parse_u32(s, gid))
		return true;
	gr = getgrnam(s);
	if (gr)
		*gid = gr->gr_gid;
	return gr;
}

bool tp_parse_owner(const char *s, uint32_t *uid, uint32_t *gid)
{
	const char *colon = strchr(s, ':');
	char user[128];
	uint32_t u, g;

	if (snprintf(user, sizeof(user), "%.*s", (int)(colon ? colon - s : (long)strlen(s)), s) >=
	    (int)sizeof(user))
		return false;
	if (!parse_user(user, &u, &g) || (colon && !parse_group(colon + 1, &g)))
		return false;
	/* -1 means "leave it" to the kernel */
	if (u == UINT32_MAX || g == UINT32_MAX)
		return false;
	*uid = u;
	*gid = g;
	return true;
}

static bool copy_part(char *out, size_t out_len, const char *s, size_t n)
{
	if (n >= out_len)
		return false;
	memcpy(out, s, n);
	out[n] = '\0';
	return true;
}

bool tp_parse_host_port(const char *s, bool host_optional, char *host, size_t host_len,
			char *port, size_t port_len)
{
	const char *h = s, *p;
	size_t h_len;
	uint32_t n;

	if (*s == '[') {
		const char *close = strchr(s, ']');

		if (!close || close[1] != ':')
			return false;
		h = s + 1;
		h_len = close - h;
		p = close + 2;
		if (!h_len)
			return false;
	} else {
		p = strrchr(s, ':');
		h_len = p ? (size_t)(p - s) : 0;
		/* "::1" and "fe80::1:22" leave open where the port begins */
		if (p && memchr(s, ':', h_len))
			return false;
		p = p ? p + 1 : s;
	}
	if (!h_len && !host_optional)
		return false;
	if (!tp_parse_u32(p, &n) || n > 65535 || h_len >= host_len || strlen(p) >= port_len)
		return false;
	return copy_part(host, host_len, h, h_len) && copy_part(port, port_len, p, strlen(p));
}

const char *tp_empty_option(const struct option *longopts, int c)
{
	if (!optarg || *optarg)
		return NULL;
	while (longopts->name && (longopts->val != c || longopts->has_arg == no_argument))
		longopts++;
	return longopts->name;
}

bool tp_name_ok(const char *name)
{
	size_t n = strlen(name);

	if (n < 1 || n > TELEPAGE_NAME_MAX || name[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '/')
			return false;
	return true;
}
