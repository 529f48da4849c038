/* Everything that coppice offers. */
#ifndef COPPICE_COPPICE_H
#define COPPICE_COPPICE_H

#include <coppice/bench.h>
#include <coppice/compare.h>
#include <coppice/data.h>
#include <coppice/file.h>
#include <coppice/gradual.h>
#include <coppice/host.h>
#include <coppice/interrupt.h>
#include <coppice/masks.h>
#include <coppice/metrics.h>
#include <coppice/model.h>
#include <coppice/prune.h>
#include <coppice/runtime.h>
#include <coppice/status.h>
#include <coppice/tensor.h>
#include <coppice/version.h>

#endif
