#!/bin/bash
# A list of tests that are known to fail: an unlisted failure and a listed pass are failures.
. "$CLI_LIB"
test_folder t/good
test_folder t/bad
rm t/bad/test_data_set_0/input_0.pb
printf '# what fails\n\n  bad   for a reason # or two\n' >list
coppice test t --except list
echo "exit code $?"
coppice test t --except list -v --json | timeless
printf 'bad with CRLF\r\ngood\r\nother is no test' >list
coppice test t --except list
echo "exit code $?"
coppice test t --except list -q
coppice test t --except list --only bad
printf '~good\n~bad\n' >list
coppice test t --except list
echo "exit code $?"
