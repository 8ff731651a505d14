// SPDX-License-Identifier: GPL-2.0
/* files that may have pages of a VM: images.c, images_keep.c, images_store.c */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images.h"
#include "index_format.h"
#include "parse.h"
#include "tap.h"

#define PAGE	4096UL
#define MIB	(1024 * 1024UL)
#define NO_LIMIT (1ULL << 40)
#define HANG_S	120

static char top[] = "/tmp/tp-images.XXXXXX";
static char dir[PATH_MAX];		/* the store */

static char *in(const char *base, const char *rest)
{
	static char path[4][PATH_MAX];
	static unsigned int i;

	i = (i + 1) % 4;
	if (snprintf(path[i], PATH_MAX, "%s/%s", base, rest) >= PATH_MAX)
		exit(1);
	return path[i];
}

static bool is_there(const char *file)
{
	struct stat st;

	return !lstat(in(dir, file), &st);
}

static void fill(int fd, uint64_t pages, int seed)
{
	uint8_t page[PAGE];

	for (uint64_t i = 0; i < pages; i++) {
		memset(page, seed, PAGE);
		memcpy(page, &i, sizeof(i));
		if (pwrite(fd, page, PAGE, i * PAGE) != (ssize_t)PAGE)
			exit(1);
	}
}

static void make_file(const char *path, uint64_t pages, int seed)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		exit(1);
	fill(fd, pages, seed);
	close(fd);
}

/* keeps @pages pages of data, in an image of twice the size */
static int keep(const char *group, const char *name, uint64_t pages, uint64_t budget)
{
	const struct digest_opts o = { .threads = 1 };
	struct images_keep *k;
	int err = images_keep_open(dir, group, name, 2 * pages * PAGE, 2 * pages * PAGE, budget,
				   &k);

	if (err)
		return err;
	fill(images_keep_fd(k), pages, name[0]);
	return images_keep_commit(k, NULL, &o);
}

/* when it and its index were written, seconds before now */
static void age(const char *file, long seconds)
{
	const struct timespec t[2] = { { .tv_nsec = UTIME_OMIT },
				       { .tv_sec = time(NULL) - seconds } };
	char index[PATH_MAX];

	snprintf(index, sizeof(index), "%s" INDEX_SUFFIX, file);
	if (utimensat(AT_FDCWD, in(dir, file), t, 0))
		exit(1);
	utimensat(AT_FDCWD, in(dir, index), t, 0);
}

/* "group/name:kind group/name:kind", an index as i or s */
static const char *listed(const char *group)
{
	static char text[4096];
	struct images_entry *v;
	size_t n, len = 0;
	int err = images_list(dir, group, &v, &n);

	snprintf(text, sizeof(text), "%d", err);
	if (err)
		return text;
	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		len += snprintf(text + len, sizeof(text) - len, "%s%s/%s:%s%s%s%s", i ? " " : "",
				v[i].group, v[i].name, v[i].kept ? "kept" : "disk",
				v[i].indexed ? ":i" : "", v[i].stale ? ":s" : "",
				v[i].malformed ? ":none" : v[i].err ? ":gone" : "");
	images_free(v, n);
	return text;
}

/* the one entry @name, to be freed */
static struct images_entry *entry(const char *group, const char *name, size_t *n)
{
	struct images_entry *v;

	if (images_list(dir, group, &v, n))
		exit(1);
	for (size_t i = 0; i < *n; i++)
		if (!strcmp(v[i].name, name)) {
			struct images_entry e = v[i];

			v[i] = v[0];
			v[0] = e;
			return v;
		}
	tap_ok(false, "there is %s/%s", group, name);
	exit(tap_done());
}

static void clean(void)
{
	char cmd[PATH_MAX + 16];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd))
		exit(1);
}

/* --- what is kept ------------------------------------------------------------------ */

static void keeping(void)
{
	struct images_keep *k, *k2;
	struct images_entry *v;
	struct index *ix;
	struct stat st;
	digest_t *d;
	char buf[PAGE];
	size_t n;
	int fd;

	tap_str(listed(NULL), "", "no store, no images");
	tap_ok(!images_keep_open(dir, "g", "vm0", 64 * PAGE, 64 * PAGE, NO_LIMIT, &k),
	       "one is begun");
	tap_str(listed(NULL), "", "it is none yet");
	tap_ok(images_keep_open(dir, "g", "vm0", 64 * PAGE, 64 * PAGE, NO_LIMIT, &k2) ==
	       -EBUSY && !k2,
	       "nobody else begins it");
	tap_ok(!fstat(images_keep_fd(k), &st) && st.st_size >= 64 * (off_t)PAGE &&
	       lseek(images_keep_fd(k), 0, SEEK_DATA) == 64 * (off_t)PAGE,
	       "it has its size, and nothing in it");
	tap_ok((st.st_mode & 07777) == 0600, "and is nobody else's");
	tap_ok(!stat(in(dir, "g"), &st) && (st.st_mode & 07777) == 0700, "as the directory is");
	images_keep_drop(k);
	tap_ok(!is_there("g"), "dropped, it is gone, and nothing tells of the group");
	images_keep_drop(NULL);

	tap_ok(!keep("g", "vm0", 20, NO_LIMIT), "one is kept");
	tap_ok(!is_there("g/vm0.mem.tmp") && !is_there("g/vm0.mem.tpi.tmp"), "and nothing else");
	tap_str(listed(NULL), "g/vm0:kept:i", "it is listed, with an index");
	tap_ok(!stat(in(dir, "g/vm0.mem"), &st) && (st.st_mode & 07777) == 0600 &&
	       (uint64_t)st.st_blocks * 512 < 30 * PAGE, "it is sparse, and ours");
	v = entry("g", "vm0", &n);
	tap_ok(v->size == 40 * PAGE && v->bytes >= 20 * PAGE && v->bytes < 40 * PAGE,
	       "with its sizes: %lu, %lu", (unsigned long)v->size, (unsigned long)v->bytes);
	fd = images_open(v, &ix);
	tap_ok(fd >= 0 && ix && index_pages(ix) == 40 && !index_check(ix), "it opens");
	tap_ok(pread(fd, buf, PAGE, 19 * PAGE) == (ssize_t)PAGE && buf[0] == 19 && buf[9] == 'v',
	       "it is what was written");
	index_close(ix);
	close(fd);
	images_free(v, n);

	/* again, while the old one is open, with digests that are known (and wrong) */
	d = calloc(10, sizeof(*d));
	memset(d, 0x77, sizeof(*d));
	tap_ok(!images_keep_open(dir, "g", "vm0", 10 * PAGE, 10 * PAGE, NO_LIMIT, &k),
	       "another of that name");
	tap_str(listed("g"), "g/vm0:kept:i", "the old one is there until then");
	fill(images_keep_fd(k), 5, 'x');
	tap_ok(!images_keep_commit(k, d, NULL), "takes its place");
	tap_str(listed("g"), "g/vm0:kept:i", "with the index that was given");
	v = entry("g", "vm0", &n);
	fd = images_open(v, &ix);
	tap_ok(fd >= 0 && ix && v->size == 10 * PAGE &&
	       !memcmp(index_digest(ix, 0), d[0], DIGEST_SIZE), "it is the new one");
	index_close(ix);
	close(fd);
	images_free(v, n);
	free(d);

	tap_ok(!images_keep_open(dir, "g", "vm1", 10 * PAGE, 10 * PAGE, NO_LIMIT, &k) &&
	       !images_keep_commit(k, NULL, NULL), "one without an index");
	tap_str(listed("g"), "g/vm0:kept:i g/vm1:kept", "is listed without");
	if (truncate(in(dir, "g/vm0.mem"), 11 * PAGE))
		exit(1);
	tap_str(listed("g"), "g/vm0:kept:s g/vm1:kept", "what has changed has a stale one");
	v = entry("g", "vm0", &n);
	fd = images_open(v, &ix);
	tap_ok(fd >= 0 && !ix, "which is not used");
	close(fd);
	images_free(v, n);

	tap_ok(!images_remove(dir, "g", "vm0", IMAGES_ALL), "removed");
	tap_str(listed(NULL), "g/vm1:kept", "it is gone");
	tap_ok(!is_there("g/vm0.mem.tpi"), "so is its index");
	tap_ok(images_remove(dir, "g", "vm0", IMAGES_ALL) == -ENOENT, "and is not there");
	tap_ok(images_remove(dir, "h", "vm1", IMAGES_ALL) == -ENOENT, "nor is it another group's");
	tap_ok(!images_remove(dir, "g", "vm1", IMAGES_ALL) && !is_there("g"), "the last one, and its group");
	clean();
}

/* a process that dies while it keeps an image */
static void die_keeping(void)
{
	struct images_keep *k;
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (!images_keep_open(dir, "g", "left", 10 * PAGE, 10 * PAGE, NO_LIMIT, &k))
			fill(images_keep_fd(k), 5, 'l');
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		exit(1);
}

/* --- room ---------------------------------------------------------------------------- */

static void room(void)
{
	/* of an image of twice 256 pages: what it may take at most, what it takes */
	uint64_t most = 2 * MIB + 512 * 36 + 128;
	struct images_entry *v;
	struct images_keep *k, *k2;
	struct index *ix;
	uint64_t takes;
	size_t n;

	tap_ok(keep("g", "vm0", 256, 0) == -EFBIG, "a budget of nothing keeps nothing");
	tap_ok(!is_there(""), "not even a directory");
	tap_ok(keep("g", "vm0", 256, most - 1) == -EFBIG, "one byte too little");
	tap_str(listed(NULL), "", "is too little");
	tap_ok(!keep("g", "vm0", 256, most), "just enough is enough");
	v = entry("g", "vm0", &n);
	takes = v->bytes;
	images_free(v, n);
	tap_ok(takes < most && takes > 1 * MIB, "takes %lu", (unsigned long)takes);

	/* room for three, and one that comes */
	keep("h", "vm1", 256, NO_LIMIT);
	keep("g", "vm2", 256, NO_LIMIT);
	age("g/vm0.mem", 100);
	age("h/vm1.mem", 300);
	age("g/vm2.mem", 200);
	tap_ok(!keep("g", "vm3", 256, 3 * takes + most), "a fourth one fits");
	tap_str(listed(NULL), "g/vm0:kept:s g/vm2:kept:s g/vm3:kept:i h/vm1:kept:s", "all stay");
	age("g/vm3.mem", 50);
	tap_ok(keep("g", "vm4", 10000, 3 * takes + most) == -EFBIG, "one that fits at no price");
	tap_str(listed(NULL), "g/vm0:kept:s g/vm2:kept:s g/vm3:kept:s h/vm1:kept:s", "costs none");
	tap_ok(!keep("g", "vm4", 256, 3 * takes + most), "a fifth one");
	tap_str(listed(NULL), "g/vm0:kept:s g/vm2:kept:s g/vm3:kept:s g/vm4:kept:i",
		"takes the place of the oldest, whosever it is");
	age("g/vm4.mem", 10);
	tap_ok(!keep("g", "vm5", 256, takes + most), "with less room");
	tap_str(listed(NULL), "g/vm4:kept:s g/vm5:kept:i", "more have to go");
	tap_ok(!is_there("g/vm0.mem.tpi") && !is_there("g/vm3.mem.tpi"), "with their indexes");
	tap_ok(!is_there("h"), "a group of which the last one went is none any more");
	tap_ok(!keep("g", "vm5", 256, takes + most), "what is replaced");
	tap_str(listed(NULL), "g/vm4:kept:s g/vm5:kept:i", "goes before what is older");
	clean();

	/* of use is as good as new */
	keep("g", "vm0", 256, NO_LIMIT);
	keep("g", "vm1", 256, NO_LIMIT);
	age("g/vm0.mem", 300);
	age("g/vm1.mem", 200);
	v = entry("g", "vm0", &n);
	tap_ok(v->stale, "its index is stale");
	close(images_open(v, &ix));
	images_free(v, n);
	v = entry("g", "vm0", &n);
	tap_ok(v->when <= time(NULL) - 300, "then looking at it is no use");
	images_free(v, n);
	clean();
	keep("g", "vm0", 256, NO_LIMIT);
	v = entry("g", "vm0", &n);
	{
		const struct timespec t[2] = { { .tv_nsec = UTIME_OMIT },
					       { .tv_sec = time(NULL) - 1000 } };
		int fd = open(v->path, O_RDWR | O_CLOEXEC);

		futimens(fd, t);
		tap_ok(!index_build(fd, v->index, NULL, NULL, NULL), "an old image with an index");
		close(fd);
		utimensat(AT_FDCWD, v->index, t, 0);
	}
	images_free(v, n);
	keep("g", "vm1", 256, NO_LIMIT);
	age("g/vm1.mem", 500);
	v = entry("g", "vm0", &n);
	tap_ok(v->indexed && v->when <= time(NULL) - 1000, "is old");
	close(images_open(v, &ix));
	index_close(ix);
	images_free(v, n);
	v = entry("g", "vm0", &n);
	tap_ok(v->indexed && v->when > time(NULL) - 400, "until it is of use");
	images_free(v, n);
	tap_ok(!keep("g", "vm2", 256, takes + most), "so when there is no room");
	tap_str(listed(NULL), "g/vm0:kept:i g/vm2:kept:i", "another goes");

	/* others that are being written count, what was left over does not */
	tap_ok(!images_keep_open(dir, "h", "big", 4 * MIB, 4 * MIB, NO_LIMIT, &k),
	       "a large one is coming");
	tap_ok(keep("g", "vm3", 256, 2 * most) == -EFBIG, "its room is not another's");
	tap_ok(!keep("g", "vm3", 256, 4 * MIB + 1024 * 36 + 128 + most), "beside it there is some");
	images_keep_drop(k);
	die_keeping();
	tap_ok(is_there("g/left.mem.tmp"), "somebody has died");
	tap_ok(!keep("g", "vm4", 256, most), "then there is room");
	tap_ok(!is_there("g/left.mem.tmp"), "and nothing of it");
	die_keeping();
	images_remove(dir, "g", "vm4", IMAGES_ALL);
	if (mkdir(in(dir, "lost+found"), 0700))
		exit(1);
	images_sweep(dir);
	tap_ok(!is_there("g") && is_there("lost+found"),
	       "nor of its group, when there is nothing else; what was empty is not ours");
	rmdir(in(dir, "lost+found"));
	keep("g", "vm4", 256, NO_LIMIT);
	tap_str(listed(NULL), "g/vm4:kept:i", "nor of others");

	/* a large one that is mostly zero is small, also to others while it is being written */
	most = MIB + 16384 * 32 + 256 * 4 + 128;
	tap_ok(images_keep_open(dir, "h", "big", 64 * MIB, MIB, takes + most - 1, &k) == 0,
	       "one that is mostly zero takes the place of another when there is no room");
	tap_str(listed(NULL), "", "for what is not");
	images_keep_drop(k);
	keep("g", "vm4", 256, NO_LIMIT);
	tap_ok(!images_keep_open(dir, "h", "big", 64 * MIB, MIB, takes + most, &k),
	       "where there is room for that");
	tap_ok(!images_keep_open(dir, "h", "small", 2 * MIB, 256 * PAGE, takes + 2 * most, &k2),
	       "also for one beside it");
	tap_str(listed(NULL), "g/vm4:kept:i", "another stays");
	images_keep_drop(k2);
	fill(images_keep_fd(k), 256, 'b');
	tap_ok(!images_keep_commit(k, NULL, NULL), "and both are there");
	v = entry("h", "big", &n);
	tap_ok(v && v->size == 64 * MIB && v->bytes <= most, "as large as it has to be");
	images_free(v, n);
	images_remove(dir, "h", "big", IMAGES_ALL);

	/* more than any disk has */
	tap_ok(images_keep_open(dir, "g", "vm5", 1ULL << 60, 1ULL << 60, UINT64_MAX, &k) ==
	       -ENOSPC && !k,
	       "the disk is not that large");
	tap_ok(images_keep_open(dir, "g", "vm5", UINT64_MAX, UINT64_MAX, UINT64_MAX, &k) ==
	       -EFBIG && !k,
	       "nothing is");
	tap_ok(images_keep_open(dir, "i", "vm5", 1ULL << 60, 1ULL << 60, UINT64_MAX, &k) ==
	       -ENOSPC && !is_there("i"), "and no group comes of it");
	tap_str(listed(NULL), "g/vm4:kept:i", "it cost nothing");
	tap_ok(!is_there("g/vm5.mem.tmp"), "and left nothing");
	clean();
}

/* --- what is registered --------------------------------------------------------------- */

static void registered(void)
{
	char *disk = strdup(in(top, "disk.qcow2")), *link = strdup(in(top, "link"));
	struct images_entry *v;
	struct index *ix;
	size_t n;
	int fd;

	make_file(disk, 30, 'd');
	if (symlink(disk, link))
		exit(1);
	tap_ok(!images_add(dir, "g", "base", disk), "a disk is registered");
	tap_str(listed(NULL), "g/base:disk", "and listed");
	tap_ok(!images_add(dir, "g", "base", link), "through a link it is the same");
	tap_ok(images_add(dir, "g", "base", in(dir, "g/base.link")) == -EEXIST,
	       "another one is not, by that name");
	tap_ok(!images_add(dir, "h", "base", disk), "but by another group");
	v = entry("g", "base", &n);
	tap_str(v->path, disk, "it is where it is");
	tap_ok(!strncmp(v->index, disk, strlen(disk)), "and its index is there, too");
	fd = images_open(v, &ix);
	tap_ok(fd >= 0 && !ix, "it opens, without an index");
	tap_ok(!index_build(fd, v->index, NULL, NULL, NULL), "that is made");
	close(fd);
	images_free(v, n);
	tap_str(listed(NULL), "g/base:disk:i h/base:disk:i", "for both of them");
	v = entry("g", "base", &n);
	fd = images_open(v, &ix);
	tap_ok(fd >= 0 && ix && index_pages(ix) == 30, "it opens, with an index");
	index_close(ix);
	close(fd);
	images_free(v, n);

	tap_ok(!images_remove(dir, "g", "base", IMAGES_ALL), "one forgets it");
	tap_str(listed(NULL), "h/base:disk:i", "the other does not");
	make_file(disk, 31, 'e');
	tap_str(listed(NULL), "h/base:disk:s", "it has changed");
	tap_ok(!images_remove(dir, "h", "base", IMAGES_ALL), "now both have forgotten it");
	tap_ok(access(in(top, "disk.qcow2" INDEX_SUFFIX), F_OK) && !access(disk, F_OK),
	       "then the index is gone, and nothing else");
	make_file(in(top, "disk.qcow2" INDEX_SUFFIX), 1, 'x');
	images_add(dir, "g", "base", disk);
	images_remove(dir, "g", "base", IMAGES_ALL);
	tap_ok(!access(in(top, "disk.qcow2" INDEX_SUFFIX), F_OK), "nor what only is called so");
	unlink(in(top, "disk.qcow2" INDEX_SUFFIX));

	/* a directory of the path becomes a link, to where others' images are */
	if (mkdir(in(top, "mine"), 0700) || mkdir(in(top, "theirs"), 0700))
		exit(1);
	make_file(in(top, "mine/disk"), 3, 'm');
	make_file(in(top, "theirs/disk"), 3, 't');
	tap_ok(!images_add(dir, "g", "mine", in(top, "mine/disk")), "one in a directory");
	tap_str(listed(NULL), "g/mine:disk", "is there");
	if (rename(in(top, "mine"), in(top, "was")) || symlink("theirs", in(top, "mine")))
		exit(1);
	tap_str(listed(NULL), "g/mine:disk:gone", "with a link in between it is not");
	v = entry("g", "mine", &n);
	tap_ok(images_open(v, NULL) == -ELOOP, "and does not open");
	images_free(v, n);
	unlink(in(top, "mine"));
	tap_str(listed(NULL), "g/mine:disk:gone", "without it neither");
	tap_ok(!images_remove(dir, "g", "mine", IMAGES_ALL), "what is gone can be forgotten");
	tap_str(listed(NULL), "", "then it is");

	/* a kept and a registered one of one name do not meet */
	tap_ok(!keep("g", "both", 10, NO_LIMIT) && !images_add(dir, "g", "both", disk),
	       "two of one name");
	tap_str(listed(NULL), "g/both:kept:i g/both:disk", "are two");
	tap_ok(images_remove(dir, "g", "both", 0) == -ENOENT, "neither is asked for");
	tap_ok(!images_remove(dir, "g", "both", IMAGES_DISK) && !access(disk, F_OK),
	       "one goes alone");
	tap_str(listed(NULL), "g/both:kept:i", "that one");
	tap_ok(images_remove(dir, "g", "both", IMAGES_DISK) == -ENOENT, "once");
	images_add(dir, "g", "both", disk);
	tap_ok(!images_remove(dir, "g", "both", IMAGES_KEPT), "so does the other");
	tap_str(listed(NULL), "g/both:disk", "with its index");
	tap_ok(!keep("g", "both", 10, NO_LIMIT) &&
	       !images_remove(dir, "g", "both", IMAGES_ALL) && !access(disk, F_OK),
	       "or they go together");
	tap_str(listed(NULL), "", "both");
	free(disk);
	free(link);
	clean();
}

/* --- what does not belong there ---------------------------------------------------------- */

static void names(void)
{
	static const char *const bad[] = {
		"", ".", "..", "../x", "a/b", "/etc", "..hidden", "./x", "a b", "a\n", "\xc3\xa4",
		"0123456789012345678901234567890123456789012345678901234567890123",
	};
	char *disk = strdup(in(top, "disk.qcow2"));
	struct images_entry *v = NULL;
	struct images_keep *k = NULL;
	size_t n = 0, taken = 0;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		taken += images_keep_open(dir, "g", bad[i], PAGE, PAGE, NO_LIMIT, &k) != -EINVAL;
		taken += images_keep_open(dir, bad[i], "n", PAGE, PAGE, NO_LIMIT, &k) != -EINVAL;
		taken += images_add(dir, "g", bad[i], disk) != -EINVAL;
		taken += images_add(dir, bad[i], "n", disk) != -EINVAL;
		taken += images_remove(dir, "g", bad[i], IMAGES_ALL) != -EINVAL;
		taken += images_remove(dir, bad[i], "n", IMAGES_ALL) != -EINVAL;
		taken += images_list(dir, bad[i], &v, &n) != -EINVAL;
		if (taken) {
			tap_note("'%s'", bad[i]);
			break;
		}
	}
	tap_ok(!taken && !k && !v && !n, "names that are none are refused");
	tap_ok(!is_there(""), "before anything is made");
	tap_ok(!keep("g.mem", "a.mem", 3, NO_LIMIT) && !images_add(dir, "g.mem", "a.mem", disk) &&
	       !images_add(dir, "g.mem", "a.mem.mem", disk), "names may look like others");
	tap_str(listed(NULL), "g.mem/a.mem:kept:i g.mem/a.mem:disk g.mem/a.mem.mem:disk",
		"and are not taken for them");
	free(disk);
	clean();
}

/* --- whose they are ----------------------------------------------------------------------- */

/* a VM without a group, one of a group of its name, and what an older telepage has kept */
static void whose(void)
{
	char *disk = strdup(in(top, "disk.qcow2")), none[GROUP_LEN], given[GROUP_LEN];
	char text[GROUP_TEXT_LEN];
	struct images_entry *v;
	struct index *ix;
	unsigned int bad = 0;
	size_t n;

	group_set(none, NULL, "vm0");
	group_set(given, "vm0", "vm0");
	tap_ok(strcmp(none, given) != 0 && group_ok(none) && group_ok(given),
	       "no group is another thing than one of the VM's name");
	tap_ok(!tp_name_ok(none), "and no group can be called so");
	tap_str(group_text(text, none), "none (vm0)", "people see that there is none");
	tap_str(group_text(text, given), "vm0", "or which one");
	tap_ok(!group_name(none) && !strcmp(group_own(none), "vm0") && !group_own(given) &&
	       !strcmp(group_name(given), "vm0"), "so do others");

	tap_ok(!keep(none, "vm0", 5, NO_LIMIT), "one of its own is kept");
	tap_str(listed(given), "", "which is none of that group");
	tap_ok(!images_add(dir, given, "base", disk), "one is registered for the group");
	tap_str(listed(none), ".vm0/vm0:kept:i", "which is none of the VM's own");
	tap_ok(images_remove(dir, given, "vm0", IMAGES_ALL) == -ENOENT &&
	       images_remove(dir, none, "base", IMAGES_ALL) == -ENOENT, "nor goes with them");
	tap_ok(!keep(given, "vm0", 6, NO_LIMIT), "they may have the same name");
	tap_str(listed(NULL), ".vm0/vm0:kept:i vm0/base:disk vm0/vm0:kept:i", "and are all listed");
	clean();

	/* of either one, so it is for neither */
	keep(given, "vm1", 5, NO_LIMIT);
	if (rename(in(dir, "vm0/vm1.mem"), in(dir, "vm0/vm1.img")) ||
	    rename(in(dir, "vm0/vm1.mem.tpi"), in(dir, "vm0/vm1.img.tpi")))
		exit(1);
	tap_str(listed(NULL), "vm0/vm1:kept", "what an older one has kept is listed");
	v = entry(NULL, "vm1", &n);
	tap_ok(v->old && v->bytes && strstr(images_error(v), "nobody can tell for whom"),
	       "as what it is, and counts");
	bad += images_open(v, &ix) != -EPERM || ix;
	images_free(v, n);
	tap_ok(!bad, "but is not opened");
	tap_ok(!keep(given, "vm1", 5, NO_LIMIT), "a new one beside it");
	tap_str(listed(NULL), "vm0/vm1:kept:i vm0/vm1:kept", "is another one");
	tap_ok(!images_remove(dir, given, "vm1", IMAGES_KEPT), "removed");
	tap_ok(!is_there("vm0"), "both are gone");

	keep("g", "vm2", 256, NO_LIMIT);
	keep("g", "vm3", 256, NO_LIMIT);
	if (rename(in(dir, "g/vm3.mem"), in(dir, "g/vm3.img")) ||
	    rename(in(dir, "g/vm3.mem.tpi"), in(dir, "g/vm3.img.tpi")))
		exit(1);
	age("g/vm2.mem", 100);
	tap_ok(!keep("g", "vm4", 256, 4 * MIB), "when there is no room");
	tap_str(listed(NULL), "g/vm2:kept:s g/vm4:kept:i", "what is of no use goes before what is older");
	free(disk);
	clean();
}

/* what registers nothing is not taken for an image itself, whatever has its index's name */
static void not_opened(void)
{
	struct images_entry *v;
	struct index *ix;
	unsigned int bad = 0;
	size_t n;

	if (images_list(dir, NULL, &v, &n))
		exit(1);
	for (size_t i = 0; i < n; i++)
		if (v[i].malformed)
			bad += images_open(&v[i], &ix) == -EINVAL && !ix &&
			       strstr(images_error(&v[i]), "registers nothing");
	tap_ok(bad == 9, "and none of these is opened");
	images_free(v, n);
}

static void strangers(void)
{
	static const char *const links[] = {
		"relative/path\n", "/no/end", "/two\n/lines\n", "\n", "", "/nul\0\n",
	};
	char name[64];
	int fd;

	keep("g", "vm0", 3, NO_LIMIT);
	make_file(in(top, "outside"), 3, 'o');
	if (symlink(in(top, "outside"), in(dir, "g/sym.mem")) ||
	    symlink(in(dir, "g/vm0.mem"), in(dir, "g/sym2.mem")) ||
	    symlink(in(top, "outside"), in(dir, "g/sym.link")) ||
	    mkfifo(in(dir, "g/fifo.mem"), 0600) || mkfifo(in(dir, "g/fifo.link"), 0600) ||
	    mkdir(in(dir, "g/dir.mem"), 0700) || mkdir(in(dir, "g/dir.link"), 0700) ||
	    symlink(in(dir, "g"), in(dir, "other")) || mkfifo(in(dir, "pipe"), 0600))
		exit(1);
	make_file(in(dir, "file"), 1, 'f');
	make_file(in(dir, "g/.mem"), 1, 'f');
	make_file(in(dir, "g/.hidden.mem"), 1, 'f');
	make_file(in(dir, "g/a b.mem"), 1, 'f');
	make_file(in(dir, "g/readme"), 1, 'f');
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		snprintf(name, sizeof(name), "g/bad%zu.link", i);
		fd = open(in(dir, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, links[i], i == 5 ? 6 : strlen(links[i])) < 0)
			exit(1);
		close(fd);
	}
	tap_str(listed(NULL), "g/bad0:disk:none g/bad1:disk:none g/bad2:disk:none g/bad3:disk:none "
		"g/bad4:disk:none g/bad5:disk:none g/dir:disk:none g/fifo:disk:none g/sym:disk:none "
		"g/vm0:kept:i", "links, pipes, and others are passed over, but registrations of nothing are told");
	not_opened();
	tap_ok(!images_remove(dir, "g", "sym", IMAGES_DISK) &&
	       !images_remove(dir, "g", "fifo", IMAGES_DISK), "they can be removed");
	rmdir(in(dir, "g/dir.link"));
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		snprintf(name, sizeof(name), "bad%zu", i);
		images_remove(dir, "g", name, IMAGES_DISK);
	}
	tap_str(listed("other"), "", "a group that is a link is none");
	tap_str(listed("file"), "", "nor is a file");
	tap_ok(keep("other", "vm1", 3, NO_LIMIT) == -ENOTDIR, "nothing is kept there");
	tap_ok(images_remove(dir, "other", "vm0", IMAGES_ALL) == -ENOTDIR, "nor removed");

	/* the name of one that is to be kept is a link, or a pipe */
	if (symlink(in(top, "outside"), in(dir, "g/evil.mem.tmp")) ||
	    mkfifo(in(dir, "g/evil2.mem.tmp"), 0600))
		exit(1);
	tap_ok(keep("g", "evil", 3, NO_LIMIT) == -EEXIST, "links are not written through");
	tap_ok(keep("g", "evil2", 3, NO_LIMIT) == -EEXIST, "nor pipes waited for");
	if (link(in(top, "outside"), in(dir, "g/evil3.mem.tmp")))
		exit(1);
	tap_ok(keep("g", "evil3", 3, NO_LIMIT) == -EEXIST, "nor what has another name");
	{
		struct stat st;

		tap_ok(!stat(in(top, "outside"), &st) && st.st_size == 3 * (off_t)PAGE,
		       "what they lead to is as it was");
	}
	tap_ok(!keep("g", "sym", 3, NO_LIMIT), "a link in its place");
	tap_str(listed("g"), "g/sym:kept:i g/vm0:kept:i", "is replaced");

	/* registered, then a pipe; registered, and never a file */
	tap_ok(images_add(dir, "g", "tty", "/dev/null") == -ENODEV, "a terminal is no image");
	tap_ok(images_add(dir, "g", "dir", top) == -ENODEV, "nor a directory");
	tap_ok(images_add(dir, "g", "pipe", in(dir, "pipe")) == -ENODEV, "nor a pipe");
	tap_ok(images_add(dir, "g", "proc", "/proc/self/status") == -EOPNOTSUPP,
	       "nor what is made up as it is read");
	tap_ok(images_add(dir, "g", "none", in(top, "none")) == -ENOENT, "nor nothing");
	tap_ok(!images_add(dir, "g", "turn", in(top, "outside")), "but a file");
	unlink(in(top, "outside"));
	if (mkfifo(in(top, "outside"), 0600))
		exit(1);
	tap_str(listed("g"), "g/sym:kept:i g/turn:disk:gone g/vm0:kept:i", "until it is a pipe");
	unlink(in(top, "outside"));
	clean();
}

int main(void)
{
	char cmd[64];

	/* nothing here waits for anybody: pipes have nobody at their other end */
	alarm(HANG_S);
	if (!mkdtemp(top))
		return 1;
	snprintf(dir, sizeof(dir), "%s/lib/images", top);
	keeping();
	room();
	registered();
	names();
	whose();
	strangers();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	if (system(cmd))
		tap_note("%s is left", top);
	return tap_done();
}
