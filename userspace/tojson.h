/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tojson.h - the structs of genl.h as JSON
 *
 * The keys are an interface, documented in telepage(8): they get added to, never
 * renamed. Sizes are in bytes, pages are counts, times in nanoseconds.
 */
#ifndef TELEPAGE_TOJSON_H
#define TELEPAGE_TOJSON_H

#include <jansson.h>

#include "genl.h"

/* each returns a new reference, NULL when out of memory */
json_t *tp_json_stats(const struct tp_stats *s);
json_t *tp_json_region(const struct tp_region *r);
json_t *tp_json_export(const struct tp_export *e);
json_t *tp_json_link(const struct tp_link *l);
json_t *tp_json_uffd(const struct tp_uffd *u);
json_t *tp_json_event(const struct tp_event *ev);
json_t *tp_json_regions(const struct tp_region_list *l);
json_t *tp_json_exports(const struct tp_export_list *l);
json_t *tp_json_links(const struct tp_link_list *l);
json_t *tp_json_uffds(const struct tp_uffd_list *l);

/* prints @j on one line of stdout, flushes, and drops the reference; exit status */
int tp_json_print(json_t *j);

/* seconds since 1970 */
json_t *tp_json_now(void);

#endif /* TELEPAGE_TOJSON_H */
