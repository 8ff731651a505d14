// SPDX-License-Identifier: GPL-2.0
/*
 * seeds.c - inputs for the wire's fuzzer to begin with
 *
 *	fuzz_seeds DIR		writes them into DIR, which is there
 */
#include <stdio.h>
#include <stdlib.h>

#include "input.h"
#include "wire.h"

static unsigned int written;

static void put(const char *dir, const uint8_t *buf, size_t len)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/seed-%03u", dir, written++);
	f = fopen(path, "w");
	if (!f || fwrite(buf, 1, len, f) != len || fclose(f)) {
		perror(path);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	uint8_t buf[INPUT_MAX];
	uint32_t state = 1;
	size_t len;

	if (argc != 2) {
		fputs("usage: fuzz_seeds DIR\n", stderr);
		return 2;
	}
	/* each kind of message on each kind of lane, alone and among others */
	for (unsigned int lane = 0; lane < 2; lane++) {
		for (unsigned int type = TP_MSG_HELLO; type <= TP_MSG_ROUND + 1; type++) {
			buf[0] = INPUT_LANE;
			buf[1] = 16 | !lane;
			len = input_greeting(buf, INPUT_HEAD, sizeof(buf), lane);
			len = input_message(buf, len, sizeof(buf), type, &state);
			put(argv[1], buf, len);
			for (unsigned int next = TP_MSG_DEMAND; next <= TP_MSG_ROUND; next++)
				len = input_message(buf, len, sizeof(buf), next, &state);
			put(argv[1], buf, len);
		}
	}
	for (unsigned int type = TP_MSG_HELLO; type <= TP_MSG_ROUND; type++) {
		buf[0] = INPUT_HEADER;
		input_message(buf, INPUT_HEAD, sizeof(buf), type, &state);
		put(argv[1], buf, INPUT_HEAD + TP_HDR_LEN);
	}
	for (unsigned int kind = INPUT_HELLO; kind < INPUT_KINDS; kind++) {
		static const uint8_t of[INPUT_KINDS] = {
			[INPUT_HELLO] = TP_MSG_HELLO,
			[INPUT_DEMANDS] = TP_MSG_DEMAND,
			[INPUT_RUNS] = TP_MSG_WANT,
		};

		/* the payload of such a message, where its header was */
		len = input_message(buf, INPUT_HEAD, sizeof(buf), of[kind], &state);
		buf[TP_HDR_LEN] = kind;
		buf[TP_HDR_LEN + 1] = 16;
		put(argv[1], buf + TP_HDR_LEN, len - TP_HDR_LEN);
	}
	return 0;
}
