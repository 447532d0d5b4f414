#!/bin/sh
# Fetches Debian's packages of another architecture and unpacks them into a folder: debian.sh ARCHITECTURE FOLDER PACKAGE...
#
# apt works on lists and a cache of its own in FOLDER.apt, with the sources of this machine, so nothing is installed and root is not
# needed. What depends on what is for the caller to name.
set -eu

architecture=$1
folder=$2
shift 2

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
    echo "== expected apt-get and dpkg-deb, to fetch Debian's packages for $architecture: $*" >&2
    exit 1
}
mkdir -p "$folder.apt/state/lists/partial" "$folder.apt/cache/archives/partial" "$folder.apt/debs"
: >"$folder.apt/state/status"
cat >"$folder.apt/apt.conf" <<EOF
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "$(id -un)";
Dir::State "$folder.apt/state";
Dir::State::status "$folder.apt/state/status";
Dir::Cache "$folder.apt/cache";
EOF
export APT_CONFIG="$folder.apt/apt.conf"
apt-get update -qq
(cd "$folder.apt/debs" && apt-get download -qq "$@")

rm -rf "$folder.part"
for package in "$folder.apt/debs"/*.deb; do
    dpkg-deb -x "$package" "$folder.part"
done
rm -rf "$folder" "$folder.apt"
mv "$folder.part" "$folder"
