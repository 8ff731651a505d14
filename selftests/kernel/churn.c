// SPDX-License-Identifier: GPL-2.0
/*
 * churn.c - everything is made, looked at and deleted at once
 *
 *	tk-churn [SECONDS]
 *
 * The kernel must not mind (the runner looks at its log), and what is there is
 * always right.
 */
#include <dirent.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tk.h"

#define NR	64UL
#define KEPT	150	/* regions that stay: more than one message of a dump holds */

static atomic_bool stop;
static atomic_ulong wrong, made;

static struct tp_nl *own_nl(void)
{
	struct tp_nl *nl;

	if (tp_nl_open(&nl))
		tk_die("netlink: %s", tp_nl_error(NULL));
	return nl;
}

/* Two of them fight for each name. */
static void *regions(void *arg)
{
	unsigned long who = (uintptr_t)arg, n = 0;
	struct tp_nl *nl = own_nl();
	uint8_t page[TK_PAGE];
	char name[32], path[64];

	snprintf(name, sizeof(name), "r%lu", who / 2);
	snprintf(path, sizeof(path), TK_DIR "/%s", name);
	while (!stop) {
		unsigned long index = n++ % NR;
		uint8_t *map;
		int fd;

		if (!tp_region_new(nl, name, NR * TK_PAGE, 0600, 0, 0, NULL))
			made++;
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		/* open, it cannot go away under us */
		map = mmap(NULL, NR * TK_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (pread(fd, page, TK_PAGE, (NR - 1) * TK_PAGE) != (ssize_t)TK_PAGE)
			wrong++;
		if (map == MAP_FAILED) {
			wrong++;
		} else {
			tk_store(map + index * TK_PAGE, n);
			munmap(map, NR * TK_PAGE);
		}
		if (n % 3 == 0)
			tp_region_freeze(nl, name);
		if (n % 3 == 1)
			tp_region_thaw(nl, name);
		close(fd);
		tp_region_del(nl, name);
	}
	tp_region_del(nl, name);
	tp_nl_close(nl);
	return NULL;
}

static void *dumps(void *arg)
{
	struct tp_nl *nl = own_nl();
	uint8_t bits[NR / 8];

	while (!stop) {
		struct tp_region_list r;
		struct tp_export_list e;
		struct tp_link_list l;

		if (!tp_region_dump(nl, &r)) {
			unsigned int kept = 0;
			size_t i;

			for (i = 0; i < r.n; i++) {
				wrong += r.v[i].size != NR * TK_PAGE;
				kept += *r.v[i].name == 'k';
			}
			wrong += kept != KEPT;
			tp_region_list_free(&r);
		}
		if (!tp_export_dump(nl, &e))
			tp_export_list_free(&e);
		if (!tp_link_dump(nl, &l))
			tp_link_list_free(&l);
		tp_region_dirty(nl, "r0", 0, NR, true, bits);
	}
	tp_nl_close(nl);
	return NULL;
}

static void read_all(const char *dir, int depth)
{
	struct dirent *d;
	DIR *h = opendir(dir);
	char path[512], buf[256];

	while (h && (d = readdir(h))) {
		if (*d->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, d->d_name);
		if (depth)
			read_all(path, depth - 1);
		else
			tk_cat(path, buf, sizeof(buf));
		/* while the region it belongs to is being deleted, too */
		if (!strcmp(d->d_name, "push_rate_kbit"))
			tk_write_file(path, "0\n");
	}
	if (h)
		closedir(h);
}

static void *files(void *arg)
{
	struct stat st;
	struct dirent *d;

	while (!stop) {
		DIR *h = opendir(TK_DIR);

		read_all("/sys/fs/telepage", 1);
		while (h && (d = readdir(h))) {
			char path[300];

			snprintf(path, sizeof(path), TK_DIR "/%s", d->d_name);
			if (!stat(path, &st) && S_ISREG(st.st_mode))
				wrong += st.st_size != (off_t)(NR * TK_PAGE);
		}
		if (h)
			closedir(h);
	}
	return NULL;
}

/* Nothing but writing, for the moment in which a region goes. */
static void *tunables(void *arg)
{
	unsigned long n = 0;

	while (!stop)
		tk_write_file(n++ % 2 ? "/sys/fs/telepage/r0/push_rate_kbit" :
			      "/sys/fs/telepage/r1/push_rate_kbit", "0\n");
	return NULL;
}

/* What stays is seen in every walk of the directory, each once. */
static void *walks(void *arg)
{
	while (!stop) {
		unsigned int kept = 0;
		struct dirent *d;
		DIR *h = opendir(TK_DIR);

		while (h && (d = readdir(h)))
			kept += *d->d_name == 'k';
		wrong += kept != KEPT;
		if (h)
			closedir(h);
	}
	return NULL;
}

static void *mounts(void *arg)
{
	mkdir("/tmp/second", 0755);
	while (!stop) {
		if (!mount("telepage", "/tmp/second", "telepage", 0, NULL)) {
			int fd = open("/tmp/second/r0", O_RDONLY | O_CLOEXEC);

			tk_nap_ms(1);
			if (fd >= 0)
				close(fd);
			umount2("/tmp/second", MNT_DETACH);
		}
	}
	rmdir("/tmp/second");
	return NULL;
}

/* A whole teleport between two links, again and again, each of its own. */
static void *teleports(void *arg)
{
	unsigned long who = (uintptr_t)arg, n = 0;
	struct tp_nl *nl = own_nl();
	char s[32], d[32], path[64];
	uint8_t page[TK_PAGE];

	snprintf(s, sizeof(s), "s%lu", who);
	snprintf(d, sizeof(d), "d%lu", who);
	snprintf(path, sizeof(path), TK_DIR "/%s", s);
	while (!stop) {
		uint32_t src, dst, id;
		unsigned int i;
		int sv[2], fd;

		n++;
		if (tp_region_new(nl, s, NR * TK_PAGE, 0600, 0, 0, NULL) ||
		    tp_region_new(nl, d, NR * TK_PAGE, 0600, 0, 0, NULL) ||
		    tp_link_new(nl, "", &src) || tp_link_new(nl, "", &dst))
			tk_die("teleport: %s", tp_nl_error(nl));
		fd = open(path, O_WRONLY | O_CLOEXEC);
		for (i = 0; i < NR; i++) {
			tk_page(page, n, i);
			wrong += pwrite(fd, page, TK_PAGE, i * TK_PAGE) != (ssize_t)TK_PAGE;
		}
		close(fd);
		for (i = 0; i < 3; i++) {
			tk_tcp_pair(sv, false);
			if (tp_lane_attach(nl, src, i, sv[0]) || tp_lane_attach(nl, dst, i, sv[1]))
				tk_die("teleport: %s", tp_nl_error(nl));
			close(sv[0]);
			close(sv[1]);
		}
		if (tp_export_new_region(nl, s, s) || tp_export_serve(nl, s, src, &id) ||
		    tp_region_import(nl, d, dst, id, true) || tp_region_freeze(nl, s))
			tk_die("teleport: %s", tp_nl_error(nl));
		if (n % 4) {
			snprintf(path + sizeof(TK_DIR), 32, "%s", d);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			for (i = NR; i--;)
				wrong += pread(fd, page, TK_PAGE, i * TK_PAGE) !=
						 (ssize_t)TK_PAGE || !tk_is_page(page, n, i);
			close(fd);
			snprintf(path + sizeof(TK_DIR), 32, "%s", s);
			made++;
		}
		/* every fourth is torn down in the middle */
		tp_region_abandon(nl, d);
		tp_export_del(nl, s);
		if (n % 2)
			tp_link_del(nl, src);
		while (tp_region_del(nl, d) == -EBUSY)
			tk_nap_ms(1);
		wrong += tp_region_del(nl, s) != 0;
		wrong += tp_link_del(nl, dst) != 0;
		if (n % 2 == 0)
			wrong += tp_link_del(nl, src) != 0;
	}
	tp_nl_close(nl);
	return NULL;
}

int main(int argc, char **argv)
{
	static void *(*const work[])(void *) = {
		regions, regions, regions, regions, dumps, files, mounts, teleports, teleports,
		tunables, walks,
	};
	pthread_t t[sizeof(work) / sizeof(*work)];
	struct tp_region_list r;
	struct tp_export_list e;
	struct tp_link_list l;
	bool ended = true;
	unsigned long i;
	char name[32];

	tk_init();
	for (i = 0; i < KEPT; i++) {
		snprintf(name, sizeof(name), "k%lu", i);
		tk_new(name, NR);
	}
	for (i = 0; i < sizeof(t) / sizeof(*t); i++)
		t[i] = tk_thread(work[i], (void *)i);
	tk_nap_ms((argc > 1 ? atoi(argv[1]) : 15) * 1000);
	stop = true;
	for (i = 0; i < sizeof(t) / sizeof(*t); i++)
		ended &= tk_join(t[i]);
	tap_note("%lu made and deleted", made);
	tap_ok(ended, "everybody comes to an end");
	tap_ok(!wrong, "nothing was ever wrong (%lu was)", wrong);
	/* the two of a name may have left one: each deleted before the other made */
	tp_region_del(tk_nl, "r0");
	tp_region_del(tk_nl, "r1");
	for (i = 0; i < KEPT; i++) {
		snprintf(name, sizeof(name), "k%lu", i);
		tk_del(name);
	}
	tk_ok(tp_region_dump(tk_nl, &r) ?: tp_export_dump(tk_nl, &e) ?: tp_link_dump(tk_nl, &l),
	      "dump");
	tap_ok(!r.n && !e.n && !l.n, "nothing is left");
	return tap_done();
}
