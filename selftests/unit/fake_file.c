// SPDX-License-Identifier: GPL-2.0
/*
 * fake_file.c - files of a disk that does not answer: origin_open() is wrapped by the linker
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"
#include "origin.h"

/* the linker's names */
int __real_origin_open(const char *path, int flags, unsigned long long resolve, struct stat *st);
int __wrap_origin_open(const char *path, int flags, unsigned long long resolve, struct stat *st);

int __wrap_origin_open(const char *path, int flags, unsigned long long resolve, struct stat *st)
{
	char hung[256];

	if (flag_here("hang")) {
		snprintf(hung, sizeof(hung), "%s/hung.%s", root(), self());
		close(open(hung, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
	while (flag_here("hang"))
		usleep(20000);
	return __real_origin_open(path, flags, resolve, st);
}
