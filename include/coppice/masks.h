/* Masks: which weights are kept, a bit for each, by the name of the initializer.
 *
 *     coppice_masks *masks = NULL;
 *     coppice_masks_load("masks.npz", &masks, &error);
 *     coppice_masks_apply(masks, model, NULL, &error);    // zeros where a mask says so
 *
 * Pruning makes masks, a fine-tune hook respects them, and they can be put onto another export of
 * the same network. In a file (.npz) and in arrays a mask is a uint8 array of the weight's own
 * shape, row-major, 1 = kept, 0 = pruned; in memory it takes a bit per weight.
 *
 * A name is that of an initializer; for a Constant node that of its output; "graph/name" in a
 * sub-graph, as coppice_model_tensor_name gives it.
 *
 * Memory: masks of a report or a match come from the host of its model (host.h), those that are
 * made or loaded here from the C library.
 *
 * Threads: masks may be read from several threads at once. coppice_masks_add needs exclusive use of
 * the masks, coppice_masks_apply and coppice_model_fold_masks of the model. */
#ifndef COPPICE_MASKS_H
#define COPPICE_MASKS_H

#include <coppice/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A set of named masks. */
typedef struct coppice_masks coppice_masks;

/* An empty set. *out is owned by the caller, free with coppice_masks_free; NULL on failure. */
COPPICE_API coppice_status coppice_masks_new(coppice_masks **out, coppice_error *error);

/* NULL is fine. */
COPPICE_API void coppice_masks_free(coppice_masks *masks);

/* Adds a mask, or replaces the one of this name. `kept` is uint8 or bool, 0 = pruned, anything else
 * = kept; name and data are copied. Errors: INVALID_ARGUMENT for another type. */
COPPICE_API coppice_status coppice_masks_add(coppice_masks *masks, const char *name,
                                             const coppice_tensor *kept, coppice_error *error);

COPPICE_API size_t coppice_masks_count(const coppice_masks *masks);

/* `index` must be below the count. The name is owned by the masks. */
COPPICE_API const char *coppice_masks_name(const coppice_masks *masks, size_t index);

/* Index of the mask `name`, -1 when there is none. */
COPPICE_API int64_t coppice_masks_find(const coppice_masks *masks, const char *name);

/* Shape of a mask, as uint8 and without data; how many of its weights are pruned. */
COPPICE_API coppice_tensor coppice_masks_info(const coppice_masks *masks, size_t index);
COPPICE_API int64_t coppice_masks_zeros(const coppice_masks *masks, size_t index);

/* Writes a mask to `kept`, one byte per weight: 1 or 0. */
COPPICE_API void coppice_masks_read(const coppice_masks *masks, size_t index, uint8_t *kept);

/* Reads a .npz of arrays of zeros and ones: bool, uint8, or any other integer or float type (masks
 * of PyTorch are float32), compressed or not, in C or Fortran order. Arrays are turned into bits
 * while they are read. *out is owned by the caller; NULL on failure. Errors: NOT_FOUND, IO;
 * BAD_DATA (damaged, or values other than 0 and 1); UNSUPPORTED (pickled objects, strings, complex
 * numbers); INTERRUPTED. */
COPPICE_API coppice_status coppice_masks_load(const char *path, coppice_masks **out,
                                              coppice_error *error);

/* Writes a .npz with a uint8 array per mask: the file appears complete or not at all, and is the
 * same for the same masks. Errors: EXISTS (without `overwrite`), IO, INTERRUPTED. */
COPPICE_API coppice_status coppice_masks_save(const coppice_masks *masks, const char *path,
                                              bool overwrite, coppice_error *error);

/* Sets the weights of `model` to +0.0 where the mask of their name says so. `violations`, when not
 * NULL, gets the number of weights that were not zero there. Names and shapes must be the model's:
 * see coppice_masks_match for another export. On failure the model is unchanged.
 * Errors: NOT_FOUND (no such initializer), BAD_DATA (another shape), UNSUPPORTED (not a float). */
COPPICE_API coppice_status coppice_masks_apply(const coppice_masks *masks, coppice_model *model,
                                               int64_t *violations, coppice_error *error);

/* ---- masks of another export ---- */

typedef enum coppice_match_kind {
    COPPICE_MATCH_NAME,     /* the same name and shape */
    COPPICE_MATCH_CONTENT,  /* the same shape, and the weights that the mask prunes are the small or
                               zero ones of this tensor, clearly more than of any other; or, of masks
                               that prune or keep everything, as many were left as tensors */
    COPPICE_MATCH_GIVEN,    /* by the caller (coppice_match_options.pairs) */
    COPPICE_MATCH_DOUBTFUL, /* several tensors would do, or the content speaks against the name: it
                               fits another tensor, or, where that holds for most names, none */
    COPPICE_MATCH_NONE      /* no tensor of this shape is left */
} coppice_match_kind;

/* What became of one mask. Strings are owned by the match. */
typedef struct coppice_match_row {
    const char *mask;
    const char *initializer; /* for DOUBTFUL the best guess, or NULL; NULL for NONE, and for a mask
                                that the caller leaves out (GIVEN) */
    coppice_match_kind kind;
    bool transposed;  /* the tensor is [m,n] where the mask is [n,m] */
    double agreement; /* of the mask with the smallest magnitudes of the tensor: 1 the same, 0 as by
                         chance; NaN where it says nothing (all kept, all pruned) */
    const char *reason; /* why DOUBTFUL or NONE, else NULL */
} coppice_match_row;

typedef struct coppice_match {
    coppice_match_row *rows; /* one per mask, in their order */
    size_t row_count;
    size_t refused;       /* rows that are DOUBTFUL or NONE */
    coppice_masks *masks; /* the matched masks under the names and in the shapes of the model; owned
                             by the match */
} coppice_match;

/* A pair that the caller is sure of. Initializer NULL or "": the mask is left out. */
typedef struct coppice_match_pair {
    const char *mask, *initializer;
} coppice_match_pair;

/* Finds for every mask the weight of `model` that it belongs to: given pairs first, then by name,
 * then by shape and content (so, too, where a name that the exporter made by counting, as
 * "onnx::Conv_193" or "val_86", is another tensor's now). Other names are believed, also where the
 * content says nothing for them, unless another tensor fits clearly better. Nothing is guessed:
 * what is in doubt is refused, and `refused` counts it; the call itself succeeds. `pairs` may be
 * NULL. *out is owned by the caller, free with coppice_match_free; NULL on failure. Errors:
 * INVALID_ARGUMENT (a pair with an unknown name or other shapes), OUT_OF_MEMORY, INTERRUPTED. */
COPPICE_API coppice_status coppice_masks_match(const coppice_masks *masks,
                                               const coppice_model *model,
                                               const coppice_match_pair *pairs, size_t pair_count,
                                               coppice_match **out, coppice_error *error);
COPPICE_API void coppice_match_free(coppice_match *match);

/* ---- masks inside a model ---- */

/* Makes masks permanent that a model multiplies its weights by (`weight_orig * mask`, as
 * torch.nn.utils.prune leaves it without `remove`): writes the zeros into the weights, takes the
 * products out of the graph, and their masks where nothing else reads them. A weight that is also
 * read without its mask is left as it is. `folded`, when not NULL, gets the number of products that
 * are gone. Pointers into the model's graph (names of tensors, infos) are void afterwards; sessions
 * made from the model must be freed before. */
COPPICE_API coppice_status coppice_model_fold_masks(coppice_model *model, int64_t *folded,
                                                    coppice_error *error);

#ifdef __cplusplus
}
#endif

#endif
