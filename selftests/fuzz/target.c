// SPDX-License-Identifier: GPL-2.0
/*
 * target.c - the wire's decoders, fed with anything
 *
 * Every decoder gets its bytes in a buffer of exactly their length, so that the
 * sanitizers see each byte too far. What is taken must be what the manual allows,
 * and be the same bytes when it is encoded again; what is refused must be what the
 * manual forbids. The numbers here are those of Documentation/wire.md, not the
 * macros: a macro that slips is a mistake, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "wire.h"

enum {
	HEADER = 32, HELLO = 16, ENTRY = 16,	/* bytes */
	PAGE = 4096, PAGES = 64, ENTRIES = 256, PAYLOAD = 256 << 10,
};

enum { MSG_HELLO = 1, MSG_DEMAND, MSG_WANT, MSG_DATA, MSG_ZERO, MSG_FAIL, MSG_STALE, MSG_ROUND };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(good, what) do {								\
	if (!(good)) {									\
		fprintf(stderr, "wrong: %s (%s, line %d)\n", what, #good, __LINE__);	\
		abort();								\
	}										\
} while (0)

/* bytes that the peer has sent */
struct stream {
	const uint8_t *p;
	size_t left;
};

/* the next @n of them, in a buffer of that length; NULL: it has closed before */
static uint8_t *take(struct stream *s, size_t n)
{
	uint8_t *buf;

	if (s->left < n)
		return NULL;
	buf = malloc(n);
	must(buf, "memory");
	memcpy(buf, s->p, n);
	s->p += n;
	s->left -= n;
	return buf;
}

static uint64_t little(const uint8_t *p, unsigned int bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

/* what the manual says of a header */
static bool allowed(const uint8_t *b)
{
	uint64_t count = little(b + 16, 4), len = little(b + 24, 4);

	if (little(b, 2) != 0x5054 || little(b + 30, 2) || (b[3] && b[2] != MSG_DATA))
		return false;
	switch (b[2]) {
	case MSG_HELLO:
		return len == HELLO;
	case MSG_DEMAND:
	case MSG_WANT:
		return count >= 1 && count <= ENTRIES && len == count * ENTRY;
	case MSG_DATA:
		if (count < 1 || count > PAGES || b[3] > 2)
			return false;
		return b[3] ? len >= 1 && len < count * PAGE : len == count * PAGE;
	case MSG_ZERO:
		return count >= 1 && !len;
	case MSG_FAIL:
		return !len;
	case MSG_STALE:
		return little(b + 20, 4) && little(b + 28, 2) <= 3 && count <= ENTRIES &&
		       len == count * ENTRY;
	case MSG_ROUND:
		return little(b + 20, 4) && !len;
	}
	return false;
}

static bool get_header(const uint8_t *buf, struct tp_hdr *hdr)
{
	const char *why = tp_wire_get_hdr(buf, hdr);
	uint8_t *again;

	must(!why == allowed(buf), why ? why : "a header is taken that is forbidden");
	if (why) {
		must(*why, "no reason is given");
		return false;
	}
	must(hdr->len <= PAYLOAD, "more payload than allowed");
	must(hdr->index == little(buf + 8, 8) && hdr->count == little(buf + 16, 4) &&
	     hdr->len == little(buf + 24, 4), "a field is read wrongly");
	again = malloc(HEADER);
	must(again, "memory");
	tp_wire_put_hdr(again, hdr);
	must(!memcmp(buf, again, HEADER), "a header is another one when encoded again");
	free(again);
	return true;
}

static bool get_hello(const uint8_t *buf, struct tp_hello *hello)
{
	const char *why = tp_wire_get_hello(buf, hello);
	uint8_t *again;

	must(!why == (!memcmp(buf, "telepage", 8) && little(buf + 8, 2) == 1 &&
		      little(buf + 12, 4) == PAGE),
	     why ? why : "a greeting is taken that is forbidden");
	if (why) {
		must(*why, "no reason is given");
		return false;
	}
	again = malloc(HELLO);
	must(again, "memory");
	tp_wire_put_hello(again, hello);
	must(!memcmp(buf, again, HELLO), "a greeting is another one when encoded again");
	free(again);
	return true;
}

/* pages of the region that this lane is about: one byte for each */
struct pages {
	uint8_t *v;
	uint64_t nr;
};

static bool fits(const struct pages *r, uint64_t index, uint64_t count)
{
	bool good = tp_wire_fits(index, count, r->nr);

	must(good == (index < r->nr && (unsigned __int128)index + count <= r->nr),
	     "what fits into a region is not what lies in it");
	return good;
}

static bool mark(const struct pages *r, uint64_t index, uint64_t count)
{
	if (!fits(r, index, count))
		return false;
	memset(r->v + index, 1, count);
	return true;
}

/* entry @i of a payload, which has its end right there when it is the last one */
static bool get_demand(const uint8_t *payload, uint32_t i, const struct pages *r)
{
	uint8_t again[ENTRY];
	struct tp_demand d;

	tp_wire_get_demand(payload + i * TP_DEMAND_LEN, &d);
	tp_wire_put_demand(again, &d);
	must(!memcmp(again, payload + i * ENTRY, ENTRY),
	     "a demand is another one when encoded again");
	/* a page that is not there is answered, and the lane goes on */
	mark(r, d.index, 1);
	return true;
}

static bool get_run(const uint8_t *payload, uint32_t i, const struct pages *r)
{
	uint8_t again[ENTRY];
	struct tp_run run;

	tp_wire_get_run(payload + i * TP_RUN_LEN, &run);
	tp_wire_put_run(again, &run);
	must(!memcmp(again, payload + i * ENTRY, ENTRY), "a run is another one when encoded again");
	return mark(r, run.index, run.count);
}

static void get_entries(struct stream *s, const struct pages *r,
			bool (*get)(const uint8_t *, uint32_t, const struct pages *))
{
	uint32_t count = s->left / ENTRY;
	uint8_t *buf = take(s, (size_t)count * ENTRY);

	for (uint32_t i = 0; i < count; i++)
		get(buf, i, r);
	free(buf);
}

/* one message as the receive thread takes it; false: the lane is given up */
static bool get_message(struct stream *s, const struct tp_hdr *hdr, bool urgent,
			const struct pages *r)
{
	uint8_t *payload;
	bool good = true;

	if (hdr->type == MSG_HELLO || (!urgent && hdr->type != MSG_DATA && hdr->type != MSG_ZERO &&
					 hdr->type != MSG_FAIL))
		return false;
	if (hdr->type == MSG_DATA || hdr->type == MSG_ZERO) {
		if (!fits(r, hdr->index, hdr->count) ||
		    (urgent && (hdr->count != 1 || !hdr->gen)))
			return false;
	}
	payload = take(s, hdr->len);
	if (!payload)
		return false;
	if (hdr->type == MSG_DATA || hdr->type == MSG_ZERO)
		mark(r, hdr->index, hdr->count);
	for (uint32_t i = 0; hdr->type == MSG_DEMAND && i < hdr->count; i++)
		get_demand(payload, i, r);
	for (uint32_t i = 0; (hdr->type == MSG_WANT || hdr->type == MSG_STALE) && good && i < hdr->count; i++)
		good = get_run(payload, i, r);
	free(payload);
	return good;
}

static bool greeted(struct stream *s, bool urgent)
{
	uint8_t *buf = take(s, HEADER), *payload;
	struct tp_hello hello;
	struct tp_hdr hdr;
	bool good;

	if (!buf)
		return false;
	good = get_header(buf, &hdr) && hdr.type == MSG_HELLO;
	free(buf);
	payload = good ? take(s, hdr.len) : NULL;
	if (!payload)
		return false;
	good = get_hello(payload, &hello) && !hello.lane == urgent;
	free(payload);
	return good;
}

static void listen_to(struct stream *s, bool urgent, const struct pages *r)
{
	bool good = greeted(s, urgent);
	struct tp_hdr hdr;
	uint8_t *buf;

	while (good) {
		buf = take(s, HEADER);
		good = buf && get_header(buf, &hdr);
		free(buf);
		if (good)
			good = get_message(s, &hdr, urgent, r);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream s;
	struct tp_hello hello;
	struct tp_hdr hdr;
	struct pages r;
	uint8_t *buf;

	if (size < INPUT_HEAD)
		return 0;
	s = (struct stream){ data + INPUT_HEAD, size - INPUT_HEAD };
	r.nr = input_pages(data);
	r.v = calloc(r.nr, 1);
	must(r.v, "memory");
	switch (input_kind(data)) {
	case INPUT_LANE:
		listen_to(&s, input_urgent(data), &r);
		break;
	case INPUT_HEADER:
		buf = take(&s, HEADER);
		if (buf)
			get_header(buf, &hdr);
		free(buf);
		break;
	case INPUT_HELLO:
		buf = take(&s, HELLO);
		if (buf)
			get_hello(buf, &hello);
		free(buf);
		break;
	case INPUT_DEMANDS:
		get_entries(&s, &r, get_demand);
		break;
	case INPUT_RUNS:
		get_entries(&s, &r, get_run);
		break;
	case INPUT_KINDS:
		break;
	}
	free(r.v);
	return 0;
}
