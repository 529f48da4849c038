/* The operator table: one row per operator and range of opsets, with its attributes, its shape rule
 * and its reference kernel. To add an operator, write its functions and its row in the file of its
 * family, ops/<group>/<family>.c; docs/adding-an-operator.md walks through one. */
#ifndef COP_RUNTIME_OP_H
#define COP_RUNTIME_OP_H

#include <coppice/runtime.h>

#include "graph/graph.h"
#include "runtime/parallel.h"
#include "runtime/value.h"

typedef struct cop_body cop_body;
struct cop_kernels;
struct cop_settings;

/* What the functions of a row get: one node, its operands, what was read from its attributes. */
typedef struct cop_call {
    const cop_graph *graph;
    const cop_node *node;
    int64_t opset;                  /* of the node's domain, as the model or function imports it */
    const void *params;             /* what `parse` filled; NULL without one */
    const cop_operand **in;         /* node->input_count entries; NULL: left out. While shapes are
                                       inferred t.data is NULL unless the value is known by then */
    cop_operand *out;               /* node->output_count entries */
    const coppice_threadpool *pool; /* for `run` */
    const struct cop_kernels *kernels;   /* for `run`: inner loops it may use; NULL: plain C */
    const struct cop_settings *settings; /* for `prepare`: of the session */
    void *scratch;      /* for `run`: as many bytes as `scratch` asked for, 64-byte aligned */
    void *state;        /* for `run`: what `prepare` made; NULL: nothing, or an eager node */
    cop_arena *strings; /* for `run`: bytes of strings it makes; good until the next inference */
    cop_body **bodies;  /* for `run`: of the node's graphs, by attribute (body.h); else NULL */
    coppice_error *err;
} cop_call;

/* What plans and profiles say of a node without a kernel of its own. */
typedef struct cop_op_note {
    const char *kernel;         /* names; as long as the state */
    const char *why;            /* static text */
    bool sparse;                /* one of them skips zero weights */
    size_t weights;             /* that are packed */
    double sparsity;            /* of all weights */
    int64_t macs;               /* with kept weights, in one run */
    double dense_ms, sparse_ms; /* of one run, as measured; -1: not */
} cop_op_note;

typedef enum cop_op_flags {
    COP_OP_VIEW = 1, /* output 0 has the bytes of input 0 in the same order (plain layout) */
    COP_OP_SHAPE_ONLY =
        2,               /* the result depends on input shapes only: constant once they are known */
    COP_OP_RANDOM = 4,   /* never folded */
    COP_OP_DYNAMIC = 8,  /* `run` sizes its outputs itself (cop_out_tensor, cop_out_items,
                            cop_out_share): their shapes follow from data, or they are no tensors.
                            `infer` only checks; NULL when `run` does */
    COP_OP_ANY_KIND = 16 /* inputs may be sequences and optionals; other rows refuse them */
} cop_op_flags;

/* What `infer` returns when a shape depends on an input whose data is not there yet; never leaves
 * the runtime. The node is then inferred again while the model runs, with all data at hand. */
#define COP_NEEDS_DATA ((coppice_status)1)

#define COP_TYPE_BIT(name) (1u << COPPICE_TYPE_##name)

typedef struct cop_op {
    const char *domain, *name;
    int since, until;                        /* opsets; until 0: to the newest */
    int min_inputs, max_inputs, max_outputs; /* max -1: any number */
    uint32_t types; /* COP_TYPE_BITs that input 0 may have, as it is held (0: any) */
    unsigned flags;
    size_t params_size;
    /* Reads and checks attributes into `params` (zeroed, params_size bytes). May be NULL. */
    coppice_status (*parse)(const cop_call *call, void *params);
    /* Sets type, rank and dims of every output from the inputs; refuses inputs that do not fit. An
     * input whose data is needed and not there: COP_NEEDS_DATA. Sets `narrow` where the output's
     * does not follow from the inputs: to t.type where it is not narrow. Otherwise an output takes
     * it from the first input that is held in the output's type. */
    coppice_status (*infer)(cop_call *call);
    /* Computes the outputs, memory given in out[i].t.data (DYNAMIC rows make their own): plain C,
     * the specification. */
    coppice_status (*run)(const cop_call *call);
    /* Bit set (1u << cop_layout) of the layouts that `run` can work in, all operands of the rank of
     * output 0 or input 0, whichever is higher, being in that layout where it fits them
     * (cop_layout_fits: [N,C,1,1] with one image fits no tiles), and all others plain. Each operand
     * says its own. NULL: plain only. */
    unsigned (*layouts)(const cop_call *call);
    /* Of rows that only move elements: dim i of output 0 is dim perm[i] of input 0. In layouts
     * where both are the same bytes nothing is done. NULL: other rows; COP_OP_VIEW says it of dims
     * in their order. */
    coppice_status (*permutation)(const cop_call *call, int *perm);
    /* Bytes of scratch that `run` wants. NULL: none. */
    size_t (*scratch)(const cop_call *call);
    /* Once per plan: makes of inputs that are constant (the others have no data) whatever `run`
     * wants to find in call->state, which `release` frees. Not for nodes that are eager. NULL:
     * nothing. */
    coppice_status (*prepare)(const cop_call *call, void **state);
    void (*release)(void *state);
    /* What `prepare` chose; false: nothing. NULL: nothing. */
    bool (*describe)(const cop_call *call, cop_op_note *note);
} cop_op;

/* All rows, by name, domain and opset; NULL ends them. Static storage. Thread-safe. */
const cop_op *const *cop_op_rows(void);

/* The row for an operator, or NULL. */
const cop_op *cop_op_find(const char *domain, const char *name, int64_t opset);

/* The row for a node. UNSUPPORTED with operator, domain, opset and what there is otherwise. */
coppice_status cop_op_of_node(const cop_graph *graph, const cop_node *node, const cop_op **out,
                              coppice_error *err);

/* UNSUPPORTED with the names that there are when a node has an attribute that its operator does not
 * have in `opset`. */
coppice_status cop_op_check_attributes(const cop_op *op, const cop_node *node, int64_t opset,
                                       coppice_error *err);

/* What can be said of a node before anything is known of its operands: is there a row for it, are
 * there as many inputs and outputs as it has, do the attributes make sense? */
coppice_status cop_check_node(const cop_graph *graph, const cop_node *node, coppice_error *err);

/* The names of types for messages: all of `types`, a set of COP_TYPE_BITs. */
typedef struct cop_type_names {
    char s[384];
} cop_type_names;
cop_type_names cop_types_text(uint32_t types);

/* Strides in elements of `operand`, for its dims 0 .. rank-1. */
void cop_operand_strides(const cop_operand *operand, int64_t *strides);

/* ---- shapes of a whole graph ---- */

/* For every value: shape and type, and data when it is constant for these input shapes. */
typedef struct cop_shapes {
    cop_operand *values; /* graph->value_count; layout plain */
    bool *known;         /* type and shape of the value are known before anything runs */
    const cop_op **ops;  /* graph->node_count; NULL when the operator is unknown (best effort) */
    void **params;       /* graph->node_count */
    bool *eager;         /* graph->node_count: shapes of the outputs are found while running */
    cop_arena arena;     /* params, and the data of folded constants */
} cop_shapes;

/* A value that is known, or not, before inference begins: of a sub-graph its inputs and what it
 * reads from the graphs around it. */
typedef struct cop_bound {
    int value;
    bool known;          /* false: whatever reads it is eager */
    bool constant;       /* t.data is there, and stays the same */
    cop_operand operand; /* t.data NULL unless it is constant */
} cop_bound;

/* How cop_infer goes about it. */
typedef struct cop_infer_options {
    const coppice_tensor *inputs; /* shapes and types of the graph inputs that are not initializers,
                                     in order; type UNDEFINED: not known. NULL: as declared, free
                                     dimensions 1 */
    size_t input_count;
    const cop_bound *bound; /* instead of inputs, for sub-graphs: what is missing is not known */
    size_t bound_count;
    bool best_effort; /* leave values unknown where an operator is not supported or fails, and
                         use declared shapes there; otherwise that is an error */
} cop_infer_options;

/* Infers the shape of every value of the graph (not of sub-graphs) in node order, and computes each
 * node whose inputs are all constant, by its reference kernel. A node whose outputs all have data
 * needs no step at run time. A node whose shapes depend on data is marked eager, its outputs are
 * not known, and so with all that reads them; with best_effort there are no eager nodes, but what
 * is declared. *shapes must be zeroed; free it with cop_shapes_free also on failure.
 */
coppice_status cop_infer(const cop_graph *graph, const cop_infer_options *options,
                         cop_shapes *shapes, coppice_error *err);
void cop_shapes_free(cop_shapes *shapes);

/* Checks what every row wants: needed inputs there, tensors unless the row takes others, the types
 * of input 0, ranks that can be computed with. An input of UNDEFINED type is not looked at. */
coppice_status cop_check_operands(const cop_op *op, const cop_call *call);

/* Settles `narrow` of the outputs after `infer`, see there. */
void cop_settle_narrow(cop_call *call);

/* Multiply-accumulates of one run of a Conv, ConvTranspose, Gemm or MatMul node, all weights
 * counted; -1 for other operators and unknown shapes. */
int64_t cop_node_macs(const cop_graph *graph, size_t node, const cop_shapes *shapes);

#endif
