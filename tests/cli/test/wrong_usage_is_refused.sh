#!/bin/bash
. "$CLI_LIB"
test_folder t/good
mkdir empty
refuses coppice test
refuses coppice test missing
refuses coppice test empty
refuses coppice test t --only '*bad*'
refuses coppice test t --rtol -1
refuses coppice test t --rtol much
refuses coppice test t --except missing
refuses coppice test t --except empty
refuses coppice test t --tune best
refuses coppice test t --json=missing/report.json
