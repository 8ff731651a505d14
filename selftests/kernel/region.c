// SPDX-License-Identifier: GPL-2.0
/*
 * region.c - a region as a file, without any peer
 */
#include <dirent.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <linux/falloc.h>

#include "tk.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

#define NR	1024UL
#define SIZE	(NR * TK_PAGE)

static void test_shape(void)
{
	struct tp_region r;
	struct stat st;
	uint8_t *map;
	int fd;

	tk_ok(tp_region_new(tk_nl, "r", SIZE, 0640, 7, 8, &r), "new");
	tap_ok(r.size == SIZE && r.mode == 0640 && r.uid == 7 && r.gid == 8 && !r.resident &&
	       !r.absent && !r.openers && r.state == TELEPAGE_REGION_LOCAL && !r.frozen,
	       "a new region answers with what it was given, and is empty");
	tap_ok(!stat(TK_DIR "/r", &st) && st.st_size == (off_t)SIZE && S_ISREG(st.st_mode) &&
	       (st.st_mode & 0777) == 0640 && st.st_uid == 7 && st.st_gid == 8,
	       "the file has its size, mode and owner");

	map = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	tap_ok(tk_is_zero(map, SIZE), "a new region reads zero through a mapping");
	fd = tk_open("r", O_RDWR);
	r = tk_stat("r");
	tap_ok(r.openers == 2, "an open file and a mapping count as openers");
	tap_ok(tp_region_del(tk_nl, "r") == -EBUSY, "a region that is open cannot be deleted");
	close(fd);
	tap_ok(tp_region_del(tk_nl, "r") == -EBUSY, "a region that is mapped cannot be deleted");
	tk_unmap(map, NR);
	tap_ok(!tp_region_del(tk_nl, "r"), "it can when nobody has it any more");
	tap_ok(stat(TK_DIR "/r", &st) && errno == ENOENT, "a deleted region has no file");
	tk_new("r", NR);
	fd = tk_open("r", O_RDONLY);
	map = malloc(SIZE);
	tap_ok(read(fd, map, SIZE) == (ssize_t)SIZE && tk_is_zero(map, SIZE),
	       "made again under the same name it is empty");
	free(map);
	close(fd);
}

static void test_io(void)
{
	uint8_t *map = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	int fd = tk_open("r", O_RDWR);
	static uint8_t a[5 * TK_PAGE], b[5 * TK_PAGE];
	void *volatile nowhere = (void *)8;
	unsigned long i, bad = 0;

	tk_fill("r", 0, NR, 1);
	tap_ok(!tk_wrong(map, 0, NR, 1), "what is written reads back through a mapping");
	for (i = 0; i < 300; i++) {
		off_t off = i * 13441 % (SIZE - sizeof(a));
		size_t len = 1 + i * 7919 % (sizeof(a) - 1);

		memset(a, i, len);
		bad += pwrite(fd, a, len, off) != (ssize_t)len;
		memset(b, ~i, len);
		bad += pread(fd, b, len, off) != (ssize_t)len;
		bad += memcmp(a, b, len) || memcmp(a, map + off, len);
		memset(map + off, ~i, len);
		bad += pread(fd, b, len, off) != (ssize_t)len || memcmp(b, map + off, len);
	}
	tap_ok(!bad, "pread and pwrite at odd offsets over pages agree with the mapping");

	lseek(fd, SIZE - 100, SEEK_SET);
	tap_ok(write(fd, a, 300) == 100 && write(fd, a, 300) < 0 && errno == ENOSPC,
	       "write() ends at the size, then ENOSPC");
	tap_ok(pread(fd, a, 300, SIZE - 100) == 100 && !pread(fd, a, 10, SIZE) &&
	       !pread(fd, a, 10, SIZE + 5), "read() ends at the size");
	tap_ok(pwrite(fd, a, 1, SIZE + TK_PAGE) < 0 && errno == ENOSPC,
	       "a write far behind the end is ENOSPC");

	/* a buffer that is part of the region itself, and one that is nowhere */
	tk_fill("r", 0, 8, 2);
	tap_ok(pwrite(fd, map + 100, 3 * TK_PAGE, 4 * TK_PAGE) == 3 * (ssize_t)TK_PAGE &&
	       !memcmp(map + 100, map + 4 * TK_PAGE, 3 * TK_PAGE),
	       "write() from a mapping of the same region");
	tap_ok(pread(fd, map, TK_PAGE, 0) == (ssize_t)TK_PAGE && tk_is_page(map, 2, 0),
	       "read() of a page into itself");
	tap_ok(pwrite(fd, nowhere, 10, 0) < 0 && errno == EFAULT &&
	       pread(fd, nowhere, 10, 0) < 0 && errno == EFAULT,
	       "a bad buffer is EFAULT");
	close(fd);
	tk_unmap(map, NR);
}

static void test_size_is_fixed(void)
{
	struct stat st;
	int fd;

	tap_ok(open(TK_DIR "/r", O_RDWR | O_TRUNC) < 0 && errno == EPERM, "O_TRUNC is refused");
	fd = tk_open("r", O_RDWR);
	tap_ok(ftruncate(fd, 0) && errno == EPERM && ftruncate(fd, SIZE + TK_PAGE) &&
	       errno == EPERM, "another size is refused");
	tap_ok(!ftruncate(fd, SIZE), "truncating to the size it has is no error");
	tap_ok(fallocate(fd, 0, SIZE, TK_PAGE) && !fstat(fd, &st) && st.st_size == (off_t)SIZE,
	       "fallocate() behind the end is refused");
	tap_ok(!fchmod(fd, 0644) && !fstat(fd, &st) && (st.st_mode & 0777) == 0644 &&
	       tk_stat("r").mode == 0644, "chmod works and netlink tells it");
	tap_ok(!fsync(fd) && !fdatasync(fd), "fsync() is no error");
	close(fd);
	fd = open(TK_DIR "/r", O_WRONLY | O_APPEND);
	tap_ok(fd >= 0 && write(fd, "x", 1) < 0 && errno == ENOSPC, "O_APPEND has no room");
	close(fd);
}

static void test_punch(void)
{
	uint8_t *map = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int fd = tk_open("r", O_RDWR);
	uint8_t page[TK_PAGE];
	uint64_t before;

	tk_fill("r", 0, NR, 3);
	before = tk_stat("r").resident;
	tap_ok(before == NR, "every page written takes memory");
	tap_ok(!fallocate(fd, punch, 10 * TK_PAGE, 5 * TK_PAGE) &&
	       tk_is_zero(map + 10 * TK_PAGE, 5 * TK_PAGE) && !tk_wrong(map, 9, 1, 3) &&
	       !tk_wrong(map, 15, 1, 3), "punch of whole pages reads zero, neighbours stay");
	tap_ok(!fallocate(fd, punch, 20 * TK_PAGE, 100 * TK_PAGE) &&
	       tk_stat("r").resident <= before - 100, "punched pages give their memory back");
	tap_ok(pread(fd, page, TK_PAGE, 50 * TK_PAGE) == (ssize_t)TK_PAGE &&
	       tk_is_zero(page, TK_PAGE), "a punched page reads zero by read()");
	tap_ok(!fallocate(fd, punch, 200 * TK_PAGE + 100, 2 * TK_PAGE) &&
	       tk_is_zero(map + 200 * TK_PAGE + 100, 2 * TK_PAGE), "punch over parts of pages");
	tk_page(page, 3, 200);
	tap_ok(!memcmp(page, map + 200 * TK_PAGE, 100), "the first page keeps its beginning");
	tk_page(page, 3, 202);
	tap_ok(!memcmp(page + 100, map + 202 * TK_PAGE + 100, TK_PAGE - 100),
	       "the last page keeps its end");
	tap_ok(!fallocate(fd, punch, 210 * TK_PAGE + 7, 20), "punch within one page");
	tk_page(page, 3, 210);
	memset(page + 7, 0, 20);
	tap_ok(!memcmp(page, map + 210 * TK_PAGE, TK_PAGE), "clears these bytes only");
	tap_ok(!fallocate(fd, FALLOC_FL_ZERO_RANGE, 220 * TK_PAGE, TK_PAGE) &&
	       tk_is_zero(map + 220 * TK_PAGE, TK_PAGE), "FALLOC_FL_ZERO_RANGE");
	tap_ok(!madvise(map + 221 * TK_PAGE, TK_PAGE, MADV_REMOVE) &&
	       tk_is_zero(map + 221 * TK_PAGE, TK_PAGE), "MADV_REMOVE, as a balloon does");
	tap_ok(!fallocate(fd, punch, SIZE - TK_PAGE, 10 * TK_PAGE) &&
	       tk_is_zero(map + SIZE - TK_PAGE, TK_PAGE), "a hole may reach over the end");
	tap_ok(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, TK_PAGE) && errno == EOPNOTSUPP,
	       "ranges cannot be collapsed");
	map[50 * TK_PAGE] = 1;
	tap_ok(map[50 * TK_PAGE] == 1 && tk_is_zero(map + 50 * TK_PAGE + 1, TK_PAGE - 1),
	       "a punched page can be written again");

	tap_ok(!fallocate(fd, punch, 0, SIZE) && !tk_stat("r").resident,
	       "punching all leaves nothing in memory");
	tap_ok(!fallocate(fd, 0, 0, 64 * TK_PAGE) && tk_stat("r").resident == 64 &&
	       tk_is_zero(map, 64 * TK_PAGE), "fallocate() preallocates zero pages");
	close(fd);
	tk_unmap(map, NR);
}

static void test_seek(void)
{
	int fd = tk_open("r", O_RDWR);

	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE);
	tap_ok(lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO && !lseek(fd, 0, SEEK_HOLE),
	       "an empty region is one hole");
	tk_fill("r", 10, 5, 1);
	tk_fill("r", 1000, 1, 1);
	tap_ok(lseek(fd, 0, SEEK_DATA) == 10 * (off_t)TK_PAGE &&
	       lseek(fd, 12 * TK_PAGE + 5, SEEK_DATA) == 12 * (off_t)TK_PAGE + 5 &&
	       lseek(fd, 15 * TK_PAGE, SEEK_DATA) == 1000 * (off_t)TK_PAGE &&
	       lseek(fd, 1001 * TK_PAGE, SEEK_DATA) < 0 && errno == ENXIO,
	       "SEEK_DATA finds pages with content");
	tap_ok(lseek(fd, 10 * TK_PAGE, SEEK_HOLE) == 15 * (off_t)TK_PAGE &&
	       lseek(fd, 3, SEEK_HOLE) == 3 &&
	       lseek(fd, 1000 * TK_PAGE, SEEK_HOLE) == 1001 * (off_t)TK_PAGE,
	       "SEEK_HOLE finds pages without");
	tap_ok(lseek(fd, SIZE, SEEK_DATA) < 0 && errno == ENXIO && lseek(fd, SIZE, SEEK_HOLE) < 0 &&
	       errno == ENXIO && lseek(fd, 0, SEEK_END) == (off_t)SIZE,
	       "behind the end there is nothing");
	close(fd);
}

/* Whatever makes the kernel drop page cache must not drop content. */
static void test_nothing_is_dropped(void)
{
	uint8_t *map = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	int fd = tk_open("r", O_RDWR);

	tk_fill("r", 0, NR, 4);
	sync();
	tk_write_file("/proc/sys/vm/drop_caches", "3");
	tap_ok(!tk_wrong(map, 0, NR, 4), "drop_caches loses nothing that is mapped");
	tk_unmap(map, NR);
	tk_write_file("/proc/sys/vm/drop_caches", "3");
	posix_fadvise(fd, 0, SIZE, POSIX_FADV_DONTNEED);
	posix_fadvise(fd, 0, SIZE, POSIX_FADV_WILLNEED);
	syncfs(fd);
	map = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	tap_ok(!tk_wrong(map, 0, NR, 4), "nor POSIX_FADV_DONTNEED what is not");
	tap_ok(!madvise(map, SIZE, MADV_DONTNEED) && !tk_wrong(map, 0, NR, 4),
	       "MADV_DONTNEED unmaps only");
	madvise(map, SIZE, MADV_PAGEOUT);
	madvise(map, SIZE, MADV_COLD);
	tap_ok(!tk_wrong(map, 0, NR, 4), "MADV_PAGEOUT and MADV_COLD lose nothing");
	tap_ok(tk_write_file("/proc/sys/vm/compact_memory", "1") == 0 && !tk_wrong(map, 0, NR, 4),
	       "compaction, which moves pages, loses nothing");
	tap_ok(tk_stat("r").resident == NR, "and every page is still counted");
	tap_ok(!mlock(map, SIZE) && !munlock(map, SIZE) && !tk_wrong(map, 0, NR, 4), "mlock");
	close(fd);
	tk_unmap(map, NR);
}

/* QEMU and others advise their guest memory in all these ways. */
static void test_advice(void)
{
	uint8_t *map = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED), *x;
	int fd = tk_open("r", O_RDWR);

	tk_fill("r", 0, NR, 5);
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 512 * TK_PAGE, 512 * TK_PAGE);
	/* allowed to be refused; not to harm */
	madvise(map, SIZE, MADV_HUGEPAGE);
	madvise(map, SIZE, MADV_WILLNEED);
	madvise(map, SIZE, MADV_COLLAPSE);
	tap_ok(!tk_wrong(map, 0, 512, 5) && tk_is_zero(map + SIZE / 2, SIZE / 2),
	       "MADV_HUGEPAGE, _WILLNEED and _COLLAPSE leave the content alone");
	madvise(map, SIZE, MADV_DONTNEED);
	tap_ok(!madvise(map, SIZE, MADV_POPULATE_READ) && !tk_wrong(map, 0, 512, 5),
	       "MADV_POPULATE_READ");
	tap_ok(!madvise(map, SIZE, MADV_POPULATE_WRITE) && !tk_wrong(map, 0, 512, 5) &&
	       tk_stat("r").resident == NR, "MADV_POPULATE_WRITE makes every page");
	x = mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (x != MAP_FAILED) {
		madvise(x, SIZE, MADV_COLLAPSE);
		tap_ok(!tk_wrong(x, 0, 512, 5), "an executable mapping");
		munmap(x, SIZE);
	} else if (errno == EPERM) {
		tap_skip("an executable mapping", "mounted noexec");
	} else {
		tap_ok(false, "an executable mapping");
	}
	x = mremap(map, SIZE, SIZE / 2, 0);
	tap_ok(x != MAP_FAILED && tk_load(x + SIZE / 2 - 1) >= 0, "mremap");
	tk_unmap(x, NR / 2);
	/* the end of the file within a mapping */
	x = mmap(NULL, SIZE + 4 * TK_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tap_ok(tk_load(x + SIZE - 1) >= 0 && tk_load(x + SIZE) == -SIGBUS &&
	       tk_store(x + SIZE, 1) == -SIGBUS, "behind the end of the region is SIGBUS");
	munmap(x, SIZE + 4 * TK_PAGE);
	close(fd);
}

static int hit_bad_memory(void *arg)
{
	return tk_load(arg) < 0 || madvise(arg, TK_PAGE, MADV_HWPOISON);
}

/* Memory that fails is an error where it is touched, never zeros. */
static void test_failing_memory(void)
{
	uint8_t *map = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED), page[TK_PAGE];
	int fd = tk_open("r", O_RDWR);
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;

	tk_fill("r", 0, NR, 9);
	if (tk_load(map + 3 * TK_PAGE) < 0 || madvise(map + 3 * TK_PAGE, TK_PAGE, MADV_SOFT_OFFLINE)) {
		tap_skip("a page whose memory fails", "this kernel cannot simulate it");
		goto out;
	}
	tap_ok(!tk_wrong(map, 0, NR, 9), "a page that is moved off failing memory keeps its content");
	/* who hits it is killed, who maps it is told */
	sigaction(SIGBUS, &ignore, &old);
	tk_reap(tk_fork(hit_bad_memory, map + 5 * TK_PAGE));
	sigaction(SIGBUS, &old, NULL);
	tap_ok(tk_load(map + 5 * TK_PAGE) == -SIGBUS && tk_store(map + 5 * TK_PAGE, 1) == -SIGBUS,
	       "a page whose memory has failed is SIGBUS");
	tap_ok(pread(fd, page, TK_PAGE, 5 * TK_PAGE) < 0 && pwrite(fd, page, 1, 5 * TK_PAGE) < 0,
	       "and an error for read() and write()");
	tk_unmap(map, NR);
	map = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	tap_ok(tk_load(map + 5 * TK_PAGE) == -SIGBUS && !tk_wrong(map, 0, 5, 9) &&
	       !tk_wrong(map, 6, NR - 6, 9), "also mapped anew; the others are well");
	tap_ok(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * TK_PAGE, TK_PAGE) &&
	       tk_is_zero(map + 5 * TK_PAGE, TK_PAGE), "discarded it is a good page again");
out:
	close(fd);
	tk_unmap(map, NR);
}

static void test_private_clone(void)
{
	uint8_t *a, *b, *shared;
	uint64_t before;

	tk_fill("r", 0, NR, 6);
	a = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	b = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	shared = tk_map("r", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	before = tk_stat("r").resident;
	tap_ok(!tk_wrong(a, 0, NR, 6) && !tk_wrong(b, 0, NR, 6) &&
	       tk_stat("r").resident == before, "two clones read one physical copy");
	memset(a, 0xaa, TK_PAGE);
	tap_ok(tk_is_page(b, 6, 0) && tk_is_page(shared, 6, 0),
	       "a store into a clone is its own");
	memset(shared + TK_PAGE, 0xbb, TK_PAGE);
	tap_ok(b[TK_PAGE] == 0xbb && b[2 * TK_PAGE - 1] == 0xbb,
	       "a clone sees the shared page until it writes to it");
	tap_ok(!madvise(a, TK_PAGE, MADV_DONTNEED) && tk_is_page(a, 6, 0),
	       "a clone that discards its copy sees the region again");
	tk_unmap(a, NR);
	tk_unmap(b, NR);
	tk_unmap(shared, NR);
}

static int as_nobody(void *arg)
{
	int fd, bad = 0;

	if (setgid(65534) || setuid(65534))
		return 9;
	fd = open(TK_DIR "/open", O_RDWR);
	bad |= fd < 0;
	bad |= (open(TK_DIR "/closed", O_RDONLY) >= 0 || errno != EACCES) << 1;
	bad |= (open(TK_DIR "/readable", O_RDONLY) < 0) << 2;
	bad |= (open(TK_DIR "/readable", O_RDWR) >= 0 || errno != EACCES) << 3;
	bad |= (!fchmod(fd, 0600) || errno != EPERM) << 4;
	return bad;
}

static void test_directory(void)
{
	bool seen[3] = { false };
	struct dirent *d;
	unsigned int n = 0;
	int status;
	DIR *dir;

	tk_ok(tp_region_new(tk_nl, "open", TK_PAGE, 0666, 0, 0, NULL), "new");
	tk_ok(tp_region_new(tk_nl, "closed", TK_PAGE, 0600, 0, 0, NULL), "new");
	tk_ok(tp_region_new(tk_nl, "readable", TK_PAGE, 0604, 0, 0, NULL), "new");
	status = tk_reap(tk_fork(as_nobody, NULL));
	if (!tap_ok(!status, "another user gets what the mode allows, no more"))
		tap_note("status %#x", status);
	dir = opendir(TK_DIR);
	while (dir && (d = readdir(dir))) {
		n++;
		seen[0] |= !strcmp(d->d_name, "open");
		seen[1] |= !strcmp(d->d_name, "closed");
		seen[2] |= !strcmp(d->d_name, "r");
	}
	closedir(dir);
	tap_ok(n == 6 && seen[0] && seen[1] && seen[2], "the directory lists every region once");
	tap_ok(open(TK_DIR "/new", O_CREAT | O_RDWR, 0600) < 0, "nothing is created there");
	tap_ok(unlink(TK_DIR "/open") && mkdir(TK_DIR "/d", 0755) &&
	       rename(TK_DIR "/open", TK_DIR "/other") && link(TK_DIR "/open", TK_DIR "/l") &&
	       symlink("open", TK_DIR "/s"), "nor removed, renamed or linked");
	tap_ok(!access(TK_DIR "/open", F_OK), "and what was there is there");
	tk_del("open");
	tk_del("closed");
	tk_del("readable");
}

static void test_splice(void)
{
	int fd = tk_open("r", O_RDWR), out = memfd_create("out", 0), in, p[2];
	uint8_t page[TK_PAGE];
	off_t off = 0;
	size_t done = 0;
	ssize_t n;

	tk_fill("r", 0, NR, 7);
	while (done < SIZE && (n = sendfile(out, fd, &off, SIZE - done)) > 0)
		done += n;
	n = pread(out, page, TK_PAGE, 700 * TK_PAGE);
	tap_ok(done == SIZE && n == (ssize_t)TK_PAGE && tk_is_page(page, 7, 700),
	       "sendfile() out of a region");
	if (pipe(p))
		tk_die("pipe: %m");
	off = 3 * TK_PAGE;
	n = splice(fd, &off, p[1], NULL, TK_PAGE, 0);
	tap_ok(n == (ssize_t)TK_PAGE && read(p[0], page, TK_PAGE) == n && tk_is_page(page, 7, 3),
	       "splice() out of a region");
	tk_page(page, 8, 0);
	off = 5 * TK_PAGE;
	tap_ok(write(p[1], page, TK_PAGE) == (ssize_t)TK_PAGE &&
	       splice(p[0], NULL, fd, &off, TK_PAGE, 0) == (ssize_t)TK_PAGE &&
	       pread(fd, page, TK_PAGE, 5 * TK_PAGE) == (ssize_t)TK_PAGE && tk_is_page(page, 8, 0),
	       "splice() into a region");
	off = 0;
	in = tk_open("r", O_RDONLY);
	tap_ok(copy_file_range(in, &off, out, &off, TK_PAGE, 0) != 0 || errno, "copy_file_range");
	close(in);
	in = open(TK_DIR "/r", O_RDONLY | O_DIRECT);
	if (in >= 0) {
		void *buf = aligned_alloc(TK_PAGE, TK_PAGE);

		n = pread(in, buf, TK_PAGE, 0);
		tap_ok(n < 0 || (n == (ssize_t)TK_PAGE && tk_is_page(buf, 7, 0)),
		       "O_DIRECT is right");
		free(buf);
		close(in);
	} else {
		tap_ok(errno == EINVAL, "O_DIRECT is refused");
	}
	close(p[0]);
	close(p[1]);
	close(out);
	close(fd);
}

static bool sysfs_is(const char *file, uint64_t want)
{
	char path[128], buf[64];

	snprintf(path, sizeof(path), "/sys/fs/telepage/r/%s", file);
	tk_cat(path, buf, sizeof(buf));
	if (*buf && strtoull(buf, NULL, 10) == want)
		return true;
	tap_note("%s is \"%s\", netlink says %llu", file, buf, (unsigned long long)want);
	return false;
}

static void test_sysfs(void)
{
	struct tp_region r = tk_stat("r");
	char buf[64];
	bool good = true;

	tap_ok(!strcmp(tk_cat("/sys/fs/telepage/r/state", buf, sizeof(buf)), "local"),
	       "sysfs tells the state");
	good &= sysfs_is("size", r.size) & sysfs_is("resident", r.resident) &
		sysfs_is("absent", r.absent) & sysfs_is("frozen", r.frozen) &
		sysfs_is("faults", r.stats.faults) & sysfs_is("zero_fill", r.stats.zero_fill) &
		sysfs_is("mkwrite", r.stats.mkwrite) & sysfs_is("demand", r.stats.demand) &
		sysfs_is("rx_bytes", r.stats.rx_bytes) & sysfs_is("wait_ns", r.stats.wait_ns);
	tap_ok(good, "sysfs and netlink tell the same numbers");
	tap_ok(r.stats.faults && r.stats.zero_fill && r.stats.mkwrite, "which are not all zero");
	tap_ok(tk_write_file("/sys/fs/telepage/r/push_run", "0") == -ERANGE &&
	       tk_write_file("/sys/fs/telepage/r/push_run", "65") == -ERANGE &&
	       tk_write_file("/sys/fs/telepage/r/push_run", "many") == -EINVAL &&
	       tk_write_file("/sys/fs/telepage/r/push_run", "-1") < 0 &&
	       !tk_write_file("/sys/fs/telepage/r/push_run", "64") && sysfs_is("push_run", 64) &&
	       !tk_write_file("/sys/fs/telepage/r/push_run", "1") && sysfs_is("push_run", 1),
	       "push_run takes 1 to 64");
	tap_ok(tk_write_file("/sys/fs/telepage/r/size", "1") < 0, "a fact cannot be written");
}

int main(void)
{
	tk_init();
	test_shape();
	test_io();
	test_size_is_fixed();
	test_punch();
	test_seek();
	test_nothing_is_dropped();
	test_advice();
	test_failing_memory();
	test_private_clone();
	test_directory();
	test_splice();
	test_sysfs();
	tk_del("r");
	tap_ok(access("/sys/fs/telepage/r", F_OK) && errno == ENOENT,
	       "a deleted region has no sysfs directory");
	return tap_done();
}
