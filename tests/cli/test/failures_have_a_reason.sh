#!/bin/bash
# A line for each failure, exit code 1; the other tests still run.
. "$CLI_LIB"
for name in good values shape no_input too_much no_output cut model; do
    test_folder "t/$name"
done
float_tensor t/values/test_data_set_0/output_0.pb 2 10
float_tensor t/shape/test_data_set_0/output_0.pb 2 11
rm t/no_input/test_data_set_0/input_0.pb
cp t/too_much/test_data_set_0/{input_0,input_1}.pb
rm t/no_output/test_data_set_0/output_0.pb
truncate -s 100 t/cut/test_data_set_0/input_0.pb
truncate -s 100 t/model/model.onnx
coppice test t --backend reference
echo "exit code $?"
coppice test t/values --atol 1000 --rtol 0 --backend reference
echo "exit code $?"
coppice test t --only 'v*' --json --backend reference | timeless
coppice test t --only 'v*' --json=report.json --backend reference
jq -c '[.passed, .failed]' report.json
