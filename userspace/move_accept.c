// SPDX-License-Identifier: GPL-2.0
/*
 * move_accept.c - which VMs may come here, and who says how they are started
 *
 * What a VMM is started with decides what is executed on this host, and with which disks.
 * By default the source says it, as it had the VM. A VM that has to be known is started
 * with what this host's operator has put into its directory, and is in no group but the
 * one that is named there; what the source says of both is not looked at.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "file.h"
#include "group.h"
#include "move_dst.h"

bool accept_parse(const char *word, enum accept_moves *rule)
{
	static const char * const words[] = { "all", "known", "none" };

	for (unsigned int i = 0; i < 3; i++) {
		if (!strcmp(word, words[i])) {
			*rule = i;
			return true;
		}
	}
	return false;
}

int mdst_accept(struct mdst *m, char *why, size_t len)
{
	char *args;
	int err;

	m->known = agent.accept_moves == ACCEPT_KNOWN;
	if (agent.accept_moves == ACCEPT_NONE) {
		snprintf(why, len, "it takes no VMs (telepage agent --accept-moves none)");
		return -EPERM;
	}
	if (!m->known)
		return 0;
	args = file_read(m->args_here, MOVE_ARGS_MAX);
	err = args ? 0 : -errno;
	free(args);
	if (err == -ENOENT)
		snprintf(why, len, "VM %s is not known there: no %s "
			 "(telepage agent --accept-moves known)", m->vm, m->args_here);
	else if (err)
		snprintf(why, len, "%s: %s", m->args_here, strerror(-err));
	return err;
}

int mdst_take_args(struct mdst *m, const char *said)
{
	if (!m->known)
		return file_replace(m->args_path, said ? said : "", 0600);
	/* left by an agent that was killed; the source chooses the move's number */
	unlink(m->args_path);
	unlink(m->group_path);
	return 0;
}

const char *mdst_args_file(const struct mdst *m)
{
	return m->known || access(m->args_path, F_OK) ? m->args_here : m->args_path;
}

bool mdst_same_group(const struct mdst *m, const char *group)
{
	char here[TELEPAGE_NAME_MAX + 1];
	int err;

	if (!m->known)
		return true;
	err = group_read(m->group_here, here);
	if ((!err || err == -ENOENT) && !strcmp(here, group ? group : ""))
		return true;
	if (err && err != -ENOENT)
		note("move %.8s of %s: no plan: %s: %s", m->id, m->vm, m->group_here,
		     err == -EINVAL ? "no name of a group" : strerror(-err));
	else
		note("move %.8s of %s: no plan: in group %s at its source, in %s here", m->id,
		     m->vm, group ? group : "(none)", *here ? here : "(none)");
	return false;
}
