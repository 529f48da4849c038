#!/bin/bash
# Nothing in a folder makes the program crash or take much memory.
. "$CLI_LIB"
ulimit -s 256
for name in empty nested huge text link folder control; do
    test_folder "t/$name"
done
data=test_data_set_0/input_0.pb
: >t/empty/$data
yes $'\x2a' | head -c 3000 | tr -d '\n' >t/nested/$data
printf '\x4a\xff\xff\xff\xff\x0f' >t/huge/$data
echo 'no tensor' >t/text/$data
ln -sf /dev/zero t/link/$data
rm t/folder/$data
mkdir t/folder/$data
mv t/control "t/$(printf 'con\e[31mtrol\n')"
printf '\x10\x01\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f' >t/con*/$data
mkdir -p t/"$(printf 'deep/%.0s' {1..40})"
coppice test t
echo "exit code $?"
