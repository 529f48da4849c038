#!/bin/bash
# A dry run says where the masks belong and writes nothing.
here=$(dirname "$CLI_LIB")/apply-masks
coppice apply-masks "$DIGITS" "$here/compressed.npz" --dry-run --trust-names
ls
