#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# tier: quick
#
# telepage attach --listen on this machine, with a pretended kernel: messages in pieces,
# peers that say nothing sensible, sockets that are in the way.
set -u
here=$(cd "$(dirname "$0")" && pwd)
tool=${TELEPAGE:-${BUILD:-$here/../../build}/unit/telepage-fake}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export TELEPAGE_FAKE="$dir" TELEPAGE_FAKE_HOST=a
nr=0 failed=0

ok() {
	nr=$((nr + 1))
	if [ "$1" = 0 ]; then
		echo "ok $nr $2"
	else
		failed=1
		echo "not ok $nr $2"
	fi
}

# peer PIECE...: sends the pieces, a descriptor with the first; "-": none
peer() {
	python3 - "$dir/sock" "$@" <<-'EOT'
	import array, os, socket, sys, time
	s = socket.socket(socket.AF_UNIX)
	for _ in range(600):
	    try:
	        s.connect(sys.argv[1])
	        break
	    except OSError:
	        time.sleep(0.05)
	fd = os.pipe()[0]
	for i, piece in enumerate(sys.argv[2:]):
	    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))]
	    if piece != '-':
	        s.sendmsg([piece.encode()], rights if i == 0 else [])
	    time.sleep(0.1)
	s.shutdown(socket.SHUT_WR)
	s.settimeout(30)
	s.recv(1)
	EOT
}

"$tool" create vm0 2M --dir "$dir" >/dev/null 2>&1
whole='[{"base_host_virt_addr":4096,"size":8192,"offset":4096}]'

peer "$whole" &
said=$("$tool" attach vm0 --listen "$dir/sock" 2>&1)
ok $? "a message in one piece: $said"
wait $!
grep -q '"ranges":\[\[4096,8192,4096,4096\]\]' "$dir/attached.vm0"
ok $? "its ranges arrive"

peer '[{"base_host_virt_addr":4096,"si' 'ze":8192,"off' 'set":4096}]' &
"$tool" attach vm0 --listen "$dir/sock" --no-fill >/dev/null 2>&1
ok $? "in three pieces"
wait $!
grep -q '"fd":true,"fill":false' "$dir/attached.vm0"
ok $? "with its descriptor, without filling"

for case in "$whole,|no JSON array" "[]|no ranges" "-|without a message"; do
	peer "${case%%|*}" &
	"$tool" attach vm0 --listen "$dir/sock" >"$dir/out" 2>"$dir/err"
	[ $? = 1 ] && grep -q "${case#*|}" "$dir/err" && [ "$(wc -l <"$dir/err")" = 1 ] &&
		[ ! -s "$dir/out" ] && [ ! -e "$dir/sock" ]
	ok $? "refused: $(cat "$dir/err")"
	wait $!
done

echo keep >"$dir/file"
"$tool" attach vm0 --listen "$dir/file" 2>"$dir/err"
[ $? = 1 ] && [ "$(cat "$dir/file")" = keep ]
ok $? "a file is not removed: $(cat "$dir/err")"
(umask 077 && "$tool" attach vm0 --listen "$dir/sock" --mode 0666 >/dev/null 2>&1) &
n=0
while [ ! -S "$dir/sock" ] && [ $n -lt 600 ]; do
	n=$((n + 1))
	sleep 0.05
done
[ "$(stat -c %a "$dir/sock")" = 666 ]
ok $? "the socket has the mode that was asked for: $(stat -c %a "$dir/sock")"
peer -
wait $!

# who can write to the directory puts a link in the socket's place as soon as it is there
cat >"$dir/swap.c" <<-'EOT'
	#define _GNU_SOURCE
	#include <dlfcn.h>
	#include <stdlib.h>
	#include <sys/socket.h>
	#include <sys/un.h>
	#include <unistd.h>

	int bind(int s, const struct sockaddr *a, socklen_t len)
	{
		int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
		const char *path = ((const struct sockaddr_un *)a)->sun_path;
		int ret = real(s, a, len);

		if (!ret && a->sa_family == AF_UNIX && !unlink(path))
			ret = symlink(getenv("VICTIM"), path);
		return ret;
	}
EOT
if cc -shared -fPIC -o "$dir/swap.so" "$dir/swap.c" -ldl 2>"$dir/err"; then
	echo keep >"$dir/victim"
	chmod 600 "$dir/victim"
	VICTIM=$dir/victim LD_PRELOAD=$dir/swap.so ASAN_OPTIONS=verify_asan_link_order=0 timeout 2 \
		"$tool" attach vm0 --listen "$dir/sock" --mode 0666 >/dev/null 2>&1
	[ "$(stat -c %a "$dir/victim")" = 600 ]
	ok $? "a file that a link has put in its place keeps its mode"
	rm -f "$dir/sock"
	if [ "$(id -u)" = 0 ]; then
		VICTIM=$dir/victim LD_PRELOAD=$dir/swap.so ASAN_OPTIONS=verify_asan_link_order=0 \
			timeout 2 "$tool" attach vm0 --listen "$dir/sock" --owner 1:1 >/dev/null 2>"$dir/err"
		[ "$(stat -c %u "$dir/victim")" = 0 ] && grep -q "$dir/sock: " "$dir/err"
		ok $? "and its owner: $(cat "$dir/err")"
		rm -f "$dir/sock"
	fi
else
	echo "# no compiler: $(head -n 1 "$dir/err")"
fi

"$tool" attach vm0 --listen "$dir/$(printf '%0120d' 0)" 2>"$dir/err"
[ $? = 1 ] && grep -q 'too long' "$dir/err"
ok $? "a path that is too long"
for args in '' '--listen x --fd 3' '--pid 1 --fd 3' '--mode 0600 --pid 1 --fd 3 --range 0,4096,0' \
	'--pid 0 --fd 3 --range 0x1000,4096,0' '--pid 1 --fd 3 --range 1,2'; do
	# shellcheck disable=SC2086
	"$tool" attach vm0 $args 2>"$dir/err"
	[ $? = 2 ] && [ "$(wc -l <"$dir/err")" = 1 ]
	ok $? "usage: $(cat "$dir/err")"
done
echo "1..$nr"
exit $failed
