#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# tier: full
#
# The benchmark can be run: its quick part measures all that it promises, and writes a report
# that says so. What the figures are is no matter here.
set -u
here=$(cd "$(dirname "$0")" && pwd)
export BUILD="${TELEPAGE_BUILD:-$here/../../build}"
W=$(mktemp -d)
trap 'rm -rf "$W"' EXIT
n=0 bad=0

result() { # STATUS WORDS
	n=$((n + 1))
	[ "$1" = 0 ] || bad=1
	echo "$([ "$1" = 0 ] || echo 'not ')ok $n $2"
}

if [ ! -e "$BUILD/kmod-6.12/telepage.ko" ] || [ ! -x "$BUILD/selftests/bench-fault" ]; then
	echo "1..0 # SKIP nothing to measure is built: make tool selftests lab-modules"
	exit 0
fi
"$here/run" --quick --kernel 6.12 --out "$W/out" >"$W/table" 2>"$W/err" </dev/null
result $? "the quick benchmarks can be run"
# a figure that is no number, or has no conditions, says nothing
python3 - "$W/out/report.json" "$here" >"$W/said" 2>&1 <<'END'
import glob, json, math, re, sys
figures = json.load(open(sys.argv[1]))
wrong = [f for f in figures if not isinstance(f["value"], (int, float)) or not math.isfinite(f["value"])
         or not f["conditions"] or f["kernel"] != "6.12"
         # a stage that takes less than no time is between other events
         or f["name"].startswith("stage_") and f["value"] <= 0]
have = {f["name"] for f in figures}
want = set()
for path in glob.glob(sys.argv[2] + "/*.bench"):
    text = open(path).read()
    if re.search("^# quick:", text, re.M):
        # names that are put together are seen by what they begin with
        want |= set(re.findall(r"^\s*figure \"?([a-z0-9_]+)", text, re.M))
lack = [w for w in want if not any(h.startswith(w) for h in have)]
print("wrong", wrong, "missing", lack, "of", len(have))
sys.exit(bool(wrong or lack or len(have) < 5))
END
result $? "each figure is there, a number with its conditions"
missing=$(sed -n 's/^{"name":"\([^"]*\)".*/\1/p' "$W/out/figures.jsonl" | while read -r name; do
	grep -q "^| $name |" "$W/out/report.md" || echo "$name"
done)
[ -s "$W/out/report.md" ] && [ -z "$missing" ]
result $? "the report has them all"
[ $bad = 0 ] || sed 's/^/# /' "$W/table" "$W/err" "$W/said"
echo "1..$n"
exit $bad
