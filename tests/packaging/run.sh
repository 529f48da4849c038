#!/bin/bash
# Installs a build into a folder and builds the example programs against it, through pkg-config and through CMake.
# Usage: run.sh [BUILD]      Needs pkg-config and cmake.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(cd "${1:-$root/build}" && pwd) || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
# shellcheck source=tests/verdict.sh
. "$root/tests/verdict.sh"

installs() {
    DESTDIR=$folder/stage meson install -C "$build" --no-rebuild
}

# Moved out of its prefix: everything must be found from where it lies.
find_installed() {
    config=$(find "$folder/stage" -name coppice.pc) && [ -n "$config" ] || return
    cmake_folder=$(dirname "$(find "$folder/stage" -name coppiceConfig.cmake)")
    library_folder=$(dirname "$(find "$folder/stage" -name 'libcoppice.so')")
    program=$(find "$folder/stage" -path '*/bin/coppice')
    [ -f "$library_folder/libcoppice.so.0" ] && [ -x "$program" ] &&
        [ "$(find "$folder/stage" -name '*.h' | wc -l)" -eq "$(find "$root/include" -name '*.h' | wc -l)" ]
}

# The library's own folder only: nothing of the build folder may be needed.
alone() {
    env LD_LIBRARY_PATH="$library_folder" "$@"
}

through_pkg_config() { # NAME
    # shellcheck disable=SC2046 # flags are words
    "${CC:-cc}" -std=c99 "$root/docs/examples/$1.c" -o "pc_$1" \
        $(PKG_CONFIG_SYSROOT_DIR=$folder/stage PKG_CONFIG_LIBDIR=$(dirname "$config") pkg-config --cflags --libs coppice)
}

knows_the_version() {
    [ "$(PKG_CONFIG_LIBDIR=$(dirname "$config") pkg-config --modversion coppice)" = "$(alone "$program" --version | cut -d ' ' -f 2)" ]
}

through_cmake() {
    cmake -S "$root/tests/packaging" -B cmake -Dcoppice_DIR="$cmake_folder" -DEXAMPLES="$root/docs/examples" &&
        cmake --build cmake
}

cmake_refuses_another_version() {
    mkdir -p newer && sed 's/coppice 0.1/coppice 0.2/' "$root/tests/packaging/CMakeLists.txt" >newer/CMakeLists.txt &&
        ! cmake -S newer -B newer/build -Dcoppice_DIR="$cmake_folder" -DEXAMPLES="$root/docs/examples" 2>newer.txt &&
        grep -q 'version: 0.1' newer.txt
}

verdict "meson install" installs
verdict "everything is there" find_installed
verdict "the installed program runs" alone "$program" info
for name in prune run hook; do
    verdict "$name builds through pkg-config" through_pkg_config "$name"
done
verdict "pkg-config knows the version" knows_the_version
verdict "an example built through pkg-config runs" alone ./pc_prune "$root/models/digits.onnx" a.onnx 0.5
verdict "the examples build through CMake" through_cmake
verdict "an example built through CMake runs" alone cmake/run "$root/models/digits.onnx" "$root/models/digits_test_images.npy"
verdict "CMake refuses another version" cmake_refuses_another_version

sum_up
