/* The steps of saving: changes of the message that last until it is packed. */
#ifndef COP_ONNX_SAVE_H
#define COP_ONNX_SAVE_H

#include "onnx/internal.h"
#include "onnx/stream.h"

/* Smaller tensors stay in the model file when there is a data file. */
#define COP_MIN_EXTERNAL_BYTES 1024

/* What a message can have at most; tests lower it. */
extern size_t cop_max_message_bytes;

/* A part of the message as it was before it was changed for saving. */
typedef struct cop_change {
    void *at, *saved;
    size_t bytes;
    struct cop_change *before;
} cop_change;

/* A tensor in the data file. */
typedef struct cop_placed {
    const unsigned char *data; /* or a stream */
    size_t bytes;
    uint64_t offset;
    struct cop_placed *next;
} cop_placed;

typedef struct cop_saver {
    coppice_model *model;
    const coppice_save_options *options;
    cop_arena arena;    /* of what is made for saving only */
    cop_change *latest; /* undone, newest first, behind the packing */
    cop_streams streams;
    int64_t told, total;               /* bytes of both files: what the host knows of, and all */
    bool stopped;                      /* the host wants no more: nothing is committed */
    int64_t sparse_count, dense_count; /* initializers in the file */
    int64_t negative_zeros;            /* in what could be sparse */
    int64_t dropped_signs;             /* of zeros, in what is sparse */
    bool lists_changed;                /* of initializers */
    const char *data_name;             /* NULL: no data file */
    Onnx__StringStringEntryProto location; /* shared by all tensors in the data file */
    cop_placed *placed, **placed_end;      /* in the order of the data file */
    uint64_t data_bytes;
    cop_writer file, data;
    cop_writer interim; /* the model with the data file's temporary name; see base/file_pair.h */
    coppice_error *err;
} cop_saver;

/* Tells the host how much has been written. */
void cop_saver_tell(cop_saver *saver);

/* Remembers `bytes` bytes at `at`, which the caller changes next. */
coppice_status cop_saver_remember(cop_saver *saver, void *at, size_t bytes);

/* Finds the constants that the masks of the options are for. Errors: INVALID_ARGUMENT. */
coppice_status cop_saver_find_masks(cop_saver *saver);

/* Brings edits and masks of constants into the message, data from data files too, and gives every
 * initializer the form that the options ask for. */
coppice_status cop_saver_store(cop_saver *saver);

/* Lets the message have what a stream makes of a constant as raw_data. */
void cop_saver_stream_dense(cop_saver *saver, const cop_origin *origin, Onnx__TensorProto *tensor);

/* What the message takes in a file. */
size_t cop_saver_model_bytes(const cop_saver *saver);

/* ---- sparse tensors (store_sparse.c) ---- */

/* Could the constant be stored as a sparse tensor? */
bool cop_saver_may_be_sparse(const cop_origin *origin);

/* Sets origin->as_sparse or origin->as_dense where that makes the initializer smaller, or the
 * options ask for it. */
coppice_status cop_saver_choose_form(cop_saver *saver, cop_origin *origin);

/* Replaces the content of a sparse tensor that belongs to a node and was changed. */
coppice_status cop_saver_store_sparse_value(cop_saver *saver, cop_origin *origin);

/* Sets origin->as_dense of a sparse one. */
coppice_status cop_saver_make_dense(cop_saver *saver, cop_origin *origin);

/* Sets origin->listed. */
coppice_status cop_saver_find_listed(cop_saver *saver);

/* Puts all chosen forms into the lists of their graphs, and raises the IR version for them. */
coppice_status cop_saver_update_graphs(cop_saver *saver);

/* ---- the data file (store_external.c) ---- */

/* Gives tensors with external data their bytes as raw_data. */
coppice_status cop_saver_bring_in(cop_saver *saver);

/* Decides whether there is a data file, and points the message to what it will hold. `path` is the
 * target. Errors: LIMIT. */
coppice_status cop_saver_place(cop_saver *saver, const char *path);

/* Writes the data file. */
coppice_status cop_saver_write_data(cop_saver *saver);

#endif
