/* SPDX-License-Identifier: GPL-2.0 */
/*
 * input.h - what an input of the wire's fuzzer looks like
 *
 * Byte 0 says which decoder gets the rest, byte 1 who listens: which lane it is and
 * how large the region. The rest is what the peer sends.
 */
#ifndef TELEPAGE_FUZZ_INPUT_H
#define TELEPAGE_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INPUT_HEAD	2
#define INPUT_MAX	8192		/* longer ones find no more, only slower */

enum input_kind {
	INPUT_LANE,			/* a greeting, then messages */
	INPUT_HEADER,
	INPUT_HELLO,
	INPUT_DEMANDS,
	INPUT_RUNS,
	INPUT_KINDS,
};

static inline enum input_kind input_kind(const uint8_t *data)
{
	return data[0] % INPUT_KINDS;
}

static inline bool input_urgent(const uint8_t *data)
{
	return data[1] & 1;
}

/* from 1 page to a few messages full */
static inline uint64_t input_pages(const uint8_t *data)
{
	return 1 + (uint64_t)(data[1] >> 1) * 33;
}

/*
 * Messages that could be real, of our own encoder, mostly with numbers at the edge
 * of what is allowed. @state: of the pseudo-random numbers, not 0.
 */
uint32_t input_random(uint32_t *state);
uint64_t input_edge(uint32_t *state);
/* appends a message at @len of @buf; the new length, or @len if it has no room */
size_t input_message(uint8_t *buf, size_t len, size_t max, unsigned int type, uint32_t *state);
size_t input_greeting(uint8_t *buf, size_t len, size_t max, unsigned int lane);

#endif /* TELEPAGE_FUZZ_INPUT_H */
