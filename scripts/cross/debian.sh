#!/bin/sh
# Fetches Debian's packages and unpacks them into a folder: debian.sh FOLDER ARCHITECTURE[/SUITE] PACKAGE...
#
# apt works on lists and a cache of its own in FOLDER.apt, with the sources of this machine, so nothing is installed and root is not
# needed. With SUITE, such as bullseye, the packages are those of that release, from where this machine's come from. What
# depends on what is for the caller to name.
set -eu

folder=$1
architecture=${2%/*}
suite=${2#"$architecture"}
shift 2

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
    echo "== expected apt-get and dpkg-deb, to fetch Debian's packages for $architecture: $*" >&2
    exit 1
}
mkdir -p "$folder.apt/state/lists/partial" "$folder.apt/cache/archives/partial" "$folder.apt/debs"
: >"$folder.apt/state/status"
cat >"$folder.apt/apt.conf" <<END
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "$(id -un)";
Dir::State "$folder.apt/state";
Dir::State::status "$folder.apt/state/status";
Dir::Cache "$folder.apt/cache";
END
if [ -n "$suite" ]; then
    from=$(apt-get indextargets --format '$(SITE) $(COMPONENT)' | sed -n 's/\(.*\/debian\) main$/\1/p' | head -n 1)
    # The signature of an old release is by a key that has expired since.
    echo "deb [trusted=yes] $from ${suite#/} main" >"$folder.apt/sources.list"
    cat >>"$folder.apt/apt.conf" <<END
Dir::Etc::sourcelist "$folder.apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Acquire::Check-Valid-Until "false";
END
fi
export APT_CONFIG="$folder.apt/apt.conf"
apt-get update -qq
(cd "$folder.apt/debs" && apt-get download -qq "$@")

rm -rf "$folder.part"
for package in "$folder.apt/debs"/*.deb; do
    dpkg-deb -x "$package" "$folder.part"
done
rm -rf "$folder" "$folder.apt"
mv "$folder.part" "$folder"
