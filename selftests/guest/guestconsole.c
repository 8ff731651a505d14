// SPDX-License-Identifier: GPL-2.0
/*
 * guestconsole.c - what the first process of a test guest does as such
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guestconsole.h"

uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

uint64_t now_ms(void)
{
	return now_us() / 1000;
}

void say(const char *fmt, ...)
{
	char line[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	for (int at = 0; at < n; ) {
		ssize_t ret = write(1, line + at, n - at);

		if (ret < 0 && errno != EINTR && errno != EAGAIN)
			return;
		at += ret > 0 ? ret : 0;
	}
}

void power_off(void)
{
	tcdrain(1);
	reboot(RB_POWER_OFF);
	_exit(1);
}

void give_up(const char *what)
{
	say("guestload: %s: %s", what, strerror(errno));
	power_off();
}

static bool number(const struct guest_number *n, const char *word)
{
	size_t len = strlen(n->name);
	unsigned long v;

	if (strncmp(word, n->name, len))
		return false;
	v = strtoul(word + len, NULL, 10);
	if (v >= n->min && v <= n->max)
		*n->value = v;
	else
		say("guestload: %s ignored", word);
	return true;
}

void options(const struct guest_number *numbers, size_t count, void (*other)(const char *word))
{
	static char line[2048];
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	char *save, *word;

	if (fd < 0 || read(fd, line, sizeof(line) - 1) < 0)
		give_up("/proc/cmdline");
	close(fd);
	for (word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		size_t i = 0;

		while (i < count && !number(&numbers[i], word))
			i++;
		if (i == count && other)
			other(word);
	}
}

void set_up_guest(void)
{
	struct termios t;

	if (!tcgetattr(0, &t)) {
		cfmakeraw(&t);
		tcsetattr(0, TCSANOW, &t);
	}
	fcntl(0, F_SETFL, O_RDWR | O_NONBLOCK);
	mkdir("/proc", 0555);
	if (mount("proc", "/proc", "proc", 0, NULL))
		give_up("/proc");
}
