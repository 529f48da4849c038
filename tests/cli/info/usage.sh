#!/bin/bash
. "$CLI_LIB"
refuses coppice info something
refuses coppice info --operator
