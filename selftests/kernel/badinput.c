// SPDX-License-Identifier: GPL-2.0
/*
 * badinput.c - every way to be refused over netlink
 *
 * Each refusal has the errno that the manual names and words that say why.
 */
#include <linux/capability.h>
#include <netinet/in.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "tk.h"

#define LONG63	"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static bool refused(int err, int want, const char *what)
{
	const char *words = tp_nl_error(tk_nl);
	bool good = err == -want && *words;

	tap_ok(good, "%s: %s", what, strerror(want));
	if (!good)
		tap_note("got %d (%s), words \"%s\"", err, strerror(-err), words);
	return good;
}

static int new_region(const char *name, uint64_t size)
{
	return tp_region_new(tk_nl, name, size, 0600, 0, 0, NULL);
}

static void test_region(void)
{
	uint8_t bits[8];

	refused(new_region("", TK_PAGE), EINVAL, "an empty name");
	refused(new_region(".", TK_PAGE), EINVAL, "the name '.'");
	refused(new_region(".hidden", TK_PAGE), EINVAL, "a name with a dot in front");
	refused(new_region("a/b", TK_PAGE), EINVAL, "a name with '/'");
	refused(new_region("a b", TK_PAGE), EINVAL, "a name with a space");
	refused(new_region("a\nb", TK_PAGE), EINVAL, "a name with a control character");
	refused(new_region("a\xc3\xa4", TK_PAGE), EINVAL, "a name that is not ASCII");
	tap_ok(!new_region(LONG63, TK_PAGE) && !tp_region_del(tk_nl, LONG63),
	       "a name of 63 characters is good");
	refused(new_region("x", 0), EINVAL, "size 0");
	refused(new_region("x", TK_PAGE + 1), EINVAL, "an uneven size");
	refused(new_region("x", 1ULL << 60), ENOMEM, "more than the memory of the machine");
	refused(new_region("x", -TK_PAGE), ENOMEM, "the largest size there is");
	refused(tp_region_new(tk_nl, "x", TK_PAGE, 01777, 0, 0, NULL), ERANGE,
		"mode with more than permissions");
	refused(tp_region_new(tk_nl, "x", TK_PAGE, 0600, -1, 0, NULL), EINVAL, "no such user");
	tk_new("r", 64);
	refused(new_region("r", TK_PAGE), EEXIST, "a second region of a name");
	refused(tp_region_del(tk_nl, "none"), ENOENT, "delete what is not there");
	refused(tp_region_get(tk_nl, "none", NULL), ENOENT, "get what is not there");
	refused(tp_region_freeze(tk_nl, "none"), ENOENT, "freeze what is not there");
	refused(tp_region_thaw(tk_nl, "none"), ENOENT, "thaw what is not there");
	refused(tp_region_abandon(tk_nl, "none"), ENOENT, "abandon what is not there");
	refused(tp_region_abandon(tk_nl, "r"), EINVAL, "abandon when nothing is absent");
	refused(tp_region_dirty(tk_nl, "none", 0, 1, false, bits), ENOENT, "dirty: no region");
	refused(tp_region_dirty(tk_nl, "r", 60, 5, false, bits), ERANGE, "dirty: over the end");
	refused(tp_region_dirty(tk_nl, "r", 64, 1, false, bits), ERANGE, "dirty: behind the end");
	refused(tp_region_dirty(tk_nl, "r", -1ULL, 2, false, bits), ERANGE, "dirty: overflow");
	refused(tp_region_dirty(tk_nl, "r", 0, 0, false, bits), EINVAL, "dirty: no pages");
	refused(tp_region_dirty(tk_nl, "r", 0, TELEPAGE_DIRTY_MAX + 1, false,
				calloc(1, TELEPAGE_DIRTY_MAX / 8 + 1)), EINVAL,
		"dirty: too many pages");
	tk_del("r");
}

static void test_import(void)
{
	uint32_t link, id;
	int fd;

	tk_ok(tp_link_new(tk_nl, "", &link), "link");
	tk_new("r", 64);
	refused(tp_region_import(tk_nl, "none", link, 1, true), ENOENT, "import: no region");
	refused(tp_region_import(tk_nl, "r", link + 1000, 1, true), ENOENT, "import: no link");
	fd = tk_open("r", O_RDONLY);
	refused(tp_region_import(tk_nl, "r", link, 1, true), EBUSY, "import: it is open");
	close(fd);
	refused(tp_region_import(tk_nl, "r", link, 1, true), EBUSY, "import: it was open");
	tk_del("r");
	tk_new("r", 64);
	tk_new("r2", 64);
	tk_ok(tp_region_import(tk_nl, "r", link, 1, true), "import");
	refused(tp_region_import(tk_nl, "r", link, 2, true), EBUSY, "import: it imports already");
	refused(tp_region_import(tk_nl, "r2", link, 1, true), EBUSY,
		"import: another region imports this export");
	refused(tp_region_del(tk_nl, "r"), EBUSY, "delete: it is filling");
	refused(tp_link_del(tk_nl, link), EBUSY, "link delete: a region imports over it");
	tk_ok(tp_region_abandon(tk_nl, "r"), "abandon");
	refused(tp_region_import(tk_nl, "r", link, 1, true), EBUSY, "import: it did before");
	tk_ok(tp_export_new_region(tk_nl, "e", "r2"), "export");
	refused(tp_region_del(tk_nl, "r2"), EBUSY, "delete: it is exported");
	refused(tp_export_serve(tk_nl, "e", link + 1000, &id), ENOENT, "serve: no link");
	refused(tp_export_serve(tk_nl, "none", link, &id), ENOENT, "serve: no export");
	tk_ok(tp_export_serve(tk_nl, "e", link, &id), "serve");
	refused(tp_export_serve(tk_nl, "e", link, &id), EEXIST, "serve: it is already");
	refused(tp_region_import(tk_nl, "r2", link, 2, true), EBUSY, "import: it is exported");
	tk_ok(tp_export_del(tk_nl, "e"), "release");
	refused(tp_region_import(tk_nl, "r2", link, 2, true), EBUSY, "import: it was exported");
	tk_del("r");
	tk_del("r2");
	tk_new("r", 64);
	tk_ok(tp_region_freeze(tk_nl, "r"), "freeze");
	refused(tp_region_import(tk_nl, "r", link, 1, true), EBUSY, "import: it is frozen");
	refused(tp_region_import_live(tk_nl, "r", link, 1), EBUSY, "live import: it is frozen");
	tk_ok(tp_region_thaw(tk_nl, "r"), "thaw");
	tk_ok(tp_region_import(tk_nl, "r", link, 1, true), "import");
	tk_ok(tp_region_abandon(tk_nl, "r"), "abandon");
	tk_del("r");
	tk_ok(tp_link_del(tk_nl, link), "link del");
}

static void test_export(void)
{
	int huge = memfd_create("huge", 0);
	int fd = memfd_create("x", 0), p[2], wr, dir = open("/", O_RDONLY | O_DIRECTORY);
	int region;

	if (ftruncate(fd, 10 * TK_PAGE + 5) || pipe(p))
		tk_die("set-up: %m");
	tk_new("r", 64);
	region = tk_open("r", O_RDONLY);
	wr = open("/tmp/wr", O_CREAT | O_WRONLY, 0600);
	if (write(wr, "xxxx", 4) != 4)
		tk_die("write: %m");
	refused(tp_export_new_region(tk_nl, "e", "none"), ENOENT, "export: no region");
	refused(tp_export_new_region(tk_nl, "a/b", "r"), EINVAL, "export: a bad name");
	tk_ok(tp_export_new_region(tk_nl, "e", "r"), "export");
	refused(tp_export_new_region(tk_nl, "e", "r"), EEXIST, "export: the name is taken");
	refused(tp_export_new_fd(tk_nl, "e", fd, 0, 0), EEXIST, "export of a file: the name is taken");
	refused(tp_export_new_fd(tk_nl, "f", 999, 0, 0), EBADF, "export: no descriptor");
	refused(tp_export_new_fd(tk_nl, "f", fd, 5, 0), EINVAL, "export: an uneven offset");
	refused(tp_export_new_fd(tk_nl, "f", fd, 11 * TK_PAGE, 0), EINVAL,
		"export: an offset behind the end");
	refused(tp_export_new_fd(tk_nl, "f", fd, -TK_PAGE, 0), EINVAL, "export: a huge offset");
	refused(tp_export_new_fd(tk_nl, "f", fd, TK_PAGE, 10 * TK_PAGE), EINVAL,
		"export: a size over the end");
	refused(tp_export_new_fd(tk_nl, "f", fd, TK_PAGE, -TK_PAGE), EINVAL, "export: a huge size");
	/* serving it was a kernel warning that a peer could cause */
	if (huge < 0 || ftruncate(huge, 65LL << 40))
		tk_die("a file of 65 TiB: %m");
	refused(tp_export_new_fd(tk_nl, "f", huge, 0, 0), E2BIG, "export: more than 16 TiB");
	close(huge);
	refused(tp_export_new_fd(tk_nl, "f", p[0], 0, TK_PAGE), EINVAL, "export of a pipe");
	refused(tp_export_new_fd(tk_nl, "f", dir, 0, TK_PAGE), EINVAL, "export of a directory");
	refused(tp_export_new_fd(tk_nl, "f", wr, 0, 0), EINVAL, "export of a file that is write-only");
	refused(tp_export_new_fd(tk_nl, "f", region, 0, 0), EINVAL, "export of a region as a file");
	refused(tp_export_del(tk_nl, "none"), ENOENT, "release what is not there");
	refused(tp_export_get(tk_nl, "none", NULL), ENOENT, "get an export that is not there");
	tk_ok(tp_export_del(tk_nl, "e"), "release");
	close(region);
	tk_del("r");
	close(fd);
	close(wr);
	close(dir);
	close(p[0]);
	close(p[1]);
	unlink("/tmp/wr");
}

static void test_lanes(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	char note[TELEPAGE_PEER_MAX + 2];
	uint32_t link;
	int sv[2], un[2], fd;
	struct tp_link l;

	tk_ok(tp_link_new(tk_nl, "", &link), "link");
	tk_tcp_pair(sv, false);
	refused(tp_lane_attach(tk_nl, link + 1000, 0, sv[0]), ENOENT, "attach: no link");
	refused(tp_lane_attach(tk_nl, link, 17, sv[0]), ERANGE, "attach: no such lane");
	refused(tp_lane_attach(tk_nl, link, 0, 999), EBADF, "attach: no descriptor");
	fd = memfd_create("x", 0);
	refused(tp_lane_attach(tk_nl, link, 0, fd), ENOTSOCK, "attach: a file");
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	refused(tp_lane_attach(tk_nl, link, 0, fd), EPROTOTYPE, "attach: a UDP socket");
	close(fd);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, un))
		tk_die("socketpair: %m");
	refused(tp_lane_attach(tk_nl, link, 0, un[0]), EPROTOTYPE, "attach: a unix socket");
	close(un[0]);
	close(un[1]);
	fd = socket(AF_NETLINK, SOCK_RAW, 0);
	refused(tp_lane_attach(tk_nl, link, 0, fd), EPROTOTYPE, "attach: a netlink socket");
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	refused(tp_lane_attach(tk_nl, link, 0, fd), ENOTCONN, "attach: an unconnected socket");
	if (bind(fd, (void *)&a, sizeof(a)) || listen(fd, 1))
		tk_die("listen: %m");
	refused(tp_lane_attach(tk_nl, link, 0, fd), ENOTCONN, "attach: a listening socket");
	close(fd);
	tk_ok(tp_lane_attach(tk_nl, link, 3, sv[0]), "attach");
	refused(tp_lane_attach(tk_nl, link, 3, sv[1]), EBUSY, "attach: the lane has a socket");
	refused(tp_lane_attach(tk_nl, link, 3, sv[0]), EBUSY, "attach: even this one");
	refused(tp_lane_detach(tk_nl, link, 4), ENOENT, "detach: no such lane");
	refused(tp_lane_detach(tk_nl, link, 17), ERANGE, "detach: no lane can have this number");
	refused(tp_lane_detach(tk_nl, link + 1000, 0), ENOENT, "detach: no link");
	tap_ok(!tp_lane_detach(tk_nl, link, 3), "a lane that was never greeted is detached at once");
	refused(tp_link_set(tk_nl, link + 1000, "x"), ENOENT, "note: no link");
	memset(note, 'x', sizeof(note));
	note[sizeof(note) - 1] = 0;
	refused(tp_link_set(tk_nl, link, note), EINVAL, "note: too long");
	refused(tp_link_new(tk_nl, note, NULL), EINVAL, "link: a note too long");
	note[TELEPAGE_PEER_MAX] = 0;
	tap_ok(!tp_link_set(tk_nl, link, note) && !tp_link_get(tk_nl, link, &l) &&
	       !strcmp(l.peer, note), "the longest note is found again");
	tp_link_clear(&l);
	refused(tp_link_del(tk_nl, link + 1000), ENOENT, "link delete: no link");
	refused(tp_link_get(tk_nl, link + 1000, &l), ENOENT, "link get: no link");
	tk_ok(tp_link_del(tk_nl, link), "link del");
	close(sv[0]);
	close(sv[1]);
}

/* ---- messages that the library would never build ---- */

static int last_error;

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *e, void *arg)
{
	last_error = e->error;
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	last_error = 0;
	return NL_STOP;
}

/* one attribute of any type and content, or none */
static int raw(uint8_t cmd, int type, const void *data, int len)
{
	struct nl_sock *sk = nl_socket_alloc();
	struct nl_msg *msg = nlmsg_alloc();
	int family;

	genl_connect(sk);
	family = genl_ctrl_resolve(sk, TELEPAGE_FAMILY_NAME);
	nl_socket_modify_err_cb(sk, NL_CB_CUSTOM, on_error, NULL);
	nl_socket_modify_cb(sk, NL_CB_ACK, NL_CB_CUSTOM, on_ack, NULL);
	genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, NLM_F_ACK, cmd, 1);
	if (data)
		nla_put(msg, type, len, data);
	last_error = 1;
	nl_send_auto(sk, msg);
	nl_recvmsgs_default(sk);
	nlmsg_free(msg);
	nl_socket_free(sk);
	return last_error;
}

static void test_raw_messages(void)
{
	static const char unended[] = { 'a', 'b' };
	static const char too_long[] = LONG63 "l";
	uint32_t u = 1;
	uint16_t half = 1;
	unsigned int cmd, bad = 0;

	for (cmd = TELEPAGE_CMD_REGION_NEW; cmd <= TELEPAGE_CMD_LANE_DETACH; cmd++)
		if (cmd != TELEPAGE_CMD_LINK_NEW && raw(cmd, 0, NULL, 0) != -EINVAL) {
			tap_note("command %u without attributes: %d", cmd, last_error);
			bad++;
		}
	tap_ok(!bad, "every command that needs something refuses nothing: %s", strerror(EINVAL));
	tap_ok(raw(TELEPAGE_CMD_EVENT, 0, NULL, 0) == -EOPNOTSUPP &&
	       raw(99, 0, NULL, 0) == -EOPNOTSUPP, "an event or an unknown command is no command");
	tap_ok(raw(TELEPAGE_CMD_REGION_GET, TELEPAGE_A_REGION_NAME, unended, 2) == -EINVAL,
	       "a string without an end");
	tap_ok(raw(TELEPAGE_CMD_REGION_GET, TELEPAGE_A_REGION_NAME, too_long, 65) == -EINVAL,
	       "a name of 64 characters");
	tap_ok(raw(TELEPAGE_CMD_LINK_GET, TELEPAGE_A_LINK_ID, &half, 2) < 0, "half a number");
	tap_ok(raw(TELEPAGE_CMD_LINK_NEW, 77, &u, 4) == -EINVAL, "an unknown attribute is refused");
	tap_ok(raw(TELEPAGE_CMD_LINK_NEW, TELEPAGE_A_LINK_IMPORTS, &u, 4) == -EINVAL,
	       "an attribute that only answers have is refused");
}

static int unprivileged(void *arg)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { };
	struct tp_nl *nl;
	int bad = 0;

	if (syscall(SYS_capset, &h, d) || tp_nl_open(&nl))
		return 99;
	bad |= tp_region_new(nl, "u", TK_PAGE, 0600, 0, 0, NULL) != -EPERM;
	bad |= (tp_region_get(nl, "r", NULL) != -EPERM) << 1;
	bad |= (tp_region_freeze(nl, "r") != -EPERM) << 2;
	bad |= (tp_link_new(nl, "", NULL) != -EPERM) << 3;
	bad |= (tp_export_new_region(nl, "r", "r") != -EPERM) << 4;
	bad |= (tp_region_dump(nl, &(struct tp_region_list){ }) != -EPERM) << 5;
	return bad;
}

static void count(const struct tp_event *ev, void *arg)
{
	(*(int *)arg)++;
}

/* root of namespaces of his own, who may join any group there. @arg: two pipes */
static int namespaced(void *arg)
{
	int (*p)[2] = arg, n = 0;
	struct tp_nl *nl;
	char c = 0;

	close(p[1][1]);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return 99;
	if (tp_nl_events_open(&nl))
		nl = NULL;
	if (write(p[0][1], &c, 1) != 1 || read(p[1][0], &c, 1) != 1)
		return 98;
	if (nl)
		tp_nl_events_read(nl, count, &n);
	return n;
}

static void test_events(void)
{
	int p[2][2], status;
	pid_t pid;
	char c = 0;

	if (pipe(p[0]) || pipe(p[1]))
		tk_die("pipe: %m");
	pid = tk_fork(namespaced, p);
	close(p[0][1]);
	if (read(p[0][0], &c, 1) == 1) {
		/* who listens has it before this returns */
		tk_new("secret", 1);
		tk_del("secret");
	}
	c = write(p[1][1], &c, 1);
	status = tk_reap(pid);
	if (status == 99)
		tap_skip("events", "there are no user namespaces");
	else
		tap_ok(!status, "who is root in a user namespace only hears of no event");
	if (status && status != 99)
		tap_note("status %d", status);
	close(p[0][0]);
	close(p[1][0]);
	close(p[1][1]);
}

static void test_privilege(void)
{
	int status;

	tk_new("r", 1);
	status = tk_reap(tk_fork(unprivileged, NULL));
	if (!tap_ok(!status, "without CAP_NET_ADMIN everything is EPERM"))
		tap_note("status %#x", status);
	tk_del("r");
}

int main(void)
{
	struct tp_region_list regions;
	struct tp_export_list exports;
	struct tp_link_list links;

	tk_init();
	test_region();
	test_import();
	test_export();
	test_lanes();
	test_raw_messages();
	test_privilege();
	test_events();
	tk_ok(tp_region_dump(tk_nl, &regions) ?: tp_export_dump(tk_nl, &exports) ?:
	      tp_link_dump(tk_nl, &links), "dump");
	tap_ok(!regions.n && !exports.n && !links.n, "nothing is left of all that");
	return tap_done();
}
