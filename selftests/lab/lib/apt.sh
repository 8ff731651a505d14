# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Packages of a chosen Debian suite, read with an apt state of our own: nothing
# on the machine is installed or changed, and apt checks the signatures.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# The machine's own codename; its packages make the emulated hosts' user space,
# so that a tool built on the machine runs in them.
machine_suite() {
	# shellcheck disable=SC1091
	(. /etc/os-release && printf '%s\n' "${VERSION_CODENAME:?}")
}

# The mirror this machine uses. apt reads its own configuration, of either
# format, so we need not; no host name is written down here.
mirror() {
	local suite uris

	if [ -n "${TELEPAGE_MIRROR:-}" ]; then
		printf '%s\n' "$TELEPAGE_MIRROR"
		return
	fi
	suite=$(machine_suite)
	uris=$(apt-get update --print-uris 2>/dev/null |
		sed -n "s|^'\(.*\)/dists/$suite/InRelease'.*|\1|p")
	printf '%s\n' "${uris%%$'\n'*}"
}

# apt_open DIR SUITE...: a private state in DIR that reads these suites.
apt_open() {
	local dir=$1 uri
	shift

	uri=$(mirror)
	[ -n "$uri" ] || die "no Debian mirror in this machine's apt configuration; set TELEPAGE_MIRROR"
	[ -r "$KEYRING" ] || die "$KEYRING is missing (package debian-archive-keyring)"
	mkdir -p "$dir"/{lists/partial,archives/partial,empty}
	: >"$dir/status"
	cat >"$dir/lab.sources" <<-EOF
		Types: deb
		URIs: $uri
		Suites: $*
		Components: main
		Signed-By: $KEYRING
	EOF
	# Backports are pinned low by their Release file. QEMU has to come from
	# there on bookworm: 7.2 panics 6.12 kernels under TCG.
	cat >"$dir/preferences" <<-EOF
		Package: qemu-* seabios
		Pin: release n=bookworm-backports
		Pin-Priority: 990
	EOF
	# The machine's hooks (container images clean /var/cache/apt in one) are
	# about its own state, not ours. Recommends would bring a desktop along.
	cat >"$dir/apt.conf" <<-EOF
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear DPkg::Pre-Invoke;
		#clear DPkg::Post-Invoke;
		APT::Architecture "amd64";
		APT::Architectures { "amd64"; };
		APT::Install-Recommends "false";
		APT::Sandbox::User "";
		Acquire::Languages "none";
		Acquire::Retries "3";
		Debug::NoLocking "true";
		Dir::Etc::SourceList "$dir/lab.sources";
		Dir::Etc::SourceParts "$dir/empty";
		Dir::Etc::Preferences "$dir/preferences";
		Dir::Etc::PreferencesParts "$dir/empty";
		Dir::State "$dir";
		Dir::State::Lists "$dir/lists";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir";
		Dir::Cache::archives "$dir/archives";
	EOF
	apt-get -qq -c "$dir/apt.conf" update >&2 || die "apt-get update from $uri failed"
}

# What a meta package stands for: its dependency with a number in its name, "NAME VERSION"
# of the version in SUITE.
apt_meta() {
	local dir=$1 suite=$2 package=$3

	apt-cache -c "$dir/apt.conf" -t "$suite" show --no-all-versions "$package" |
		sed -n 's/^Depends: \(.*, \)\?\('"${package%%-cloud*}"'-[0-9][^ ,]*\) (= \([^)]*\)).*/\2 \3/p'
}

# apt_has DIR PACKAGE
apt_has() { apt-cache -c "$1/apt.conf" show --no-all-versions "$2" >/dev/null 2>&1; }

# apt_unpack DIR TARGET PACKAGE...: exactly these packages.
apt_unpack() {
	local dir=$1 target=$2
	shift 2

	(cd "$dir/archives" && apt-get -qq -c "$dir/apt.conf" download "$@" >&2) ||
		die "download failed: $*"
	unpack_archives "$dir" "$target"
}

# apt_unpack_closure DIR TARGET PACKAGE...: these and all they depend on. The
# status file is empty, so apt takes nothing as installed already.
apt_unpack_closure() {
	local dir=$1 target=$2
	shift 2

	apt-get -qq -y -c "$dir/apt.conf" --download-only \
		-o Dpkg::Use-Pty=0 install "$@" >&2 || die "download failed: $*"
	unpack_archives "$dir" "$target"
}

unpack_archives() {
	local dir=$1 target=$2 deb

	# /bin and its like are links into /usr; tar must follow them, and a
	# package that still ships /bin must not replace them.
	mkdir -p "$target"/usr/{bin,sbin,lib,lib64}
	ln -sfn usr/bin "$target/bin"
	ln -sfn usr/sbin "$target/sbin"
	ln -sfn usr/lib "$target/lib"
	ln -sfn usr/lib64 "$target/lib64"
	for deb in "$dir"/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$target" --keep-directory-symlink \
				--exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
				--exclude='./usr/share/locale/*' || die "cannot unpack $deb"
	done
	rm -f "$dir"/archives/*.deb
}
