#!/bin/bash
# Builds coppice for aarch64 and runs its unit and kernel tests under qemu. All it makes is in one
# folder (default build-ci-aarch64/): FOLDER/sysroot, kept for the next run, and FOLDER/build.
# Arguments: the folder, then anything else for `meson test`.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${1:-$root/build-ci-aarch64}"
folder=$(cd "${1:-$root/build-ci-aarch64}" && pwd)
[ $# -eq 0 ] || shift
sysroot=$folder/sysroot

"$root/scripts/install-deps.sh" gcc-aarch64-linux-gnu qemu-user

packages=(libc6-dev libprotobuf-c-dev libxnnpack-dev libpthreadpool-dev libcpuinfo-dev libjansson-dev
    libzip-dev zlib1g-dev libzstd-dev libjpeg62-turbo-dev libpng-dev check)

# apt_arm64 FOLDER COMMAND...: an apt of its own that sees an empty aarch64 machine, so that it
# finds what the packages need, and the machine's own settings and packages stay as they are.
apt_arm64() {
    local apt=$1
    shift
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    apt-get -q -y -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
        -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" \
        -o Dir::Cache::archives="$apt/cache/archives" -o Acquire::Languages=none \
        -o APT::Sandbox::User= -o Debug::NoLocking=true "$@" </dev/null >&2
}

# Absolute links would lead out of the sysroot.
relative_links() {
    local link target
    find "$1" -type l -lname '/*' -print0 | while IFS= read -r -d '' link; do
        target=$(readlink "$link")
        ln -sfr "$1$target" "$link"
    done
}

make_sysroot() {
    local new=$folder/sysroot.new deb
    rm -rf "$new" "$folder/apt"
    mkdir -p "$new"
    apt_arm64 "$folder/apt" update
    apt_arm64 "$folder/apt" --download-only --no-install-recommends install "${packages[@]}"
    for deb in "$folder"/apt/cache/archives/*.deb; do
        dpkg-deb -x "$deb" "$new"
    done
    relative_links "$new"
    rm -rf "$folder/apt"
    mv "$new" "$sysroot"
}

[ -d "$sysroot" ] || make_sysroot
printf "[constants]\nsysroot = '%s'\n" "$sysroot" >"$folder/sysroot.ini"
rm -rf "$folder/build"
meson setup "$folder/build" "$root" --cross-file "$folder/sysroot.ini" --cross-file "$root/cross/aarch64.ini" \
    --buildtype=release -Dwerror=true
ninja -C "$folder/build"
"$root/scripts/test.sh" "$folder/build" --suite unit --suite kernels --timeout-multiplier 10 "$@"
