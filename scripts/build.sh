#!/bin/bash
# Installs what is missing and builds the release into build/; one run at a time, others wait.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The lock is on the folder itself, so it leaves no file behind.
exec 9<"$root"
flock 9

"$root/scripts/install-deps.sh" 9<&-

build=$root/build
buildtype() {
    meson introspect "$build" --buildoptions 2>/dev/null |
        jq -r '.[] | select(.name == "buildtype").value' 2>/dev/null
}
if [ ! -f "$build/build.ninja" ]; then
    meson setup "$build" "$root" --buildtype=release 9<&- >&2
elif [ "$(buildtype)" != release ]; then
    meson configure "$build" --buildtype=release 9<&- >&2
fi
ninja -C "$build" 9<&- >&2
