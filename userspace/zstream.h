/* SPDX-License-Identifier: GPL-2.0 */
/*
 * zstream.h - a byte stream, packed as one zstd frame or unpacked from it
 *
 * No sockets here, and no buffer that grows: both ways need about 2 MiB, whatever comes.
 * What is unpacked comes from somebody who may want harm: a frame that asks for a
 * larger window, another format that the library knows too, a dictionary, and anything
 * behind the frame's end are errors, and nothing is made but what the caller has room for.
 */
#ifndef TELEPAGE_ZSTREAM_H
#define TELEPAGE_ZSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ZSTREAM_WINDOW_LOG	20	/* 1 MiB; more is refused */

enum zstream_op {
	ZSTREAM_GO,			/* more input will come: what is best packed together stays */
	ZSTREAM_FLUSH,			/* for now there is none: nothing may stay */
	ZSTREAM_END,			/* there will never be more */
};

struct zstream;

struct zstream *zstream_pack(void);
struct zstream *zstream_unpack(void);
void zstream_free(struct zstream *z);	/* NULL is fine */

/*
 * Takes from @in, of which *@pos bytes of @len were taken before, and makes at most
 * @room bytes in @out. Returns how many it has made, or -EBADMSG: zstream_error() says
 * why, and that is all that will ever come. As long as it makes some it wants to be
 * called again with the same @op; else all input was taken.
 */
ssize_t zstream_step(struct zstream *z, enum zstream_op op, const void *in, size_t *pos,
		     size_t len, void *out, size_t room);
/* may it make more, without more input? */
bool zstream_holds(const struct zstream *z);
const char *zstream_error(const struct zstream *z);

#endif /* TELEPAGE_ZSTREAM_H */
