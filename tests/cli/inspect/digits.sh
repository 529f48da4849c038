#!/bin/bash
coppice inspect "$DIGITS"
