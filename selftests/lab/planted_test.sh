#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# tier: all
# Do the kernels that look for bugs find them? A module with one bug of each class
# (planted/), a boot for each, as a kernel that complained once looks less closely
# from then on; and one without a bug. A kernel that has not been built is skipped:
# 'lab fetch debug' builds it. TAP on stdout; about a minute a boot.
#   planted_test.sh [BUG...]
set -u

only=" $* "

lab=$(dirname "$(readlink -f "$0")")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
count=0 failed=0 skipped=0

# planted KERNEL BUG STATUS COMPLAINT: has a run in which the module does that this
# status, and does the lab say why?
planted() {
	local kernel=$1 bug=$2 want=$3 complaint=$4 got tries=3

	[[ $only =~ ^\ *$ || $only = *" $bug "* ]] || return
	count=$((count + 1))
	if ! "$lab/lab" kernels | grep -q "^$kernel .*-lab\$"; then
		skipped=$((skipped + 1))
		echo "ok $count $kernel: $bug # SKIP this kernel is not built"
		return
	fi
	if [ ! -e "$dir/$kernel/planted.ko" ]; then
		mkdir "$dir/$kernel"
		cp "$lab"/planted/* "$dir/$kernel/"
		make -s -C "$("$lab/lab" kdir "$kernel")" M="$dir/$kernel" modules >&2 || exit 1
	fi
	cat >"$dir/script" <<-EOF
		insmod /lab/files/planted.ko && echo $bug >/sys/module/planted/parameters/bug && rmmod planted
	EOF
	# a fault of the emulator says nothing of the lab
	while :; do
		rm -rf "$dir/out"
		"$lab/lab" run --kernel "$kernel" --no-module --file "$dir/$kernel/planted.ko" \
			--out "$dir/out" "$dir/script" >"$dir/stdout" 2>"$dir/stderr" </dev/null
		got=$?
		tries=$((tries - 1))
		if [ "$got" != 122 ] || [ "$tries" = 0 ]; then
			break
		fi
	done
	if [ "$got" = "$want" ] && { [ -z "$complaint" ] || grep -q -e "$complaint" "$dir/stderr"; }; then
		echo "ok $count $kernel: $bug"
	else
		failed=$((failed + 1))
		echo "not ok $count $kernel: $bug"
		echo "# status $got, expected $want and '$complaint'"
		tail -n 12 "$dir/stderr" | sed 's/^/# stderr: /'
	fi
}

echo 'TAP version 13'
planted debug none 0 ''
planted debug bounds 120 'KASAN: slab-out-of-bounds in planted_bounds'
planted debug order 120 'possible circular locking'
planted debug sleep 120 'sleeping function called from invalid context'
planted debug leak 120 'kmemleak: telepage: unreferenced object'
planted kcsan none 0 ''
planted kcsan race 120 'KCSAN: data-race in planted_racer'
echo "1..$count"
[ "$skipped" != "$count" ] || exit 4
[ "$failed" = 0 ]
