#!/bin/bash
# Installs the Debian packages that coppice needs and this machine lacks; arguments name further packages.
set -euo pipefail

# One package per line: what it is for.
packages=(
    gcc                   # C11 compiler
    meson                 # build
    ninja-build           # build
    pkg-config            # finds the libraries
    libc6-dev             # headers of the C library
    protobuf-c-compiler   # makes the parser from the ONNX schema
    libprotobuf-c-dev     # what that parser runs on
    libonnx-dev           # the ONNX schema
    libxnnpack-dev        # dense and sparse kernels
    libpthreadpool-dev    # thread pool
    libcpuinfo-dev        # CPU detection
    libjansson-dev        # JSON
    libjs-chart.js        # pictures in HTML reports
    libzip-dev            # .npz
    zlib1g-dev            # .gz data, sizes
    libzstd-dev           # sizes
    libjpeg62-turbo-dev   # JPEG images
    libpng-dev            # PNG images
    check                 # unit tests
    jq                    # the scripts read coppice's JSON with it
    gnuplot-nox           # the demo's picture
)

fail() {
    echo "install-deps: $*" >&2
    exit 1
}

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    fail "this is not a Debian system. Install the equivalents of: ${packages[*]}"
fi

missing=()
for package in "${packages[@]}" "$@"; do
    is_installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

# shellcheck disable=SC1091 # the system's file
system=$(. /etc/os-release && echo "${ID:-unknown} ${VERSION_ID:-unknown}")
case $system in
"debian 12" | "debian 13") ;;
*) echo "install-deps: made for Debian 12 and 13, this is $system; trying" >&2 ;;
esac

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
        fail "not root and no sudo; as root run: apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo)
fi

echo "install-deps: installing ${missing[*]}" >&2
apt_get() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get -q -y -o DPkg::Lock::Timeout=600 "$@" </dev/null >&2
}
# The lists may be missing or too old to still name files that exist: refresh them before giving up.
apt_get install --no-install-recommends "${missing[@]}" || {
    apt_get update && apt_get install --no-install-recommends "${missing[@]}"
} || fail "apt could not install: ${missing[*]}"
