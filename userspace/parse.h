/* SPDX-License-Identifier: GPL-2.0 */
/*
 * parse.h - what people write on a command line
 *
 * Every function takes the whole string or refuses it: no trailing letters, no
 * signs, no silent overflow. On false nothing was written.
 */
#ifndef TELEPAGE_PARSE_H
#define TELEPAGE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* for people: the option, and what it got */
#define TP_SIZE_RULE	"%s takes a size like 512M or 4G, not '%s'"
/* "4096", "64K", "1.5G", "2GiB": bytes, binary units, an optional fraction */
bool tp_parse_size(const char *s, uint64_t *bytes);
/* the same, or hexadecimal with 0x in front */
bool tp_parse_addr(const char *s, uint64_t *v);
/* "ADDR,LEN", both as tp_parse_addr() */
bool tp_parse_range(const char *s, uint64_t *addr, uint64_t *len);
bool tp_parse_u64(const char *s, uint64_t *v);
bool tp_parse_u32(const char *s, uint32_t *v);
/* seconds, with a fraction: "0.5"; at most a year */
bool tp_parse_seconds(const char *s, double *v);
/* permission bits in octal: "660", "0600" */
bool tp_parse_mode(const char *s, uint32_t *mode);
/* "UID", "UID:GID", "user", "user:group"; without a group: that of the user, else 0 */
bool tp_parse_owner(const char *s, uint32_t *uid, uint32_t *gid);

/*
 * "host:port", "1.2.3.4:port", "[::1]:port", ":port", "port". The host is "" in
 * the last two forms, which are refused unless @host_optional.
 */
bool tp_parse_host_port(const char *s, bool host_optional, char *host, size_t host_len,
			char *port, size_t port_len);

/*
 * For after getopt_long() has returned @c: the name of that option if its value is "",
 * which is somebody's variable that is not set, else NULL.
 */
struct option;
const char *tp_empty_option(const struct option *longopts, int c);
#define TP_EMPTY_OPTION	"--%s takes a value that is not empty"

/* the rule of <linux/telepage.h> for names of regions and exports */
bool tp_name_ok(const char *name);
#define TP_NAME_RULE	"1 to 63 printable ASCII characters, no space, no '/', no '.' in front"

#endif /* TELEPAGE_PARSE_H */
