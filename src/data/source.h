/* One input of a data set: where its samples come from. */
#ifndef COP_DATA_SOURCE_H
#define COP_DATA_SOURCE_H

#include <coppice/data.h>

#include "data/array.h"
#include "data/image.h"
#include "data/prepare.h"

typedef struct cop_source {
    char *name; /* of the model's input */
    coppice_type type;
    int rank;
    int64_t dims[COPPICE_MAX_RANK]; /* as the model declares them */
    bool bound;                     /* has data */
    bool images;                    /* `array` or the image list holds images */
    bool whole;                     /* a sample is a whole input, first dimension included */
    cop_array array;
    cop_scratch out; /* the batch */
} cop_source;

/* The named arrays of the options ("name=X.npy", "Z.npz", ...) go to the sources they name. */
coppice_status cop_sources_bind(cop_source *sources, size_t count,
                                const coppice_dataset_options *options, coppice_error *err);

/* Rows of a batch of n samples: n, or what the model fixes. */
int64_t cop_source_rows(const cop_source *source, int64_t n);

/* Makes a batch from a named array. */
coppice_status cop_source_array_batch(cop_source *source, int64_t first, int64_t n,
                                      coppice_tensor *out, coppice_error *err);

/* Room for `rows` samples of the shape of `sample` (first dimension 1); `out` describes the batch.
 */
coppice_status cop_source_reserve(cop_source *source, const coppice_tensor *sample, int64_t rows,
                                  coppice_tensor *out, coppice_error *err);

/* Repeats sample n - 1 in the rows behind it. */
void cop_source_fill(const coppice_tensor *batch, int64_t n);

#endif
