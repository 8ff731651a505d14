// SPDX-License-Identifier: GPL-2.0
/*
 * clock.c - time from a shell script, in nanoseconds
 *
 *	bench-clock run COMMAND...	how long it took, start and end of it included
 *	bench-clock until FILE VALUE	when a sysfs file first said so, on the clock of:
 *	bench-clock now
 *
 * What a command's output is goes to standard error, the time to standard output.
 */
#include <spawn.h>
#include <sys/wait.h>

#include "bench.h"

/* between two looks: a thousandth of what is timed with it, and no load */
#define LOOK_NS		2000000
#define PATIENCE_NS	(300 * 1000000000ULL)

extern char **environ;

static uint64_t run(char **argv)
{
	posix_spawn_file_actions_t to_stderr;
	uint64_t t0;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&to_stderr);
	posix_spawn_file_actions_adddup2(&to_stderr, 2, 1);
	t0 = now_ns();
	errno = posix_spawnp(&pid, argv[0], &to_stderr, NULL, argv, environ);
	if (errno)
		err(1, "%s", argv[0]);
	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	t0 = now_ns() - t0;
	if (status)
		errx(1, "%s failed", argv[0]);
	return t0;
}

static uint64_t until(const char *path, const char *value)
{
	const struct timespec nap = { .tv_nsec = LOOK_NS };
	uint64_t give_up = now_ns() + PATIENCE_NS;
	int fd = open(path, O_RDONLY);
	char buf[64];

	if (fd < 0)
		err(1, "%s", path);
	for (;;) {
		ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);
		uint64_t t = now_ns();

		if (n < 0)
			err(1, "%s", path);
		buf[n] = '\0';
		buf[strcspn(buf, "\n")] = '\0';
		if (!strcmp(buf, value))
			return t;
		if (t > give_up)
			errx(1, "%s is still '%s', not '%s'", path, buf, value);
		nanosleep(&nap, NULL);
	}
}

int main(int argc, char **argv)
{
	uint64_t ns;

	if (argc > 2 && !strcmp(argv[1], "run"))
		ns = run(argv + 2);
	else if (argc == 4 && !strcmp(argv[1], "until"))
		ns = until(argv[2], argv[3]);
	else if (argc == 2 && !strcmp(argv[1], "now"))
		ns = now_ns();
	else
		errx(2, "usage: bench-clock now | run COMMAND... | until FILE VALUE");
	printf("%llu\n", (unsigned long long)ns);
	return 0;
}
