// SPDX-License-Identifier: GPL-2.0
/*
 * origin.c - files that pages may come from
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "origin.h"

#define CONFIGFS_MAGIC	0x62656570	/* in no header for userspace */

#define ACCEPTED	"(a regular file or a block device is accepted)"

/* are files of this file system made up as they are read? */
static bool made_up(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return false;
	switch ((unsigned int)fs.f_type) {
	case PROC_SUPER_MAGIC:
	case SYSFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
	case SELINUX_MAGIC:
	case SMACK_MAGIC:
	case CONFIGFS_MAGIC:
	case EFIVARFS_MAGIC:
	case PSTOREFS_MAGIC:
	case BPF_FS_MAGIC:
	case BINFMTFS_MAGIC:
	case NSFS_MAGIC:
	case XENFS_SUPER_MAGIC:
	case OPENPROM_SUPER_MAGIC:
	case RDTGROUP_SUPER_MAGIC:
		return true;
	}
	return false;
}

int origin_open(const char *path, int flags, unsigned long long resolve, struct stat *st)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags,
		.resolve = resolve,
	};
	int fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)), err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, st))
		err = -errno;
	else if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		err = -ENODEV;
	else if (S_ISREG(st->st_mode) && made_up(fd))
		err = -EOPNOTSUPP;
	if (err) {
		close(fd);
		return err;
	}
	fcntl(fd, F_SETFL, 0);
	return fd;
}

const char *origin_error(int err)
{
	switch (-err) {
	case ENODEV:
	case ENXIO:			/* opening a socket */
		return "is no file that keeps content " ACCEPTED;
	case EOPNOTSUPP:
		return "is made up by the kernel as it is read, as in /proc and /sys " ACCEPTED;
	case ENODATA:
		return "is empty, or does not say its size " ACCEPTED;
	}
	return strerror(-err);
}
