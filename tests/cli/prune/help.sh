#!/bin/bash
coppice prune --help
