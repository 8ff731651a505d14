#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# range.sh VERSION PATCHLEVEL: is this a kernel that the module is for? Fails for one
# that is too old, says so of one that is newer than any it was tested with. What is
# tested stands here, and in dkms.conf.
set -eu
oldest=6.1 newest=7.2
at() { echo $((${1%%.*} * 1000 + ${1#*.})); }

kernel=$1.$2
if [ "$(at "$kernel")" -lt "$(at "$oldest")" ]; then
	echo "telepage: Linux $kernel is too old: it takes $oldest or newer" >&2
	exit 1
fi
if [ "$(at "$kernel")" -gt "$(at "$newest")" ]; then
	echo "telepage: Linux $kernel is newer than what this was tested with ($oldest to $newest):" \
		"it may not build, and is not known to work" >&2
fi
