/* What the files of src/onnx share: the model object and the steps of loading and saving. */
#ifndef COP_ONNX_INTERNAL_H
#define COP_ONNX_INTERNAL_H

#include <coppice/model.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "graph/constants.h"
#include "onnx.pb-c.h"

/* The newest IR version that coppice was written for (ONNX 1.23). Newer ones load with a note. */
#define COP_ONNX_NEWEST_IR 14

/* An external data file, mapped once however many tensors lie in it. */
typedef struct cop_data_file {
    char *path;           /* resolved */
    const char *location; /* as the first tensor says it; in the message */
    cop_mapping mapping;
} cop_data_file;

/* Where a constant came from: cop_constant.origin. */
typedef enum cop_origin_kind {
    COP_ORIGIN_TENSOR, /* a TensorProto: initializer or attribute */
    COP_ORIGIN_SPARSE, /* a SparseTensorProto: sparse_initializer or sparse_value */
    COP_ORIGIN_ALIAS   /* the data are the message's own: value_floats and the like */
} cop_origin_kind;

typedef struct cop_origin {
    cop_origin_kind kind;
    Onnx__TensorProto *tensor;       /* the values of a sparse tensor */
    Onnx__SparseTensorProto *sparse; /* NULL unless sparse */
    Onnx__GraphProto *graph;         /* holds the initializer; NULL for attributes */
    cop_constant *constant;
    struct cop_origin *next; /* all constants of the model, in the order of the file */

    /* While the model is saved: */
    bool listed;                        /* its graph still lists the initializer */
    const struct cop_mask *mask;        /* that prunes something */
    Onnx__TensorProto *as_dense;        /* what is written of a sparse initializer */
    Onnx__SparseTensorProto *as_sparse; /* what is written of any initializer */
} cop_origin;

struct coppice_model {
    char *path; /* as given, or "<memory>" */
    cop_mapping file;
    unsigned char *copy; /* of a model from memory; `file` stays empty then */
    size_t bytes;        /* of the mapped or copied file */
    cop_arena arena;     /* the unpacked message, the graph, everything small */
    Onnx__ModelProto *proto;
    const coppice_host *host; /* NULL: none */
    cop_graph *graph;
    cop_constants tensors;
    cop_origin *constants, **constants_end;
    cop_data_file *data_files;
    size_t data_file_count, data_file_capacity;
    Onnx__TensorProto **external; /* every tensor whose data lie elsewhere */
    size_t external_count, external_capacity;
    char **notes;
    size_t note_count, note_capacity;
    coppice_value_info *inputs, *outputs;
    size_t input_count, output_count;
};

/* Remembers a remark for coppice_model_note. */
coppice_status cop_model_add_note(coppice_model *model, coppice_error *err, const char *format, ...)
    COP_PRINTF(3, 4);

/* Builds model->graph from model->proto. */
coppice_status cop_model_build(coppice_model *model, coppice_error *err);

/* Calls `visitor` for the model and every message inside it; stops at the first failure. */
typedef coppice_status (*cop_message_visitor)(ProtobufCMessage *message, void *context);
coppice_status cop_visit_messages(Onnx__ModelProto *model, cop_message_visitor visitor,
                                  void *context);

/* ---- tensors ---- */

bool cop_tensor_is_external(const Onnx__TensorProto *tensor);

/* The name in a message, "" when it has none. */
const char *cop_or_empty(const char *text);

/* Makes the constant of a TensorProto: checks dims against the length of the data, decodes what is
 * not stored as plain elements. `graph` is the graph message that lists it, or NULL. */
coppice_status cop_tensor_load(coppice_model *model, Onnx__TensorProto *tensor,
                               Onnx__GraphProto *graph, cop_constant **out, coppice_error *err);

/* The same without a constant: type, shape and data. data is NULL when the rank is above
 * COPPICE_MAX_RANK (type UNDEFINED and no shape then, so that nobody computes with it). Of strings
 * it is an array of coppice_string, whose bytes are the message's. */
coppice_status cop_tensor_view(coppice_model *model, Onnx__TensorProto *tensor, coppice_tensor *out,
                               size_t *bytes, coppice_error *err);

/* The same of a message that stands alone, whose elements it must hold itself: data are its own or
 * in the arena. Errors also: LIMIT for a rank above COPPICE_MAX_RANK, UNSUPPORTED. */
coppice_status cop_tensor_decode(cop_arena *arena, Onnx__TensorProto *tensor, coppice_tensor *out,
                                 size_t *bytes, coppice_error *err);

/* Type and shape of a message into *out, without data. *count gets the number of elements. A rank
 * above COPPICE_MAX_RANK gives *ranked false and no shape. */
coppice_status cop_tensor_shape(int32_t data_type, size_t rank, const int64_t *dims,
                                coppice_tensor *out, int64_t *count, bool *ranked,
                                coppice_error *err);

/* Writes the elements of a changed constant back to its message, where they were decoded from. */
void cop_tensor_store(const cop_constant *constant, Onnx__TensorProto *tensor);

/* Takes all data out of a message; the same, then lets it have `data` (borrowed) as raw_data. */
void cop_tensor_clear(Onnx__TensorProto *tensor);
void cop_tensor_set_raw(Onnx__TensorProto *tensor, unsigned char *data, size_t bytes);

/* Adds a constant whose data are known to the model's list. NULL: no memory. */
cop_constant *cop_constant_new(coppice_model *model, cop_origin origin, coppice_tensor tensor,
                               size_t bytes);

/* Finds the bytes of a tensor with external data: `bytes` of them, or what the entry says when
 * `bytes` is SIZE_MAX (*found then says how many there are). */
coppice_status cop_external_load(coppice_model *model, const Onnx__TensorProto *tensor,
                                 size_t bytes, unsigned char **data, size_t *found,
                                 coppice_error *err);

/* Clears `mapped` where the data of constants overlap in an external data file: an edit of one is
 * one of the other, which does not know of it. */
coppice_status cop_external_find_overlaps(coppice_model *model, coppice_error *err);

/* Makes the dense constant of a SparseTensorProto. */
coppice_status cop_sparse_load(coppice_model *model, Onnx__SparseTensorProto *sparse,
                               Onnx__GraphProto *graph, cop_constant **out, coppice_error *err);

#endif
