// SPDX-License-Identifier: GPL-2.0
/* one plain TCP connection: dial.c */
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dial.h"
#include "progress.h"
#include "tap.h"

#define SECOND_NS	1000000000ULL

/* a port that nobody listens on, most likely */
static void free_port(char *port, size_t len)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t a_len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (void *)&a, sizeof(a)) || getsockname(fd, (void *)&a, &a_len))
		a.sin_port = htons(47011);
	close(fd);
	snprintf(port, len, "%u", ntohs(a.sin_port));
}

/* takes a connection after @delay_us and sends it a word */
static pid_t listener(const char *host, const char *port, unsigned int delay_us)
{
	char why[256];
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	usleep(delay_us);
	fd = tp_accept_one(host, port, 10, why, sizeof(why));
	_exit(fd < 0 || write(fd, "hello", 5) != 5);
}

static void meet(const char *listen_host, const char *host, unsigned int delay_us,
		 const char *what)
{
	char port[8], why[256] = "", word[6] = "";
	int fd, status = -1;
	pid_t pid;

	free_port(port, sizeof(port));
	pid = listener(listen_host, port, delay_us);
	fd = tp_dial(host, port, 10, why, sizeof(why));
	tap_ok(fd >= 0 && read(fd, word, 5) == 5 && !strcmp(word, "hello"), "%s %s", what, why);
	if (fd < 0)
		kill(pid, SIGKILL);
	else
		close(fd);
	waitpid(pid, &status, 0);
	tap_ok(!status, "%s: the listener", what);
}

int main(void)
{
	char port[8], why[256];
	uint64_t start;

	meet("127.0.0.1", "127.0.0.1", 0, "an address");
	meet("", "127.0.0.1", 0, "any address");
	meet("", "127.0.0.1", 700000, "a listener that comes late");

	free_port(port, sizeof(port));
	start = tp_now_ns();
	tap_ok(tp_dial("127.0.0.1", port, 0.5, why, sizeof(why)) == -1, "nobody there: %s", why);
	tap_ok(tp_now_ns() - start < 5 * SECOND_NS, "it does not try for ever");
	tap_ok(tp_accept_one("", port, 0.2, why, sizeof(why)) == -1, "nobody came: %s", why);
	tap_ok(tp_dial("no.such.host.invalid", "1", 1, why, sizeof(why)) == -1 && *why,
	       "no such host: %s", why);
	tap_ok(tp_accept_one("192.0.2.1", port, 1, why, sizeof(why)) == -1 && *why,
	       "not our address: %s", why);
	return tap_done();
}
