// SPDX-License-Identifier: GPL-2.0
/*
 * the memory of a VM that has left, when the disk that is to keep it has no room: plan_keep.c
 *
 * The disk is full after any number of bytes, and any time that it is asked whether it has
 * everything. Then nothing of the new image is left, and the one that was there is as it was.
 */
#include <errno.h>
#include <jansson.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "images.h"
#include "index_format.h"
#include "pages.h"
#include "plan_job.h"
#include "tap.h"
#include "tmpfile.h"

#define PAGES		300U		/* of region "vm": more than are copied at once */
#define DATA		260U		/* of them are not zero */
#define HANG_S		120
#define NO_LIMIT	(1ULL << 40)

static char top[] = "/tmp/tp-keep.XXXXXX";

/* --- the disk --------------------------------------------------------------------- */

static struct {
	bool limited;
	uint64_t room;			/* bytes that it still has */
	int syncs;			/* that it still does, negative: all */
	int error;			/* what it says then */
} disk;

/* as it is in the C library, but for what does not fit */
ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
	if (disk.limited && len > disk.room)
		len = disk.room;
	if (disk.limited && !len) {
		errno = disk.error;
		return -1;
	}
	if (disk.limited)
		disk.room -= len;
	return syscall(SYS_pwrite64, fd, buf, len, at);
}

int fsync(int fd)
{
	(void)fd;
	if (!disk.syncs) {
		errno = disk.error;
		return -1;
	}
	disk.syncs -= disk.syncs > 0;
	return 0;
}

static void disk_of(bool limited, uint64_t room, int syncs, int error)
{
	disk.limited = limited;
	disk.room = room;
	disk.syncs = syncs;
	disk.error = error;
}

static void disk_fine(void)
{
	disk_of(false, 0, -1, 0);
}

/* --- what is there ------------------------------------------------------------------ */

static int ids[PAGES];

/* the memory of the VM: its second stay has other pages */
static void make_region(int stay)
{
	for (unsigned int p = 0; p < PAGES; p++)
		ids[p] = p % 8 == 7 && p < 8 * (PAGES - DATA) ? 0 : 2 + (int)p + stay * 1000;
	close(make_pages(top, "vm", ids, PAGES, 0));
}

static int keep(void)
{
	struct plan_job job = { .group = "g", .nr = 1 };
	digest_t sum;

	snprintf(job.region[0].name, sizeof(job.region[0].name), "vm");
	job.region[0].pages = PAGES;
	return plan_keep(&job, 0, NULL, sum);
}

/* which stay the image is of; -1: none, or something else is there, too; @index: is it right? */
static int stay_of_image(bool *index)
{
	uint8_t page[PAGE], want[PAGE];
	struct images_entry *v;
	struct index *ix;
	int fd, stay = -1;
	char file[PATH_MAX];
	bool same = true;
	digest_t d;
	size_t n;

	snprintf(file, sizeof(file), "%s/g/vm.mem" TMP_SUFFIX, agent.images);
	same &= access(file, F_OK) != 0;
	snprintf(file, sizeof(file), "%s/g/vm.mem" INDEX_SUFFIX TMP_SUFFIX, agent.images);
	same &= access(file, F_OK) != 0;
	*index = false;
	if (images_list(agent.images, NULL, &v, &n) || n != 1) {
		images_free(v, n);
		return -1;
	}
	fd = images_open(&v[0], &ix);
	for (unsigned int p = 0; same && p < PAGES; p++) {
		int id = p % 8 == 7 && p < 8 * (PAGES - DATA) ? 0 : 2 + (int)p;

		same = pread(fd, page, PAGE, p * PAGE) == (ssize_t)PAGE;
		for (stay = stay < 0 ? 1 : stay; stay >= 0; stay--) {
			content(want, id ? id + stay * 1000 : 0);
			if (!memcmp(page, want, PAGE))
				break;
		}
		digest_of(id ? id + stay * 1000 : 0, d);
		same &= stay >= 0 && (!ix || !memcmp(index_digest(ix, p), d, sizeof(d)));
	}
	*index = ix;
	index_close(ix);
	close(fd);
	images_free(v, n);
	return same ? stay : -1;
}

/* --- the tests ------------------------------------------------------------------------ */

static void full_anywhere(void)
{
	/* what an image and its index write, at most */
	uint64_t most = PAGES * PAGE + PAGES * 36 + 4096, room;
	unsigned int wrong = 0, refused = 0, bare = 0, whole = 0;
	bool index = false;

	for (room = 0; room <= most && !wrong; room += 3000) {
		int err, stay;

		disk_fine();
		make_region(0);
		wrong += keep() != 0;
		make_region(1);
		disk_of(true, room, -1, room % 2000 ? ENOSPC : EDQUOT);
		err = keep();
		disk_fine();
		stay = stay_of_image(&index);
		if (err) {
			/* that is the image that was there */
			refused++;
			wrong += err != -disk.error && err != -ENOSPC && err != -EDQUOT;
			wrong += stay != 0 || !index;
		} else {
			wrong += stay != 1;
			whole += index;
			bare += !index;
		}
		if (wrong)
			tap_note("room %lu: %d, stay %d, index %d", (unsigned long)room, err, stay,
				 index);
	}
	tap_ok(!wrong, "a disk that is full: the old image or the new one, whole");
	tap_ok(refused > DATA * PAGE / 3000 - 2, "it is full in the middle of the image");
	tap_ok(bare > 0, "or of its index, without which the image is kept");
	tap_ok(whole > 0, "or has room for both");
}

static void full_at_sync(void)
{
	bool index;

	disk_fine();
	make_region(0);
	keep();
	make_region(1);
	disk_of(false, 0, 0, ENOSPC);
	tap_ok(keep() == -ENOSPC, "a disk that tells of it late is heard");
	disk_fine();
	tap_ok(!stay_of_image(&index) && index, "the image that was there is, with its index");
	tap_ok(!keep() && stay_of_image(&index) == 1 && index, "when there is room it is replaced");
}

static void no_budget(void)
{
	uint64_t data = 0;
	bool index;

	make_region(0);
	for (unsigned int p = 0; p < PAGES; p++)
		data += ids[p] != 0;
	agent.keep_images = index_bytes(PAGES, data) + data * PAGE - 1;
	tap_ok(keep() == -EFBIG, "an image that does not fit into the budget with its index");
	tap_ok(stay_of_image(&index) == 1 && index, "costs nothing that is there");
	/* which has one byte more, and takes the old one's place */
	agent.keep_images++;
	tap_ok(!keep() && stay_of_image(&index) == 0 && index, "what is zero takes no room");
	make_region(1);
	keep();
	agent.keep_images = NO_LIMIT;
}

/* it dies in the middle: what it has written goes with the next one */
static void dies(void)
{
	bool index;
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct images_keep *k;

		if (images_keep_open(agent.images, "g", "vm", PAGES * PAGE, PAGES * PAGE, NO_LIMIT,
				     &k))
			_exit(1);
		_exit(pwrite(images_keep_fd(k), top, sizeof(top), 0) < 0);
	}
	tap_ok(waitpid(pid, &status, 0) == pid && !status, "somebody dies while he keeps an image");
	tap_ok(stay_of_image(&index) == -1, "something of it is left");
	images_sweep(agent.images);
	tap_ok(stay_of_image(&index) == 1 && index, "until somebody looks");
}

int main(void)
{
	char command[64];

	alarm(HANG_S);
	if (!mkdtemp(top))
		return 1;
	agent.dir = top;
	agent.state = top;
	agent.images = xasprintf("%s/images", top);
	agent.keep_images = NO_LIMIT;
	disk_fine();
	full_anywhere();
	full_at_sync();
	no_budget();
	dies();
	snprintf(command, sizeof(command), "rm -r %s", top);
	if (system(command))
		return 1;
	return tap_done();
}
