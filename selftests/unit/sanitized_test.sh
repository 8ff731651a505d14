#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# tier: all
#
# The tool, its unit tests and the agents once more, built with the address and the undefined
# behaviour sanitizers, whose every complaint ends a program: what of a peer's or a user's
# making is read behind its end, or not given back. A result for each of those tests.
set -u
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
root=$(dirname "$(dirname "$here")")
build=$(mktemp -d) || exit 1
trap 'rm -rf "$build"' EXIT

if ! make -s -C "$root" tool unit SAN=1 BUILD="$build" >"$build/log" 2>&1; then
	grep -q 'lib[au]b*san' "$build/log" && {
		echo "1..0 # SKIP the compiler has no sanitizers"
		exit 4
	}
	tail -n 5 "$build/log" | sed 's/^/# /'
	echo "Bail out! it does not build with sanitizers"
	exit 1
fi
# Some kernels put programs where older sanitizers want their shadow.
fixed=()
! setarch -R true 2>/dev/null || fixed=(setarch -R)
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
only=()
for file in "$build"/unit/test_* "$here"/*_test.sh; do
	name=$(basename "${file%.sh}")
	case $name in
	# nothing of the tool runs in it; itself
	dkms_test | sanitized_test) ;;
	*) only+=(--only "$name") ;;
	esac
done
BUILD=$build "${fixed[@]}" "$root/selftests/run" --kernel none --tier full "${only[@]}" >"$build/out" 2>&1
# what it counts has the number behind, and its own name in front
sed -n 's/^\(ok\|not ok\) [0-9]* host /\1 - /p; s/^# host /# /p' "$build/out" |
	awk '/^(not )?ok / { sub(/ok /, "ok " ++n " ") } { print } END { print "1.." n + 0 }'
grep -h -A 12 'ERROR: \|runtime error: ' "$build"/check/*.log | sed 's/^/# /' | head -n 60
! grep -q '^not ok\|^1\.\.0' "$build/out"
