/* Magnitude pruning: which weights become zero.
 *
 *     coppice_prune_options options;
 *     coppice_prune_options_init(&options);
 *     options.sparsity = 0.8;
 *     coppice_prune_report *report = NULL;
 *     coppice_prune(model, &options, &report, &error);     // edits the model in memory
 *     coppice_model_save(model, "small.onnx", NULL, NULL, &error);
 *
 * Sparsity is the fraction of zeros among the selected weights, exact to one weight:
 * round-half-even(sparsity * n), as torch.nn.utils.prune counts. Existing zeros count (-0.0 is a
 * zero); a pruned weight is +0.0; ties in |w| go to the lower index. The result depends on the
 * weights and options only.
 *
 * Threads: different models may be pruned at once; one that is pruned is used by nobody else. */
#ifndef COPPICE_PRUNE_H
#define COPPICE_PRUNE_H

#include <coppice/masks.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How the zeros are shared out among the layers. */
typedef enum coppice_scope {
    COPPICE_SCOPE_LAYER,  /* the same sparsity in every layer */
    COPPICE_SCOPE_GLOBAL, /* the smallest magnitudes of all layers together */
    COPPICE_SCOPE_ERK, /* by shape: a layer keeps in proportion to the sum of its dimensions (Evci
                          et al. 2020); small layers keep more */
    COPPICE_SCOPE_LAMP /* by magnitudes within each layer, so that layers of other scales compare
                          (Lee et al. 2021) */
} coppice_scope;

/* Which weights go first. */
typedef enum coppice_criterion {
    COPPICE_CRITERION_MAGNITUDE, /* the smallest |w| */
    COPPICE_CRITERION_RANDOM     /* any, by the seed: what a criterion must beat */
} coppice_criterion;

/* A sparsity of its own for the layers whose initializer or node name matches a shell pattern. */
typedef struct coppice_layer_rule {
    const char *glob; /* fnmatch(3): *, ?, [...]; '/' is an ordinary character */
    double sparsity;  /* 0 .. 1; 0 keeps the layer dense */
} coppice_layer_rule;

/* Scores of the weights of one initializer; NaN and infinite ones are an error. */
typedef struct coppice_score {
    const char *initializer; /* the name as coppice_prune_layer and coppice_model_tensor_name have
                                it; not of a weight that cannot be pruned */
    coppice_tensor tensor;   /* float32, of the weight's shape; data borrowed */
} coppice_score;

/* Initialise with coppice_prune_options_init. All pointers are borrowed during the call. */
typedef struct coppice_prune_options {
    double sparsity;             /* 0 .. 1; default 0 */
    coppice_scope scope;         /* default COPPICE_SCOPE_LAYER */
    coppice_criterion criterion; /* default COPPICE_CRITERION_MAGNITUDE */
    uint64_t seed;               /* of random choices; default 0 */
    /* What the zeros look like; default NULL: "unstructured".
     * - "RxC": blocks of R output by C input channels at one tap go together, those of the smallest
     *   mean; blocks that the edge of a layer cuts are smaller. The number of zeros is as near to
     *   the target as whole blocks come.
     * - "channels": whole output channels, the same way. Shapes do not change.
     * - "N:M": of every M consecutive weights along the input channels (the reduction axis) at one
     *   tap N stay; of a smaller group at the end the same share, rounded up. It says itself how
     *   many weights stay: `sparsity` is not looked at, `scope` is COPPICE_SCOPE_LAYER, and layer
     *   rules can only keep layers dense.
     * R, C and M are at most 64. Weights whose elements an operator sees in no order of rows and
     * columns stay dense. */
    const char *pattern;
    bool keep_first; /* keep the first Conv in graph order dense; default true */
    bool keep_last;  /* keep the last prunable node before each graph output dense; default true */
    bool keep_depthwise; /* keep depthwise convolutions dense; default true */
    bool keep_recurrent; /* keep the weights of LSTM, GRU and RNN nodes dense; default true */
    const char *const *include; /* patterns as in coppice_layer_rule; none: all prunable weights */
    size_t include_count;
    const char *const *exclude;
    size_t exclude_count;
    const coppice_layer_rule *layers; /* override sparsity and keep rules; the last match counts */
    size_t layer_count;
    /* Importance of weights by the caller's own measure, instead of |w|: float32 tensors of the
     * weights' shapes, lowest goes first. Weights without one go by `criterion`. Zero weights still
     * go before all others. Default: none. */
    const coppice_score *scores;
    size_t score_count;
    bool dry_run; /* choose and report, change nothing; default false. With the report's masks,
                     coppice_model_save writes the pruned model without changing it in memory */
} coppice_prune_options;

/* Sets every member to its default. */
COPPICE_API void coppice_prune_options_init(coppice_prune_options *options);

/* One prunable weight: a row of the table that `coppice prune` prints. Strings live as long as the
 * report and the model. */
typedef struct coppice_prune_layer {
    const char *initializer;
    const char *node, *op; /* of the first user, as in coppice_weight_info */
    uint32_t rank;
    int64_t dims[COPPICE_MAX_RANK];
    int64_t weights, zeros; /* zeros after pruning */
    int64_t macs;           /* dense, of all nodes that use it; -1 unknown */
    const char *kept_dense; /* the reason ("first convolution"), NULL when it was selected */
} coppice_prune_layer;

typedef struct coppice_prune_report {
    coppice_prune_layer *layers;
    size_t layer_count;
    int64_t weights, zeros;        /* over the selected weights */
    int64_t macs_dense, macs_left; /* over all listed weights with known MACs */
    coppice_masks *masks;          /* of the selected weights; owned by the report */
} coppice_prune_report;

/* Prunes `model` in memory. `report`, when not NULL, gets an object owned by the caller, free with
 * coppice_prune_report_free; NULL on failure. On failure the model is unchanged.
 * Errors: INVALID_ARGUMENT (sparsity outside [0,1], a pattern that matches no prunable weight,
 * scores that do not fit their weight, a pattern that there is not or that does not go with the
 * rest, nothing to prune), BAD_DATA (a NaN weight, a score that is not finite), INTERRUPTED,
 * OUT_OF_MEMORY. */
COPPICE_API coppice_status coppice_prune(coppice_model *model, const coppice_prune_options *options,
                                         coppice_prune_report **report, coppice_error *error);

/* NULL is fine. */
COPPICE_API void coppice_prune_report_free(coppice_prune_report *report);

#ifdef __cplusplus
}
#endif

#endif
