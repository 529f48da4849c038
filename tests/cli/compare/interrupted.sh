#!/bin/bash
# SIGINT in the middle: exit 130, a word.
coppice compare "$DIGITS" "$DIGITS" --images "$MODELS/digits_test_images.npy" --backend reference &
sleep 0.5
kill -INT $!
wait $!
echo "exit $?"
