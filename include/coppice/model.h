/* Loading, looking at and saving ONNX models.
 *
 *     coppice_model *model = NULL;
 *     coppice_error error;
 *     if (coppice_model_load("net.onnx", NULL, &model, &error) != COPPICE_OK)
 *         fprintf(stderr, "%s\n", error.message);
 *
 * A model keeps everything that was in its file: metadata, doc strings, functions, unknown fields,
 * the order of nodes. Large weights are not copied but mapped from the file, privately: edits stay
 * in memory until the model is saved, and the file may be replaced meanwhile (but not truncated).
 *
 * An open model is cheap to keep: a file descriptor is not held, and memory is needed for the graph
 * and for weights that were changed; the others are pages of the file, which the system takes back
 * when it needs them.
 *
 * Threads: a model may be read from several threads at once, by every function that takes it as
 * const. Saving, pruning, writing tensors and freeing need exclusive use. */
#ifndef COPPICE_MODEL_H
#define COPPICE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <coppice/export.h>
#include <coppice/host.h>
#include <coppice/status.h>
#include <coppice/tensor.h>
#include <coppice/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct coppice_model coppice_model;

/* Initialise with coppice_load_options_init. */
typedef struct coppice_load_options {
    const coppice_host *host; /* memory, log and progress; borrowed as long as the model lives;
                                 default NULL */
} coppice_load_options;

/* Sets every member to its default. */
COPPICE_API void coppice_load_options_init(coppice_load_options *options);

/* Loads `path` and, from its folder, the external data that it names. `options` may be NULL for the
 * defaults. *out is owned by the caller, free with coppice_model_free; NULL on failure.
 * Errors: NOT_FOUND, IO; BAD_MODEL for anything that is not a well-formed ONNX model (truncated or
 * nested too deep, shapes that overflow or disagree with their data, external data outside the
 * model's folder or beyond its file); LIMIT. */
COPPICE_API coppice_status coppice_model_load(const char *path, const coppice_load_options *options,
                                              coppice_model **out, coppice_error *error);

/* The same from `bytes` bytes at `data`, which are copied. External data is refused. Messages call
 * it "<memory>". */
COPPICE_API coppice_status coppice_model_load_memory(const void *data, size_t bytes,
                                                     const coppice_load_options *options,
                                                     coppice_model **out, coppice_error *error);

/* NULL is fine. Sessions made from the model must be freed before. */
COPPICE_API void coppice_model_free(coppice_model *model);

/* In which form weights are written. */
typedef enum coppice_weights_form {
    COPPICE_WEIGHTS_AS_LOADED, /* sparse ones stay sparse where that is smaller, others dense */
    COPPICE_WEIGHTS_DENSE,     /* every initializer dense, zeros and all */
    COPPICE_WEIGHTS_SPARSE /* as sparse_initializer wherever that is smaller than dense: not read
                              by every tool (ONNX Runtime, onnx.checker and netron do) */
} coppice_weights_form;

/* What becomes of -0.0 in float tensors that are written sparse (elsewhere every bit stays). A -0.0
 * that is kept is a value with an index and takes as much room as a weight. */
typedef enum coppice_zero_signs {
    COPPICE_ZERO_SIGNS_KEEP,   /* every bit comes back */
    COPPICE_ZERO_SIGNS_MASKED, /* +0.0 in tensors where at least 16384 and an eighth of the zeros
                                  are -0.0: multiplying with a mask leaves them; kept in others */
    COPPICE_ZERO_SIGNS_DROP    /* +0.0 */
} coppice_zero_signs;

/* How a model is written. Initialise with coppice_save_options_init. */
typedef struct coppice_save_options {
    bool overwrite;            /* replace an existing target; default false: EXISTS */
    const char *external_data; /* file name (no folder) for the weights beside the target; default
                                  NULL: everything in one file while it has less than 2 GB, else
                                  the target's name with ".data" behind it */
    bool single_file;          /* LIMIT rather than a data file; default false */
    coppice_weights_form weights;  /* default COPPICE_WEIGHTS_AS_LOADED */
    coppice_zero_signs zero_signs; /* default COPPICE_ZERO_SIGNS_KEEP */
    /* Weights are written as +0.0 where these prune them (masks.h); the model in memory stays as it
     * is, so that large models need no memory for it. Names and shapes must be the model's. Default
     * NULL. */
    const struct coppice_masks *masks;
} coppice_save_options;

/* Sets every member to its default. */
COPPICE_API void coppice_save_options_init(coppice_save_options *options);

/* What was written. */
typedef struct coppice_save_result {
    int64_t bytes;           /* of all files */
    char external_data[256]; /* name of the data file, "" when there is none */
    int64_t sparse_count;    /* initializers written as sparse_initializer */
    int64_t dense_count;     /* the other initializers */
    int64_t negative_zeros;  /* with COPPICE_WEIGHTS_SPARSE: -0.0 in the tensors that could be
                                sparse, each of them a value */
    int64_t dropped_signs;   /* -0.0 that became +0.0 */
} coppice_save_result;

/* Writes the model to `path`, complete or not at all; a data file appears with it. `options` may be
 * NULL for the defaults, `result` NULL.
 * Errors: EXISTS, IO; LIMIT when a single file was asked for and would pass 2 GB; INVALID_ARGUMENT
 * for masks that do not fit, for a target that another file of the loaded model has the name of,
 * and for symbolic links as targets when there is a data file; INTERRUPTED. */
COPPICE_API coppice_status coppice_model_save(coppice_model *model, const char *path,
                                              const coppice_save_options *options,
                                              coppice_save_result *result, coppice_error *error);

/* Says what coppice_model_save would write with these options (all but `overwrite` count), without
 * writing: for the sizes of other forms. `path` is where the model would go, which the name of a
 * data file may come from. Needs exclusive use of the model. Errors: as coppice_model_save. */
COPPICE_API coppice_status coppice_model_measure(coppice_model *model, const char *path,
                                                 const coppice_save_options *options,
                                                 coppice_save_result *result, coppice_error *error);

/* Size in bytes of the files that the model was loaded from, external data included. */
COPPICE_API int64_t coppice_model_file_bytes(const coppice_model *model);

/* IR version, and the opset version of `domain` ("" is the default domain; 0: not imported). */
COPPICE_API int64_t coppice_model_ir_version(const coppice_model *model);
COPPICE_API int64_t coppice_model_opset(const coppice_model *model, const char *domain);

/* Notes about the file that are no errors ("IR version 14 is newer than ..."). Index from 0; NULL
 * behind the last. Owned by the model. */
COPPICE_API const char *coppice_model_note(const coppice_model *model, size_t index);

/* ---- inputs, outputs ---- */

/* A graph input or output as declared. Strings are owned by the model. */
typedef struct coppice_value_info {
    const char *name;
    coppice_kind kind;
    coppice_type type; /* of the tensors inside when it is none; UNDEFINED when not declared */
    int rank;          /* -1: shape not declared */
    int64_t dims[COPPICE_MAX_RANK];        /* -1: free */
    const char *symbols[COPPICE_MAX_RANK]; /* the name of a free dimension, or NULL */
} coppice_value_info;

/* Inputs that a caller has to give: graph inputs without initializers, in order. */
COPPICE_API size_t coppice_model_input_count(const coppice_model *model);
COPPICE_API size_t coppice_model_output_count(const coppice_model *model);
/* `index` must be below the count. */
COPPICE_API coppice_value_info coppice_model_input(const coppice_model *model, size_t index);
COPPICE_API coppice_value_info coppice_model_output(const coppice_model *model, size_t index);

/* Opset imports by index; false behind the last. `domain` is owned by the model. */
COPPICE_API bool coppice_model_opset_at(const coppice_model *model, size_t index,
                                        const char **domain, int64_t *version);

/* ---- tensors ---- */

/* Every initializer and Constant node of the model and its sub-graphs, in the order of the file,
 * under unique names: an initializer's own, for a Constant node its output's, "graph/name" in a
 * sub-graph. Names are owned by the model. `index` must be below the count. */
COPPICE_API size_t coppice_model_tensor_count(const coppice_model *model);
COPPICE_API const char *coppice_model_tensor_name(const coppice_model *model, size_t index);

/* Index of the tensor `name`, -1 when there is none. */
COPPICE_API int64_t coppice_model_tensor_find(const coppice_model *model, const char *name);

/* Type and shape of a tensor, without data. A sparse initializer looks like its dense form. Type
 * UNDEFINED: its data cannot be had (strings of a sparse tensor, a rank above COPPICE_MAX_RANK). */
COPPICE_API coppice_tensor coppice_model_tensor_info(const coppice_model *model, size_t index);

/* Copies the elements of a tensor to `data`, coppice_tensor_bytes of its info, row-major.
 * Errors: UNSUPPORTED for strings and data that cannot be had. */
COPPICE_API coppice_status coppice_model_tensor_read(const coppice_model *model, size_t index,
                                                     void *data, coppice_error *error);

/* Replaces the elements of a tensor by those at `data`, in memory until the model is saved. Free
 * sessions of the model before. Errors as above. */
COPPICE_API coppice_status coppice_model_tensor_write(coppice_model *model, size_t index,
                                                      const void *data, coppice_error *error);

/* Takes over the values of all tensors of another model of the same network, as training wrote it:
 * float initializers need the same names, types and shapes in both, however they are stored. Float
 * Constant nodes change where both models have them alike; integers are not looked at. On failure
 * nothing is changed. Errors: BAD_DATA with the name of the tensor that is missing, new, or of
 * another type or shape, or that holds a NaN or an infinity which `model` did not hold there. */
COPPICE_API coppice_status coppice_model_copy_tensors(coppice_model *model,
                                                      const coppice_model *from,
                                                      coppice_error *error);

/* ---- weights ---- */

/* A node that multiplies by a weight. Strings are owned by the report. */
typedef struct coppice_weight_user {
    const char *node; /* its name, or its first output's */
    const char *op;   /* "Conv", "ConvTranspose", "DeformConv", "Gemm", "MatMul", "Einsum", "LSTM",
                         "GRU" or "RNN" */
    const char *via;  /* operators between the initializer and the node: "Cast, Transpose"; NULL:
                         none */
    int64_t macs; /* multiply-accumulates by this weight in one run, free dimensions 1; -1: shape
                     unknown */
} coppice_weight_user;

/* One weight: a row of `coppice inspect`. Strings and arrays are owned by the report. */
typedef struct coppice_weight_info {
    const char *initializer; /* its name; for a Constant node its output's name; "graph/name" in a
                                sub-graph */
    const char *node, *op;   /* of the first user */
    coppice_weight_user *users; /* in graph order; several when the weight is tied */
    size_t user_count;
    coppice_type type;
    uint32_t rank;
    int64_t dims[COPPICE_MAX_RANK];
    int64_t weights, zeros; /* zeros: also those under a mask that the model multiplies it by */
    int64_t bytes;          /* as stored in the file */
    int64_t macs;           /* of all users; -1: unknown of one of them */
    const char *pattern;    /* "dense", "unstructured", "2:4", "4x1", ... */
    const char *kept_dense; /* why prune keeps it dense by default, NULL: it is pruned */
    bool prunable;          /* it can be pruned when asked for */
} coppice_weight_info;

/* Parameters that are no listed weights, by what they are for. */
typedef struct coppice_parameter_group {
    const char *kind; /* "biases", "scales" (normalisation, quantisation, channels), "embeddings",
                         "masks" (of weights; no parameters of their own), "other" */
    int64_t tensors, parameters, zeros, bytes;
} coppice_parameter_group;

/* What coppice_prune with default options would leave, by arithmetic: nothing is pruned or
 * measured. Sparsity 0: the model as it is. */
typedef struct coppice_forecast {
    double sparsity;      /* asked for */
    int64_t zeros;        /* over all listed weights */
    int64_t macs_left;    /* over those with known MACs */
    int64_t bytes_dense;  /* of the files with all weights dense */
    int64_t bytes_sparse; /* with COPPICE_WEIGHTS_SPARSE, about: zeros spread evenly */
} coppice_forecast;

enum { COPPICE_PARAMETER_GROUPS = 5, COPPICE_FORECASTS = 4 };

typedef struct coppice_inspection {
    coppice_weight_info *weights; /* in graph order of their first user */
    size_t weight_count;
    int64_t parameters, zeros;  /* over all listed weights */
    int64_t negative_zeros;     /* -0.0 in the whole model: values in sparse files, until pruned */
    int64_t prunable;           /* parameters of those that prune takes by default */
    int64_t macs, macs_nonzero; /* over all listed weights with known MACs */
    int64_t macs_prunable;      /* of those that prune takes by default */
    int64_t macs_other;         /* of products without a weight, as attention has them */
    size_t macs_unknown;        /* listed weights without known MACs */
    coppice_parameter_group others[COPPICE_PARAMETER_GROUPS]; /* in the order named above */
    int64_t model_parameters;                                 /* of listed weights and others */
    coppice_forecast forecasts[COPPICE_FORECASTS];            /* sparsity 0, 0.5, 0.8, 0.9 */
} coppice_inspection;

/* Looks at every weight of Conv, ConvTranspose, DeformConv, Gemm, MatMul, Einsum, LSTM, GRU and RNN
 * nodes, in the graph and its sub-graphs, also behind nodes that rename, reshape, reorder, cast,
 * split or dequantize it. *out is owned by the caller, free with coppice_inspection_free; its
 * strings live as long as it and the model. */
COPPICE_API coppice_status coppice_model_inspect(const coppice_model *model,
                                                 coppice_inspection **out, coppice_error *error);

/* NULL is fine. */
COPPICE_API void coppice_inspection_free(coppice_inspection *inspection);

#ifdef __cplusplus
}
#endif

#endif
