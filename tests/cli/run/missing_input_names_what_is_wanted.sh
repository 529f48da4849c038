#!/bin/bash
. "$CLI_LIB"
refuses coppice run "$DIGITS"
