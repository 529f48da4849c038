#!/bin/bash
# Unknown names are refused with the ones that there are (which instruction sets, the CPU decides).
. "$CLI_LIB"
refuses coppice bench "$DIGITS" --backend cuda
refuses coppice bench "$DIGITS" --sparse sometimes
refuses coppice bench "$DIGITS" --tune best
refuses coppice bench "$DIGITS" --threads none
refuses coppice run "$DIGITS" --isa mmx 2>&1 | sed 's/this CPU has: .*/this CPU has: .../'
other=neon
[ "$(uname -m)" != aarch64 ] || other=avx2
refuses coppice run "$DIGITS" --isa "$other" 2>&1 | sed "s/'$other'; it has: .*/'OTHER'; it has: .../"
COPPICE_ISA=$other refuses coppice bench "$DIGITS" 2>&1 | sed "s/'$other'; it has: .*/'OTHER'; it has: .../"
COPPICE_ISA=mmx refuses coppice bench "$DIGITS" 2>&1 | sed 's/this CPU has: .*/this CPU has: .../'
