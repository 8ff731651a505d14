// SPDX-License-Identifier: GPL-2.0
/*
 * input.c - messages for the wire's fuzzer, of our own encoder
 */
#include <string.h>

#include "input.h"
#include "wire.h"

uint32_t input_random(uint32_t *state)
{
	uint32_t x = *state;

	/* xorshift: good enough, and the same everywhere */
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	*state = x;
	return x;
}

/* a number that is near a bound of something */
uint64_t input_edge(uint32_t *state)
{
	static const uint64_t edges[] = {
		0, 1, TP_RUN_LEN, TP_HDR_LEN, TP_DATA_MAX, TP_LIST_MAX, TP_PAGE, TP_PAYLOAD_MAX,
		TP_LIST_MAX * TP_RUN_LEN, 1 << 16, 1ULL << 31, 1ULL << 32, 1ULL << 63,
	};
	uint64_t edge = edges[input_random(state) % (sizeof(edges) / sizeof(edges[0]))];

	return edge + input_random(state) % 3 - 1;
}

static size_t put_entries(uint8_t *buf, const struct tp_hdr *hdr, uint32_t *state)
{
	for (uint32_t i = 0; i < hdr->count; i++) {
		struct tp_demand d = { .export = hdr->export, .gen = i + 1 };
		struct tp_run r;

		d.index = input_random(state) % 4 ? i : input_edge(state);
		r.index = d.index;
		r.count = input_random(state) % 4 ? 1 : input_edge(state);
		if (hdr->type == TP_MSG_DEMAND)
			tp_wire_put_demand(buf + i * TP_DEMAND_LEN, &d);
		else
			tp_wire_put_run(buf + i * TP_RUN_LEN, &r);
	}
	return hdr->len;
}

size_t input_message(uint8_t *buf, size_t len, size_t max, unsigned int type, uint32_t *state)
{
	struct tp_hdr hdr = { .type = type, .export = 1, .index = input_random(state) % 8 };

	switch (type) {
	case TP_MSG_HELLO:
		return input_greeting(buf, len, max, input_random(state) % 2);
	case TP_MSG_DEMAND:
	case TP_MSG_WANT:
		hdr.count = 1 + input_random(state) % (input_random(state) % 8 ? 4 : TP_LIST_MAX);
		hdr.len = hdr.count * TP_RUN_LEN;
		break;
	case TP_MSG_DATA:
		hdr.codec = input_random(state) % 3;
		hdr.gen = input_random(state) % 2;
		hdr.count = 1;
		hdr.len = hdr.codec ? 1 + input_random(state) % 64 : TP_PAGE;
		break;
	case TP_MSG_ZERO:
		hdr.gen = input_random(state) % 2;
		hdr.count = 1 + input_random(state) % 64;
		break;
	case TP_MSG_STALE:
		hdr.gen = 1 + input_random(state) % 4;
		hdr.code = input_random(state) % 4;
		hdr.count = input_random(state) % 4;
		hdr.len = hdr.count * TP_RUN_LEN;
		break;
	case TP_MSG_ROUND:
		hdr.gen = 1 + input_random(state) % 4;
		break;
	case TP_MSG_FAIL:
		hdr.gen = 1;
		hdr.code = input_random(state) % 200;
		break;
	}
	if (max < len || max - len < TP_HDR_LEN + hdr.len)
		return len;
	tp_wire_put_hdr(buf + len, &hdr);
	len += TP_HDR_LEN;
	if (type == TP_MSG_DEMAND || type == TP_MSG_WANT || type == TP_MSG_STALE)
		return len + put_entries(buf + len, &hdr, state);
	memset(buf + len, 0x5a, hdr.len);
	return len + hdr.len;
}

size_t input_greeting(uint8_t *buf, size_t len, size_t max, unsigned int lane)
{
	struct tp_hdr hdr = { .type = TP_MSG_HELLO, .len = TP_HELLO_LEN };
	struct tp_hello hello = { .version = TP_WIRE_VERSION, .lane = lane };

	if (max < len || max - len < TP_HDR_LEN + TP_HELLO_LEN)
		return len;
	tp_wire_put_hdr(buf + len, &hdr);
	tp_wire_put_hello(buf + len + TP_HDR_LEN, &hello);
	return len + TP_HDR_LEN + TP_HELLO_LEN;
}
