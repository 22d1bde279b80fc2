#!/bin/bash
# Downloads packages of Debian 12 for this machine's own architecture, with all that they need, the C library included,
# and unpacks them into a folder. Installs nothing: apt's lists, cache and record of installed packages are its own.
# usage: packages.sh DIR PACKAGE...
# DWCA_ARM_MIRROR is the Debian mirror, http://...; without it the one that this machine uses, or that debootstrap brings.
set -euo pipefail
shopt -s inherit_errexit

fail() {
    echo "icount: $1" >&2
    exit 1
}

# Unpacks packages of this machine's own distribution.
# usage: host_package DIR PACKAGE
host_package() {
    mkdir -p "$1"
    (cd "$1" && apt-get -qq -o APT::Sandbox::User=root download "$2") ||
        fail "cannot download $2: apt-get update first (as root), or apt-get install $2"
    dpkg-deb -x "$1"/*.deb "$1"
}

# usage: mirror DIR
mirror() {
    local address=${DWCA_ARM_MIRROR:-}
    [ -n "$address" ] || address=$(cat /etc/apt/{sources.list,sources.list.d/*.{list,sources},mirrors/*} 2>/dev/null |
        sed 's/#.*//' | grep -oEm1 'https?://[^ ]+/debian/?( |$)') || true
    if [ -z "$address" ]; then
        host_package "$1" debootstrap
        address=$(sed -n 's/^DEF_MIRROR="\(.*\)"/\1/p' "$1/usr/sbin/debootstrap")
    fi
    [ -n "$address" ] || fail "no Debian mirror is known: DWCA_ARM_MIRROR=http://... names one"
    echo "$address"
}

# usage: keyring DIR
keyring() {
    local file=/usr/share/keyrings/debian-archive-keyring.gpg
    if [ ! -e "$file" ]; then
        host_package "$1" debian-archive-keyring
        file=$1$file
    fi
    echo "$file"
}

# usage: download APT_DIR PACKAGE...
download() {
    local apt=$1 host address keys
    shift
    host=$(dpkg --print-architecture)
    mkdir -p "$apt"/{parts,lists/partial,cache/archives/partial}
    : > "$apt/status"
    address=$(mirror "$apt/mirror")
    keys=$(keyring "$apt/keyring")
    echo "deb [arch=$host signed-by=$keys] $address bookworm main" > "$apt/sources.list"
    local own=(
        -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts="$apt/parts"
        -o Dir::Etc::preferences="$apt/preferences" -o Dir::Etc::preferencesparts="$apt/parts"
        -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status"
        -o Dir::Cache="$apt/cache" -o APT::Architecture="$host" -o APT::Architectures="$host"
        -o APT::Install-Recommends=false -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any
        -o Acquire::Languages=none -o Acquire::Retries=3
    )
    apt-get "${own[@]}" -qq update
    apt-get "${own[@]}" -qq -y --download-only install "$@"
}

[ $# -ge 2 ] || fail "usage: packages.sh DIR PACKAGE..."
folder=$1
shift
for tool in apt-get dpkg dpkg-deb; do
    command -v "$tool" >/dev/null || fail "$tool is missing: this needs Debian or Ubuntu"
done
mkdir -p "$folder"
download "$folder/apt" "$@"
for package in "$folder"/apt/cache/archives/*.deb; do dpkg-deb -x "$package" "$folder"; done
rm -r "$folder/apt"
