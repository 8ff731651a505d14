// SPDX-License-Identifier: GPL-2.0
/*
 * mutate.c - how the wire's fuzzer makes a new input of an old one
 *
 * Blind changes seldom keep count and length of a header in step, and then nothing
 * behind that check is reached. So half of the changes know what a message is.
 */
#include <string.h>

#include "input.h"
#include "wire.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

/* where a header begins in the input; 0: it has none */
static size_t pick_header(const uint8_t *data, size_t size, uint32_t *state)
{
	size_t at = INPUT_HEAD, picked = 0;
	struct tp_hdr hdr;

	for (unsigned int n = 1; at + TP_HDR_LEN <= size; n++) {
		if (input_random(state) % n == 0)
			picked = at;
		memset(&hdr, 0, sizeof(hdr));
		tp_wire_get_hdr(data + at, &hdr);
		if (hdr.len > size - at - TP_HDR_LEN)
			break;
		at += TP_HDR_LEN + hdr.len;
	}
	return picked;
}

/* count and length as they belong together, or off by one */
static void make_fit(struct tp_hdr *hdr, uint32_t *state)
{
	hdr->codec = 0;
	hdr->len = 0;
	switch (hdr->type) {
	case TP_MSG_HELLO:
		hdr->len = TP_HELLO_LEN;
		break;
	case TP_MSG_DEMAND:
	case TP_MSG_WANT:
	case TP_MSG_STALE:
		hdr->len = hdr->count * TP_RUN_LEN;
		break;
	case TP_MSG_DATA:
		hdr->codec = input_random(state) % 4;
		hdr->len = hdr->count * TP_PAGE - !!hdr->codec;
		break;
	}
	if (input_random(state) % 8 == 0)
		hdr->len += input_random(state) % 2 ? 1 : -1;
}

static void change_field(uint8_t *header, uint32_t *state)
{
	struct tp_hdr hdr = { 0 };

	tp_wire_get_hdr(header, &hdr);
	switch (input_random(state) % 8) {
	case 0:
		hdr.type = input_random(state) % 8;
		break;
	case 1:
		hdr.codec = input_random(state) % 5;
		break;
	case 2:
		hdr.index = input_edge(state);
		break;
	case 3:
	case 4:
		hdr.count = input_edge(state);
		break;
	case 5:
		hdr.len = input_edge(state);
		break;
	case 6:
		hdr.gen = input_random(state) % 3;
		break;
	case 7:
		hdr.code = input_edge(state);
		break;
	}
	if (input_random(state) % 4)
		make_fit(&hdr, state);
	tp_wire_put_hdr(header, &hdr);
	/* what no field is */
	if (input_random(state) % 32 == 0)
		header[TP_HDR_LEN - 1 - input_random(state) % 2] = input_random(state);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	uint32_t state = seed | 1;
	size_t at;

	switch (input_random(&state) % 4) {
	case 0:
		if (size < INPUT_HEAD)
			break;
		at = pick_header(data, size, &state);
		if (!at)
			break;
		change_field(data + at, &state);
		return size;
	case 1:
		if (size < INPUT_HEAD || input_kind(data) != INPUT_LANE)
			break;
		at = input_message(data, size, max, 1 + input_random(&state) % 6, &state);
		if (at == size)
			break;
		return at;
	}
	return LLVMFuzzerMutate(data, size, max);
}
