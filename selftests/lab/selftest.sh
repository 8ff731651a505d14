#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Does the lab tell a good run from a bad one? Each test is one run, and what
# has to come of it. TAP on stdout; about three minutes.
#   selftest.sh [KVER]
set -u

lab=$(dirname "$(readlink -f "$0")")
kernel=${1:-6.12}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
count=0 failed=0

# run NAME STATUS OPTION...: the script comes on stdin; b's may be $dir/b. A fault of
# the emulator says nothing of the lab: once more, as the runner of the tests does. So is
# what was cut off before it came to what the test is about, with five times the time.
run() {
	local name=$1 want=$2 got tries=3 seconds=300
	shift 2
	[ "$1" != --timeout ] || {
		seconds=$2
		shift 2
	}

	cat >"$dir/script"
	count=$((count + 1))
	while :; do
		rm -rf "$dir/out"
		"$lab/lab" run --kernel "$kernel" --out "$dir/out" --timeout "$seconds" "$@" \
			>"$dir/stdout" 2>"$dir/stderr" </dev/null
		got=$?
		tries=$((tries - 1))
		[ "$tries" != 0 ] || break
		if [ "$got" = 122 ] && [ "$want" != 122 ]; then
			echo "# $name: the emulator failed, once more: $(tail -n 1 "$dir/stderr")"
		elif [ "$got" = 124 ] && ! begun; then
			echo "# $name: $seconds s are too few here, once more"
			seconds=$((seconds * 5))
		else
			break
		fi
	done
	if [ "$got" = "$want" ] && check; then
		echo "ok $count $name"
	else
		failed=$((failed + 1))
		echo "not ok $count $name"
		echo "# status $got, expected $want"
		sed 's/^/# stdout: /' "$dir/stdout"
		tail -n 12 "$dir/stderr" | sed 's/^/# stderr: /'
	fi
	check() { true; }
	begun() { true; }
}
# What else has to be so, and whether the script has come to what the test is about; the
# next run only.
# shellcheck disable=SC2317 # "run" calls them
check() { true; }
# shellcheck disable=SC2317
begun() { true; }

echo 'TAP version 13'

echo 'file content' >"$dir/a file"
check() {
	[ "$(cat "$dir/stdout")" = 'hello a 3 two words' ] &&
		grep -qx 'to stderr' "$dir/stderr" &&
		[ "$(cat "$dir/out/a/sub/copy")" = 'file content' ] &&
		[ -s "$dir/out/a/dmesg.txt" ] && [ -s "$dir/out/a/console.log" ]
}
run "status, output, arguments and files are carried" 7 --file "$dir/a file" \
	"$dir/script" -- 1 'two words' "it's" <<'EOF'
echo "hello $LAB_HOST $# $2"
echo to stderr >&2
[ "$3" = "it's" ] || exit 1
mkdir "$OUT/sub" && cp "/lab/files/a file" "$OUT/sub/copy"
sleep 1000 &
exit 7
EOF

run "a skip stays a skip, the tools are there" 4 "$dir/script" <<'EOF'
for tool in tc ip ss ethtool iperf3 strace socat jq fio stress-ng qemu-system-x86_64 taskset \
	setpriv flock timeout truncate cmp stat dd mkfs.ext4 cpio perf_is_not; do
	command -v $tool >/dev/null || missing="$missing $tool"
done
[ "$missing" = ' perf_is_not' ] || { echo "missing:$missing"; exit 1; }
[ -c /dev/kvm ] && [ -d /sys/kernel/tracing/events ] && [ -e /sys/fs/cgroup/cgroup.procs ] || exit 1
echo "this goes both ways" | tee /dev/stderr >/dev/stdout || exit 1
exit 4
EOF

run "packages that only one run has" 0 --packages tree "$dir/script" <<'EOF'
tree --version && ip -V && touch /usr/bin/writable
EOF

run "others have not" 0 "$dir/script" <<'EOF'
! command -v tree
EOF

run "a panic fails" 120 "$dir/script" <<'EOF'
echo c >/proc/sysrq-trigger
EOF

check() { grep -q 'WARNING: planted' "$dir/stderr"; }
run "a warning fails, whatever the script says" 120 "$dir/script" <<'EOF'
echo '<4>WARNING: planted' >/dev/kmsg
exit 0
EOF

# under KVM there is no emulator to blame
LAB_ACCEL=tcg run "a breakpoint that is no longer there is the emulator's" 122 "$dir/script" <<'EOF'
echo '<4>Oops: int3: 0000 [#1] PLANTED' >/dev/kmsg
echo '<4>Code: 66 90 eb <3c> 4d' >/dev/kmsg
exit 0
EOF

run "a breakpoint that is there is the kernel's" 120 "$dir/script" <<'EOF'
echo '<4>Oops: int3: 0000 [#1] PLANTED' >/dev/kmsg
echo '<4>Code: 66 90 cc <3c> 4d' >/dev/kmsg
exit 0
EOF

begun() { [ -s "$dir/out/a/before" ]; }
check() { [ "$(cat "$dir/out/a/before")" = kept ] && grep -q 'sysrq: Show Blocked' "$dir/out/a/console.log"; }
run "a hang fails, with what was there" 124 --timeout 12 "$dir/script" <<'EOF'
echo kept >"$OUT/before"
sync
sleep 1000
EOF

run "an end without a verdict fails" 121 "$dir/script" <<'EOF'
poweroff -f
EOF

LAB_ACCEL=tcg run "a reset that the kernel says nothing of is the emulator's" 122 "$dir/script" <<'EOF'
echo b >/proc/sysrq-trigger
EOF

check() { grep -q 'cannot be killed' "$dir/out/a/dmesg.txt"; }
run "a task that cannot be killed fails" 120 "$dir/script" <<'EOF'
truncate -s 16M /tmp/disk
mkfs.ext4 -q /tmp/disk
modprobe loop
mount -o loop /tmp/disk /mnt && fsfreeze -f /mnt || exit 1
touch /mnt/file &
until grep -q '^State:.D' /proc/$!/status; do
	sleep 0.1
done
EOF

# netem's delay and rate bound a line from one side: a busy machine only adds to the
# round trip and takes from the rate, and how much is nobody's promise ("counted time",
# below, has the exact figure).
check() {
	awk '/time=/ { n++; sub(".*time=", ""); if ($1 < 40) exit 1 }
	     END { if (n != 3) exit 1 }' "$dir/stdout" &&
		grep -qx 'a: rate ok' "$dir/stdout" && grep -qx 'b: b is done' "$dir/stdout" &&
		[ "$(cat "$dir/out/b/from-a")" = 'said a' ]
}
cat >"$dir/b" <<'EOF'
echo "b is done"
exit 9
EOF
run "two hosts: link, peer, the second script's status" 9 --hosts 2 \
	--net 'delay 40ms rate 50mbit' "$dir/script" "$dir/b" <<'EOF'
ping -q -c 1 host-b >/dev/null
ping -c 3 -i 0.2 "$LAB_PEER" || exit 1
peer false
[ $? = 1 ] || exit 2
for n in $(seq 20 39); do
	peer -n sh -c "sleep 0.5; exit $n" &
	eval "pid$n=$!"
done
for n in $(seq 20 39); do
	eval "wait \$pid$n"
	[ $? = "$n" ] || exit 3
done
[ "$(printf 'x y' | peer sh -c 'cat; echo err >&2' 2>/dev/null)" = 'x y' ] || exit 4
timeout 1 peer -n sleep 321
[ $? = 124 ] || exit 5
while peer -n pgrep -f 'sleep 32[1]' >/dev/null; do sleep 0.5; done
peer no-such-command 2>/dev/null
[ $? = 127 ] || exit 6
head -c 20000000 /dev/urandom >/tmp/big
peer cat </tmp/big | cmp - /tmp/big || exit 7
# what we still have to say is nothing to it, what it has said must arrive
[ "$(peer sh -c 'sleep 1; head -c 1000000 /dev/zero' </dev/zero | wc -c)" = 1000000 ] || exit 10
peer sh -c 'echo said $LAB_PEER >$OUT/from-a' && peer sh -c 'sed -i s/host-// $OUT/from-a' || exit 8
peer -n iperf3 -s -D
iperf3 -c host-b -t 4 -J | jq -r '.end.sum_received.bits_per_second / 1e6 | if . > 0 and . < 52 then "rate ok" else . end'
EOF

# A host that stands still for eight seconds leaves a gap between two ticks.
run "a host stands still when it asks to, and goes on; its clock does not wait" 0 --hosts 2 \
	"$dir/script" <<'EOF'
gaps() { peer -n awk 'NR > 1 && $1 - was >= 7 { n++ } { was = $1 } END { print n + 0 }' /tmp/ticks; }
ticks() { peer -n wc -l /tmp/ticks | cut -d' ' -f1; }
more() {
	before=$(ticks)
	until [ "$(ticks)" -gt "$before" ]; do sleep 0.5; done
}
peer -n sh -c 'while :; do sleep 0.1; date +%s; done >/tmp/ticks 2>&1 & echo $! >/tmp/ticker' || exit 1
for n in 1 2; do
	more
	was=$(gaps)
	began=$(peer -n date +%s)
	peer -n lab-pause 8 || exit 2
	[ $(($(peer -n date +%s) - began)) -ge 8 ] || exit 3
	more
	[ "$(gaps)" -gt "$was" ] || exit 4
done
peer -n sh -c 'kill $(cat /tmp/ticker)'
lab-pause 1 && ! lab-pause x 2>/dev/null
EOF

run "a warning on the other host fails" 120 --hosts 2 "$dir/script" <<'EOF'
peer sh -c 'echo "<4>WARNING: planted" >/dev/kmsg'
EOF

run "a panic of the other host ends the run" 120 --hosts 2 "$dir/script" <<'EOF'
peer -n sh -c 'sleep 1; echo c >/proc/sysrq-trigger'
sleep 1000
EOF

check() { sed -n 's/.*time=//p' "$dir/stdout" | grep -c '^50\.0.* ms$' | grep -qx 2; }
run "counted time: a round trip is what netem makes it" 0 --icount "$dir/script" <<'EOF'
ip netns add n
ip link add v0 type veth peer name v1 netns n
ip address add 10.1.0.1/24 dev v0
ip -n n address add 10.1.0.2/24 dev v1
ip link set v0 up && ip -n n link set v1 up
tc qdisc add dev v0 root netem delay 25ms
tc -n n qdisc add dev v1 root netem delay 25ms
ping -q -c 1 10.1.0.2 >/dev/null
ping -c 2 10.1.0.2
EOF

run "a KVM guest in the host" 0 "$dir/script" <"$lab/examples/nested.sh"

# An emulator that is not mended (lib/mend.sh) hangs here, in a timer interrupt of the guest
# that was delivered twice.
run "a KVM guest whose host's CPUs take turns" 0 --turns "$dir/script" <"$lab/examples/nested.sh"

echo "1..$count"
[ "$failed" = 0 ]
