// SPDX-License-Identifier: GPL-2.0
/*
 * cmd_agent_init.c - telepage agent init: keys for two hosts, in few commands
 *
 * What goes from host to host goes through a pipe: standard output here, standard
 * input there, ssh between them. Nothing that exists is overwritten unasked.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "file.h"
#include "issue.h"
#include "keys.h"
#include "loop.h"
#include "parse.h"

static const char usage[] =
"Usage: telepage agent init                     a key that two or more hosts share\n"
"       telepage agent init --ca [--name NAMES] certificates: begins with this host\n"
"       telepage agent init --issue NAMES       one for another host, to a pipe\n"
"       telepage agent init --import FILE       what another host gave, - is the pipe\n\n"
"With a shared key, whoever has it is trusted, and all hosts are one peer:\n\n"
"  a# telepage agent init\n"
"  a# ssh root@b telepage agent init --import - </etc/telepage/psk\n\n"
"With certificates hosts have names, which have to be those they are reached by:\n\n"
"  a# telepage agent init --ca --name a\n"
"  a# telepage agent init --issue b | ssh root@b telepage agent init --import -\n\n"
"  --keys DIR      default " TP_KEYS_DIR "\n"
"  --name NAMES    of this host, default its host name\n"
"  --issue NAMES   NAME[,NAME...]: host names and addresses, the first is who it is\n"
"  --days N        how long the certificate is good, default 1825\n"
"  --force         replace keys that are there\n";

static struct {
	const char *dir, *name, *issue, *import;
	bool ca, force;
	uint32_t days;
} opt;

static int file_failed(const char *path, int err)
{
	if (err == -EEXIST)
		return tp_fail("agent init: %s is there already (--force replaces it)", path);
	return tp_fail("agent init: %s: %s", path, strerror(-err));
}

struct key_file {
	const char *name, *text;
	mode_t mode;
};

/* with --force all of them are written before the first is put in its place */
static int make_files(const struct key_file *f, size_t nr)
{
	int ret = TP_OK, err;
	size_t i;

	for (i = 0; i < nr && !ret; i++) {
		char *path = xasprintf("%s/%s", opt.dir, f[i].name);

		err = opt.force ? file_stage(path, f[i].text, f[i].mode) :
				  file_make(path, f[i].text, f[i].mode);
		if (err)
			ret = file_failed(path, err);
		free(path);
	}
	for (i = 0; i < nr && !ret && opt.force; i++) {
		char *path = xasprintf("%s/%s", opt.dir, f[i].name);

		err = file_commit(path);
		if (err)
			ret = file_failed(path, err);
		free(path);
	}
	return ret;
}

static int make_dir(void)
{
	if (!mkdir(opt.dir, 0755) || errno == EEXIST)
		return TP_OK;
	return tp_fail("agent init: %s: %s", opt.dir, strerror(errno));
}

/* before anything is made: half a set-up is worse than none */
static int check_free(const char *const *files, size_t nr)
{
	struct stat st;
	char *path;
	bool there;
	size_t i;

	for (i = 0; i < nr && !opt.force; i++) {
		path = xasprintf("%s/%s", opt.dir, files[i]);
		there = !lstat(path, &st);
		if (there)
			tp_fail("agent init: %s is there already (--force replaces it)", path);
		free(path);
		if (there)
			return TP_FAILED;
	}
	return make_dir();
}

static int put_psk(const char *text)
{
	static const char * const files[] = { "psk", "agent.crt" };
	int err = check_free(files, 2);

	return err ? err : make_files(&(struct key_file){ "psk", text, 0600 }, 1);
}

/* --force leaves a certificate alone, and an agent that has both uses that */
static void note_certificate(void)
{
	char *path = xasprintf("%s/agent.crt", opt.dir);

	if (!access(path, F_OK))
		printf("As long as there is %s, the agent uses that and not the shared key.\n", path);
	free(path);
}

/* @ca_key may be NULL: it stays with the host that issues */
static int put_certificate(const char *ca_key, const char *ca, const char *crt, const char *key)
{
	const struct key_file files[] = {
		{ "ca.crt", ca, 0644 },
		{ "agent.key", key, 0600 },
		{ "agent.crt", crt, 0644 },
		{ "ca.key", ca_key, 0600 },
	};

	return make_files(files, ca_key ? 4 : 3);
}

static int init_psk(void)
{
	char *text = issue_psk();
	int err = put_psk(text);

	explicit_bzero(text, strlen(text));
	free(text);
	if (!err)
		printf("%s/psk: whoever has it may use the agents of all hosts that have it.\n"
		       "The other host gets it by\n"
		       "    ssh root@OTHER telepage agent init --import - <%s/psk\n"
		       "and both agents have to be started after that.\n", opt.dir, opt.dir);
	if (!err)
		note_certificate();
	return err;
}

static int init_ca(void)
{
	static const char * const files[] = { "ca.key", "ca.crt", "agent.key", "agent.crt" };
	struct issued ca, host;
	char err[256], own[256] = "";
	int ret;

	if (!opt.name && !gethostname(own, sizeof(own) - 1))
		opt.name = own;
	ret = check_free(files, 4);
	if (ret)
		return ret;
	if (!issue_ca(&ca, err, sizeof(err)))
		return tp_fail("agent init: %s", err);
	if (!issue_host(&host, &ca, opt.name, opt.days, err, sizeof(err))) {
		issued_free(&ca);
		return tp_fail("agent init: %s", err);
	}
	ret = put_certificate(ca.key, ca.crt, host.crt, host.key);
	issued_free(&ca);
	issued_free(&host);
	if (!ret)
		printf("This host is %s by %s/agent.crt. Another one gets its certificate by\n"
		       "    telepage agent init --issue OTHER | ssh root@OTHER telepage agent init --import -\n"
		       "where OTHER is what it is reached by. Agents have to be started after that.\n"
		       "%s/ca.key can make others: keep it here, and to yourself.\n",
		       opt.name, opt.dir, opt.dir);
	return ret;
}

/* a whole file or pipe; NULL: it was said why not */
static char *read_text(const char *path)
{
	char *text = xcalloc(1, KEY_FILE_MAX + 1);
	int fd = strcmp(path, "-") != 0 ? open(path, O_RDONLY | O_CLOEXEC) : 0;
	size_t len = 0;
	ssize_t n = 1;

	while (fd >= 0 && n > 0 && len < KEY_FILE_MAX) {
		n = read(fd, text + len, KEY_FILE_MAX - len);
		len += n > 0 ? n : 0;
	}
	if (fd < 0 || n < 0)
		tp_fail("agent init: %s: %s", path, strerror(errno));
	else if (!len)
		tp_fail("agent init: there is nothing in %s", fd ? path : "the pipe");
	if (fd > 0)
		close(fd);
	if (n >= 0 && len)
		return text;
	free(text);
	return NULL;
}

static int issue_to_pipe(const char *crt, const char *key)
{
	struct issued ca = { .key = read_text(key), .crt = read_text(crt) }, host;
	int ret = TP_FAILED;
	char err[256];

	if (ca.key && ca.crt && !issue_host(&host, &ca, opt.issue, opt.days, err, sizeof(err))) {
		ret = tp_fail("agent init: %s", err);
	} else if (ca.key && ca.crt) {
		printf("%s%s%s", host.key, host.crt, ca.crt);
		issued_free(&host);
		ret = TP_OK;
	}
	issued_free(&ca);
	return ret;
}

static int init_issue(void)
{
	char *crt = xasprintf("%s/ca.crt", opt.dir), *key = xasprintf("%s/ca.key", opt.dir);
	int ret;

	if (access(key, F_OK))
		ret = tp_fail("agent init: no %s: certificates are issued where telepage agent init --ca was run",
			      key);
	else if (isatty(STDOUT_FILENO))
		ret = tp_usage("telepage agent init",
			       "this is secret: --issue %s | ssh root@%s telepage agent init --import -",
			       opt.issue, opt.issue);
	else
		ret = issue_to_pipe(crt, key);
	free(crt);
	free(key);
	return ret;
}

#define PEM_BEGIN	"-----BEGIN "

static bool is_key_of(gnutls_x509_crt_t crt, const char *pem)
{
	gnutls_datum_t d = { (unsigned char *)pem, strlen(pem) };
	unsigned char theirs[64], own[64];
	size_t n = sizeof(theirs), m = sizeof(own);
	gnutls_x509_privkey_t key;
	bool same;

	if (gnutls_x509_privkey_init(&key))
		return false;
	same = !gnutls_x509_privkey_import2(key, &d, GNUTLS_X509_FMT_PEM, NULL, 0) &&
	       !gnutls_x509_crt_get_key_id(crt, 0, theirs, &n) &&
	       !gnutls_x509_privkey_get_key_id(key, 0, own, &m) &&
	       n == m && !memcmp(theirs, own, n);
	gnutls_x509_privkey_deinit(key);
	return same;
}

/* a key, a certificate, and whose it is, as --issue writes them; cuts @text up */
static int import_bundle(char *text)
{
	static const char * const files[] = { "agent.key", "agent.crt", "ca.crt" };
	char *key = strstr(text, PEM_BEGIN), *crt, *ca, *key_text, *crt_text, name[256];
	gnutls_x509_crt_t x;
	gnutls_datum_t d;
	int ret;

	crt = strstr(key + 1, PEM_BEGIN);
	ca = crt ? strstr(crt + 1, PEM_BEGIN) : NULL;
	if (!ca || !strstr(key, "PRIVATE KEY") || strstr(crt, "PRIVATE KEY"))
		return tp_fail("agent init: this is not what telepage agent init --issue writes");
	key_text = xasprintf("%.*s", (int)(crt - key), key);
	crt_text = xasprintf("%.*s", (int)(ca - crt), crt);
	d.data = (unsigned char *)crt_text;
	d.size = strlen(crt_text);
	gnutls_x509_crt_init(&x);
	if (gnutls_x509_crt_import(x, &d, GNUTLS_X509_FMT_PEM) ||
	    !cert_name(x, name, sizeof(name)))
		ret = tp_fail("agent init: the certificate cannot be read");
	else if (!is_key_of(x, key_text))
		ret = tp_fail("agent init: the key is not the certificate's");
	else
		ret = check_free(files, 3);
	if (!ret)
		ret = put_certificate(NULL, ca, crt_text, key_text);
	if (!ret)
		printf("This host is %s by %s/agent.crt. The agent has to be started after that.\n",
		       name, opt.dir);
	gnutls_x509_crt_deinit(x);
	explicit_bzero(key_text, strlen(key_text));
	free(key_text);
	free(crt_text);
	return ret;
}

static int init_import(void)
{
	char *text = read_text(opt.import), name[PSK_NAME_MAX + 1];
	unsigned char key[PSK_BYTES];
	int ret;

	if (!text)
		return TP_FAILED;
	if (strstr(text, PEM_BEGIN)) {
		ret = import_bundle(text);
	} else if (psk_parse(text, name, key)) {
		ret = put_psk(text);
		if (!ret)
			printf("This host has the shared key %s (%s/psk). The agent has to be started after that.\n",
			       name, opt.dir);
		if (!ret)
			note_certificate();
	} else {
		ret = tp_fail("agent init: this is no key of telepage agent init");
	}
	explicit_bzero(key, sizeof(key));
	explicit_bzero(text, strlen(text));
	free(text);
	return ret;
}

int cmd_agent_init(int argc, char **argv)
{
	enum { CA = 256, NAME, ISSUE, IMPORT, KEYS, DAYS, FORCE };
	static const struct option longopts[] = {
		{ "ca", no_argument, NULL, CA },
		{ "name", required_argument, NULL, NAME },
		{ "issue", required_argument, NULL, ISSUE },
		{ "import", required_argument, NULL, IMPORT },
		{ "keys", required_argument, NULL, KEYS },
		{ "days", required_argument, NULL, DAYS },
		{ "force", no_argument, NULL, FORCE },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	const char *empty, *why, *names;
	char first[65];
	int c;

	opt.dir = TP_KEYS_DIR;
	while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		empty = tp_empty_option(longopts, c);
		if (empty)
			return tp_usage(argv[0], TP_EMPTY_OPTION, empty);
		switch (c) {
		case CA: opt.ca = true; break;
		case NAME: opt.name = optarg; break;
		case ISSUE: opt.issue = optarg; break;
		case IMPORT: opt.import = optarg; break;
		case KEYS: opt.dir = optarg; break;
		case DAYS:
			if (!tp_parse_u32(optarg, &opt.days) || !opt.days || opt.days > 36500)
				return tp_usage(argv[0], "--days takes 1 to 36500");
			break;
		case FORCE: opt.force = true; break;
		case 'h':
			fputs(usage, stdout);
			return TP_OK;
		default:
			return TP_USAGE;
		}
	}
	if (optind < argc)
		return tp_usage(argv[0], "too many arguments");
	if (opt.ca + !!opt.issue + !!opt.import > 1)
		return tp_usage(argv[0], "one of --ca, --issue and --import");
	if (opt.name && !opt.ca)
		return tp_usage(argv[0], "--name goes with --ca");
	if (opt.days && !opt.ca && !opt.issue)
		return tp_usage(argv[0], "--days goes with --ca or --issue");
	names = opt.issue ? opt.issue : opt.name;
	why = names ? issue_bad_names(names, first, sizeof(first)) : NULL;
	if (why)
		return tp_usage(argv[0], "'%s' %s", names, why);
	if (!opt.days)
		opt.days = ISSUE_DAYS;
	umask(022);
	if (opt.ca)
		return init_ca();
	if (opt.issue)
		return init_issue();
	return opt.import ? init_import() : init_psk();
}
