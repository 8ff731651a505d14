#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Wrong command lines: exit status 2 and one line that says what is wrong, before anything
# is asked of the kernel or of an agent.
# TAP on stdout, exit 4: skipped. No root needed, nor the module.
set -u

here=$(cd "$(dirname "$0")" && pwd)
TELEPAGE=${TELEPAGE:-${BUILD:-$here/../../build}/telepage}
[ -x "$TELEPAGE" ] || {
	echo "1..0 # SKIP no $TELEPAGE: make tool"
	exit 4
}
W=$(mktemp -d /tmp/tp-usage.XXXXXX)
trap 'rm -rf "$W"' EXIT
trap 'exit 1' INT TERM
n=0 bad=0

wrong() { # words argument...
	n=$((n + 1))
	words=$1
	shift
	"$TELEPAGE" "$@" >"$W/out" 2>"$W/err" </dev/null
	status=$?
	if [ $status = 2 ] && [ "$(wc -l <"$W/err")" = 1 ] && grep -q -e "$words" "$W/err" && [ ! -s "$W/out" ]; then
		echo "ok $n $*"
	else
		echo "not ok $n $*"
		echo "# exit status $status, wanted 2 and: $words"
		sed 's/^/# /' "$W/out" "$W/err"
		bad=1
	fi
}

echo "TAP version 13"
# a value that is "", most likely of a variable that is not set
wrong "--dir takes a value" create vm0 4M --dir ''
wrong "--socket takes a value" move vm0 --to h --socket ''
wrong "--qmp takes a value" move vm0 --to h --qmp ''
wrong "--vm-dir takes a value" move vm0 --to h --vm-dir ''
wrong "--as takes a value" move vm0 --to h --as ''
wrong "--to takes a value" move vm0 --to ''
wrong "--socket takes a value" import r --from h --socket ''
wrong "--from takes a value" import r --from ''
wrong "--export takes a value" import r --from h --export ''
wrong "--file takes a value" export e --file ''
wrong "--region takes a value" export e --region ''
wrong "--to takes a value" export e --to ''
for o in listen keys socket dir vm-dir hook state rekey orphan-timeout images keep-images plan-rate accept-moves; do
	wrong "--$o takes a value" agent "--$o" ''
done
for o in rekey keep-images plan-rate; do
	wrong "--$o takes a size like 512M or 4G, not '1Q'" agent "--$o" 1Q
done
wrong "--accept-moves is all, known or none, not 'some'" agent --accept-moves some
wrong "--size takes a size like 512M or 4G, not 'x'" export e --file /dev/null --size x
for o in keys import issue name; do
	wrong "--$o takes a value" agent init "--$o" ''
done
wrong "--state takes a value" workingset show vm0 --state ''
wrong "show, export, import, replay or sample" workingset
wrong "--for takes a value" workingset sample vm0 --for ''
wrong "--for takes 1 to" workingset sample vm0 --for 0
wrong "--every takes" workingset sample vm0 --every 0
wrong "sample takes a NAME" workingset sample vm0 f
wrong "belong to sample" workingset show vm0 --every 2
wrong "there is no 'list'" workingset list vm0
wrong "show takes a NAME" workingset show
wrong "export takes a NAME and a FILE" workingset export vm0
wrong "import takes a NAME and a FILE" workingset import vm0
wrong "replay takes a NAME" workingset replay vm0 f g
wrong "is no name" workingset replay a/b
wrong "takes a FILE" workingset import vm0 ''
wrong "--json belongs to show and sample" workingset export vm0 f --json
wrong "--workingset takes a value" import r --from h --workingset ''
for o in group vm name dir kind socket; do
	wrong "--$o takes a value" images add x "--$o" ''
done
for o in region file; do
	wrong "--$o takes a value" plumb export e "--$o" ''
done

# names
for c in delete freeze thaw release dirty status stats; do
	wrong "is no name" $c ''
	wrong "is no name" $c a/b
done
wrong "is no name" create '' 4M
wrong "is no name" create 'a b' 4M
wrong "is no name" abandon '' --yes
wrong "a VM's name is" move '' --to h
wrong "a VM's name is" move vm0 --to h --as ../x
wrong "a name is" import '' --from h
wrong "a name is" export .e
wrong "a region's name is" export e --region a/b
wrong "is no name" plumb export a/b --region r
wrong "is no name" plumb export e --region a/b
wrong "is no name" plumb serve a/b 1
wrong "is no name" plumb region-import a/b --link 1 --export-id 1
wrong "is no name" images --group a/b
wrong "is no name" images add x --group ..
wrong "is no name" images add x --group g --name a/b
wrong "is no name" images add x --group .vm0
wrong "is no name" images add x --vm .vm0
wrong "not both" images list --vm vm0 --group g
wrong "is no name" images remove a/b --group g
wrong "is no name" images index ../x --group g

# the rest, where the module was asked for first
wrong "is no link" plumb link del x
wrong "is no link" plumb link set x note
wrong "is no link" plumb lane attach x 0 --fd 1
wrong "is no lane" plumb lane attach 1 99 --fd 1
wrong "is no lane" plumb lane detach 1 x
wrong "one of --connect" plumb lane attach 1 0
wrong "is no HOST:PORT" plumb lane attach 1 0 --connect nowhere
wrong "is no \[ADDRESS:\]PORT" plumb lane attach 1 0 --listen x:y
wrong "is no descriptor" plumb lane attach 1 0 --fd x
wrong "is no number of seconds" plumb lane attach 1 0 --fd 1 --timeout x
wrong "one of --region" plumb export e
wrong "is no offset" plumb export e --file /dev/null --offset 1
wrong "go with --file" plumb export e --region r --offset 4096
wrong "is no link" plumb serve e x
wrong "takes --link and" plumb region-import r
wrong "is no export id" plumb region-import r --link 1 --export-id x
wrong "is no offset" export e --file /dev/null --offset 1
wrong "go with --file" export e --offset 4096
wrong "is no size" create vm0 4Q
wrong "bad port" move vm0 --to h:x
wrong "bad port" import r --from '[::1]:0'
wrong "'\[' without" move vm0 --to '[::1'
wrong "is no list of host names" agent init --ca --name 'a b'
wrong "is no list of host names" agent init --issue 'a b'
wrong "or --no-listen" agent --listen :4790 --no-listen
wrong "which step" plumb
wrong "go with nothing else" move vm0 --forget --abort
wrong "--yes goes with" move vm0 --to h --yes
wrong "postcopy, hybrid or precopy" move vm0 --to h --mode fast
wrong "1 to 86400 seconds" move vm0 --to h --mode hybrid --switch-after 0
wrong "--sample takes 0 to" move vm0 --to h --sample 60001
wrong "--sample goes with" move vm0 --to h --mode precopy --sample 5
wrong "go with nothing else" move vm0 --watch --sample 5
wrong "goes with --mode hybrid" move vm0 --to h --mode postcopy --switch-after 5
wrong "goes with --mode postcopy" move vm0 --to h --warm 5
wrong "go with nothing else" move vm0 --watch --mode hybrid
wrong "go with nothing else" move vm0 --abort --warm 0
wrong "0 to 10000 ms" move vm0 --to h --warm 10001
wrong "goes with --mode postcopy" move vm0 --to h --mode hybrid --warm 100
wrong "needs --yes" move vm0 --forget
wrong "bad port" agent --listen :x
wrong "no 'x'" images x
wrong "list takes no names" images list x
wrong "a FILE and --group" images add
wrong "a FILE and --group" images add x
wrong "a FILE and --group" images add x y --group g
wrong "give one with --name" images add /x/.y --group g
wrong "names and --group" images remove
wrong "names and --group" images remove x
wrong "one NAME and --group" images index x
wrong "one NAME and --group" images index x y --group g
wrong "go with list" images add x --group g --json
wrong "go with list" images list --yes
wrong "yes with remove" images list --kind kept
wrong "go with list" images remove x --group g --socket s
wrong "kept or disk" images remove x --group g --kind all
wrong "go with list" images remove x --group g --name y
wrong "too many" agent x
wrong "unrecognized option" agent --frobnicate
wrong "there is no command" frobnicate
echo "1..$n"
exit $bad
