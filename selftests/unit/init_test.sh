#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# telepage agent init: keys for two hosts in two commands, and nothing overwritten.
# shellcheck disable=SC2317	# called by name
# TAP on stdout, exit 4: skipped. No root needed.

set -u

here=$(cd "$(dirname "$0")" && pwd)
TELEPAGE=${TELEPAGE:-${BUILD:-$here/../../build}/telepage}
[ -x "$TELEPAGE" ] || {
	echo "1..0 # SKIP no $TELEPAGE: make tool"
	exit 4
}
W=$(mktemp -d /tmp/tp-init.XXXXXX)
trap 'rm -rf "$W"' EXIT
trap 'exit 1' INT TERM
n=0 bad=0
umask 000	# nothing may depend on it

check() { # what command...
	n=$((n + 1))
	what=$1
	shift
	if "$@" >"$W/out" 2>"$W/err"; then
		echo "ok $n $what"
	else
		echo "not ok $n $what"
		sed 's/^/# /' "$W/out" "$W/err"
		bad=1
	fi
}

init() { # keys [option...]
	keys=$1
	shift
	"$TELEPAGE" agent init --keys "$W/$keys" "$@"
}

refused() { # words keys [option...]
	words=$1
	shift
	if init "$@" >"$W/said" 2>"$W/why"; then
		echo "it did"
		return 1
	fi
	[ "$(wc -l <"$W/why")" = 1 ] && grep -q -e "$words" "$W/why" && return
	cat "$W/why"
	return 1
}

modes() { # keys "mode file..."
	found=$(cd "$W/$1" && stat -c '%a %n' ./* | tr '\n' ' ')
	[ "$found" = "$2" ] || echo "$found"
	[ "$found" = "$2" ]
}

import() { init "$1" --import - <"$W/$2"; }
issue() { init "$1" --issue "$2" | init "$3" --import -; }

echo "TAP version 13"
check "a shared key is made" init a
check "only its owner can read it" modes a "600 ./psk "
cp "$W/a/psk" "$W/before"
check "not a second time" refused 'psk is there already (--force replaces it)' a
check "the first is untouched" cmp "$W/before" "$W/a/psk"
check "the other host takes it from a pipe" import b a/psk
check "both have the same" cmp "$W/a/psk" "$W/b/psk"
check "and only its owner can read it there" modes b "600 ./psk "
check "not a second time either" refused 'is there already' b --import "$W/a/psk"
check "with --force it is another" init a --force
check "really" sh -c "! cmp -s $W/before $W/a/psk"
check "and still only its owner's" modes a "600 ./psk "

check "an authority is made, and a certificate" init ca --ca --name host-a
check "keys are their owner's" modes ca "644 ./agent.crt 600 ./agent.key 644 ./ca.crt 600 ./ca.key "
check "another host's goes through a pipe" issue ca host-b,10.0.0.2 host
check "it has no authority's key" modes host "644 ./agent.crt 600 ./agent.key 644 ./ca.crt "
check "of the same authority" cmp "$W/ca/ca.crt" "$W/host/ca.crt"
check "nothing is overwritten" refused 'is there already' ca --ca --name host-a
check "neither at the other host" sh -c "! $TELEPAGE agent init --keys $W/ca --issue x |
	$TELEPAGE agent init --keys $W/host --import -"
check "no shared key beside certificates" refused 'agent.crt is there already' ca
check "only an authority issues" refused 'no .*ca.key' host --issue host-c
check "bad names are refused" refused 'no list of host names' ca --issue 'a b'

echo nonsense >"$W/nonsense"
check "nonsense is not taken" refused 'is no key' c --import "$W/nonsense"
: >"$W/nonsense"
check "nor nothing" refused 'nothing in' c --import "$W/nonsense"
cat "$W/ca/ca.crt" "$W/ca/agent.crt" "$W/ca/agent.key" >"$W/nonsense"
check "nor pieces in another order" refused 'not what telepage agent init --issue writes' c --import "$W/nonsense"
ln -s "$W/victim" "$W/link"
mkdir "$W/d" && ln -s "$W/victim" "$W/d/psk"
check "no key is written through a link" refused 'is there already' d
foreign() { # a certificate of one host with the key of another
	init ca --issue host-c >"$W/c.pem" && init ca --issue host-d >"$W/d.pem" || return 1
	{
		sed '/END .*PRIVATE KEY/q' "$W/c.pem"
		sed '1,/END .*PRIVATE KEY/d' "$W/d.pem"
	} >"$W/mixed"
	refused "is not the certificate's" e --import "$W/mixed"
}

replaced() { # an authority whose ca.crt another's has taken the place of
	init ca2 --ca --name host-x >/dev/null &&
		init ca2 --issue host-y | init ca --import - --force >/dev/null &&
		refused 'do not match' ca --issue host-z
}

check "a key goes with its certificate" foreign
check "no host is called any" refused 'would be every host' ca --issue any
check "nothing is issued that ca.crt does not vouch for" replaced
check "days are a certificate's" refused 'days goes with' f --days 3
check "a shared key beside a certificate is not used, and it says so" sh -c \
	"'$TELEPAGE' agent init --keys '$W/host' --force | grep -q 'uses that'"
check "one at a time" refused 'one of' c --ca --issue x
echo "1..$n"
exit $bad
