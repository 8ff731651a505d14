// SPDX-License-Identifier: GPL-2.0
/*
 * fusefile.c - a file of a filesystem that fails, or does not answer
 *
 * As NFS does whose server has gone. Speaks to /dev/fuse itself (linux/fuse.h): the root
 * of the filesystem is the file.
 */
#include <linux/fuse.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "fusefile.h"

#define WAITING_MAX	64
#define READ_MAX	(1 << 20)

struct wait {
	uint64_t unique;
	struct fuse_read_in in;
};

static struct {
	const char *path;
	int fd;
	uint32_t seed;
	unsigned long pages;
	pthread_t thread;
	pthread_mutex_t lock;		/* for what follows */
	enum fusefile_mood mood;
	bool (*which)(unsigned long page);
	struct wait waiting[WAITING_MAX];
	unsigned int nr_waiting;
} f = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void reply(uint64_t unique, int err, const void *body, size_t len)
{
	struct fuse_out_header h = { sizeof(h) + len, -err, unique };
	struct iovec v[2] = { { &h, sizeof(h) }, { (void *)body, len } };

	/* one that was interrupted is not there any more */
	if (writev(f.fd, v, len ? 2 : 1) < 0 && errno != ENOENT && errno != ENODEV)
		tk_die("/dev/fuse: %m");
}

/* under the lock */
static void answer(const struct wait *w)
{
	static uint8_t data[READ_MAX];
	unsigned long first = w->in.offset / TK_PAGE, end = first + w->in.size / TK_PAGE;

	if (end > f.pages)
		end = f.pages;
	for (unsigned long p = first; p < end; p++) {
		if (f.mood == FUSEFILE_FAILS && f.which(p)) {
			reply(w->unique, EIO, NULL, 0);
			return;
		}
		tk_page(data + (p - first) * TK_PAGE, f.seed, p);
	}
	reply(w->unique, 0, data, end > first ? (end - first) * TK_PAGE : 0);
}

static void to_read(uint64_t unique, const struct fuse_read_in *in)
{
	struct wait w = { unique, *in };

	if (in->size > READ_MAX || in->offset % TK_PAGE || in->size % TK_PAGE)
		tk_die("fuse: %u bytes at %llu", in->size, (unsigned long long)in->offset);
	pthread_mutex_lock(&f.lock);
	if (f.mood != FUSEFILE_SILENT)
		answer(&w);
	else if (f.nr_waiting == WAITING_MAX)
		tk_die("fuse: too many wait");
	else
		f.waiting[f.nr_waiting++] = w;
	pthread_mutex_unlock(&f.lock);
}

static void attributes(uint64_t unique)
{
	struct fuse_attr_out out = {
		.attr_valid = 3600,
		.attr = { .ino = 1, .size = f.pages * TK_PAGE, .blocks = f.pages * 8,
			  .mode = S_IFREG | 0600, .nlink = 1, .blksize = TK_PAGE },
	};

	reply(unique, 0, &out, sizeof(out));
}

static void one(const struct fuse_in_header *h, const void *body)
{
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = 31,
				      .max_write = TK_PAGE };
	struct fuse_open_out open = { .fh = 1 };

	switch (h->opcode) {
	case FUSE_INIT:
		init.max_readahead = ((const struct fuse_init_in *)body)->max_readahead;
		reply(h->unique, 0, &init, sizeof(init));
		break;
	case FUSE_GETATTR:
		attributes(h->unique);
		break;
	case FUSE_OPEN:
		reply(h->unique, 0, &open, sizeof(open));
		break;
	case FUSE_READ:
		to_read(h->unique, body);
		break;
	case FUSE_RELEASE:
		reply(h->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		reply(h->unique, ENOSYS, NULL, 0);
	}
}

static void *serve(void *arg)
{
	static union {
		struct fuse_in_header h;
		uint8_t room[FUSE_MIN_READ_BUFFER + 4096];
	} in;

	/* until it is unmounted */
	for (;;) {
		ssize_t n = read(f.fd, &in, sizeof(in));

		if (n < 0 && errno == ENODEV)
			return arg;
		if (n < 0 && errno != EINTR && errno != ENOENT && errno != EAGAIN)
			tk_die("/dev/fuse: %m");
		if (n >= (ssize_t)sizeof(in.h))
			one(&in.h, in.room + sizeof(in.h));
	}
}

void fusefile_open(const char *path, uint32_t seed, unsigned long pages)
{
	char options[96];
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	if (fd < 0)
		tk_die("%s: %m", path);
	close(fd);
	f.path = path;
	f.seed = seed;
	f.pages = pages;
	f.mood = FUSEFILE_WELL;
	f.fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (f.fd < 0)
		tk_die("/dev/fuse: %m");
	snprintf(options, sizeof(options), "fd=%d,rootmode=100600,user_id=0,group_id=0", f.fd);
	if (mount("fusefile", path, "fuse", MS_RDONLY, options))
		tk_die("mount %s: %m", path);
	f.thread = tk_thread(serve, &f);
	/*
	 * Who closes it asks to flush, until that was refused once: a program that dies would
	 * wait for its own answer.
	 */
	close(open(path, O_RDONLY | O_CLOEXEC));
}

void fusefile_set(enum fusefile_mood mood, bool (*which)(unsigned long page))
{
	pthread_mutex_lock(&f.lock);
	f.mood = mood;
	f.which = which;
	if (mood != FUSEFILE_SILENT) {
		for (unsigned int i = 0; i < f.nr_waiting; i++)
			answer(&f.waiting[i]);
		f.nr_waiting = 0;
	}
	pthread_mutex_unlock(&f.lock);
}

void fusefile_rewrite(uint32_t seed)
{
	pthread_mutex_lock(&f.lock);
	f.seed = seed;
	pthread_mutex_unlock(&f.lock);
}

unsigned int fusefile_waiting(void)
{
	unsigned int n;

	pthread_mutex_lock(&f.lock);
	n = f.nr_waiting;
	pthread_mutex_unlock(&f.lock);
	return n;
}

bool fusefile_close(void)
{
	if (!tk_until(!umount(f.path)))
		return false;
	if (!tk_join(f.thread))
		tk_die("fuse: its thread does not end");
	close(f.fd);
	unlink(f.path);
	return true;
}
