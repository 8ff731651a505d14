#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Does Documentation/netlink/specs/telepage.yaml say the same as
# <linux/telepage.h>? Both are turned into lines "C_NAME VALUE TYPE", one for each
# constant, enumerator, attribute and command, and those are compared. Prints TAP,
# or with --list HEADER|SPEC just the lines.
#
#   selftests/check-spec.sh [HEADER [SPEC]]

set -u

top=$(dirname "$0")/..
list=
if [ "${1-}" = --list ]; then
	list=$2
	shift 2
fi
header=${1-$top/include/uapi/linux/telepage.h}
spec=${2-$top/Documentation/netlink/specs/telepage.yaml}

# Enumerators without a value count up from 0. What only marks the ends (UNSPEC,
# MAX) is not in the spec, and neither is the name of the filesystem, which is no
# part of netlink.
header_lines() {
	awk '
	# types are told by the first word of the comment beside an attribute
	function type_of(line,    t) {
		if (line !~ /\/\*/)
			return "-"
		t = line
		sub(/.*\/\* */, "", t)
		sub(/[^a-z0-9].*/, "", t)
		return t ~ /^(u8|u32|u64|string|flag|binary|nest)$/ ? t : "-"
	}
	$1 == "#define" && $2 ~ /^TELEPAGE_/ && $2 != "TELEPAGE_FS_NAME" && NF > 2 {
		value = $3
		gsub(/"/, "", value)
		print $2, value, "const"
	}
	/^enum.*\{/ { in_enum = 1; n = 0; next }
	/^\};/ { in_enum = 0 }
	in_enum && $1 ~ /^TELEPAGE_[A-Z0-9_]+(,|$)/ && $2 != "=" {
		name = $1
		sub(/,.*/, "", name)
		type = type_of($0)
		if (name ~ /^TELEPAGE_A_STATS_/ && type == "-")
			type = "u64"
		if (name ~ /_PAD$/)
			type = "pad"
		if (name !~ /_UNSPEC$/)
			print name, n, type
		n++
	}
	in_enum && $2 == "=" && $1 !~ /_MAX$/ { print $1, "has-a-value-of-its-own", "-" }
	' "$1"
}

# The spec is YAML that keeps to one way of writing: two blanks for each level, a
# list element is "-" alone on a line.
spec_lines() {
	awk '
	function c_name(prefix, name,    s) {
		s = toupper(prefix name)
		gsub(/-/, "_", s)
		return s
	}
	# what was collected of the element that ends here
	function flush_item() {
		if (section == "definitions" && kind == "const" && name != "") {
			print c_name("telepage-", name), value, "const"
			name = ""
		}
		if (section == "attribute-sets" && attr != "" && !subset)
			print c_name(prefix, attr), n++, type
		attr = ""
	}
	{ sub(/[ \t]+$/, "") }
	/^ *#/ || /^$/ { next }
	/^[a-z]/ {
		flush_item()
		section = $1
		sub(/:.*/, "", section)
		if (section == "name") print "TELEPAGE_FAMILY_NAME", $2, "const"
		next
	}
	section == "definitions" && /^  -$/ { flush_item(); name = kind = ""; n = 0 }
	section == "definitions" && /^    name: / { name = $2 }
	section == "definitions" && /^    type: / { kind = $2 }
	section == "definitions" && /^    value: / { value = $2 }
	section == "definitions" && /^    name-prefix: / { prefix = $2 }
	section == "definitions" && /^    value-start: / { n = $2 }
	section == "definitions" && /^        name: / { print c_name(prefix, $2), n++, "-" }

	section == "attribute-sets" && /^  -$/ { flush_item(); subset = 0; n = 1; prefix = "" }
	section == "attribute-sets" && /^    name-prefix: / { prefix = $2 }
	section == "attribute-sets" && /^    subset-of: / { subset = 1 }
	section == "attribute-sets" && /^      -$/ { flush_item(); type = "-" }
	section == "attribute-sets" && /^        name: / { attr = $2 }
	section == "attribute-sets" && /^        type: / { type = $2 }

	section == "operations" && /^  name-prefix: / { prefix = $2; n = 1 }
	section == "operations" && /^      name: / { print c_name(prefix, $2), n++, "-" }

	section == "mcast-groups" && /^      name: / {
		print c_name("telepage-mcgrp-", $2), $2, "const"
	}
	END { flush_item() }
	' "$1"
}

# the version of a family is 1 where the spec says nothing else
all_spec_lines() {
	spec_lines "$1"
	echo "TELEPAGE_FAMILY_VERSION 1 const"
}

case $list in
HEADER) header_lines "$header"; exit ;;
SPEC) all_spec_lines "$spec"; exit ;;
esac

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
header_lines "$header" | sort >"$tmp/header"
all_spec_lines "$spec" | sort >"$tmp/spec"

nr=0
failed=0
result() {
	nr=$((nr + 1))
	if [ "$1" = 0 ]; then
		echo "ok $nr $2"
	else
		echo "not ok $nr $2"
		failed=1
	fi
}

echo "TAP version 13"
echo "1..3"

# a parser that finds nothing finds no difference either
[ "$(wc -l <"$tmp/header")" -ge 100 ] && [ "$(wc -l <"$tmp/spec")" -ge 100 ]
result $? "both files have names to compare ($(wc -l <"$tmp/header"))"

[ -z "$(cut -d' ' -f1 "$tmp/header" | uniq -d)$(cut -d' ' -f1 "$tmp/spec" | uniq -d)" ]
result $? "no name twice"

diff -u "$tmp/header" "$tmp/spec" >"$tmp/diff"
same=$?
[ $same = 0 ] || sed '1,2d; s/^/# /' "$tmp/diff"
result $same "names, values and types are the same (-: header, +: spec)"

exit $failed
