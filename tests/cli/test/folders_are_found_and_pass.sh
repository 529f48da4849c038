#!/bin/bash
# Folders of tests, at any depth; a test by itself; a model with its data sets beside it; hidden folders are left out.
. "$CLI_LIB"
test_folder suite/node/first
test_folder suite/node/second
test_folder suite/.hidden/third
cp -r suite/node/second/test_data_set_0 suite/node/second/test_data_set_1
ln -s ../suite suite/loop
coppice test suite -v
coppice test suite/node/first/ -v
coppice test suite/node/first/model.onnx -v
coppice test suite/node suite/node/first
coppice test suite --only 'node/f*' -v
coppice test suite --only second --only first
coppice test suite --json | timeless
