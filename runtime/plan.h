/* A plan: everything a session decided for one set of input shapes.
 *
 *     cop_infer       shapes of all values, constants folded        (infer.c)
 *     cop_fuse        residuals and activations go into stores      (fuse.c)
 *     cop_assign      a kernel and a layout for every node          (assign.c, candidates.c)
 *     cop_plan_build  steps, changes of layout, memory, packed weights  (plan.c)
 *     cop_plan_run    the steps, one after another                  (execute.c, eager.c)
 *
 * Values whose shapes follow from those of the inputs live in planned memory. The others are
 * dynamic: made by eager steps, which infer again with all data at hand, in blocks of their own.
 */
#ifndef COP_RUNTIME_PLAN_H
#define COP_RUNTIME_PLAN_H

#include "base/clock.h"
#include "runtime/conv.h"
#include "runtime/eager.h"
#include "runtime/layout.h"
#include "runtime/op.h"

/* What a session was asked for, with every default resolved. */
typedef struct cop_settings {
    coppice_backend backend;
    coppice_sparse_use sparse;
    coppice_tune tune;
    coppice_isa isa; /* never BEST */
    bool cache;      /* measured times are kept on disk (tune_cache.h) */
    coppice_threadpool *pool;
} cop_settings;

/* ---- what a node can be computed with ---- */

/* What moving elements takes, as in a change of layout: a transposition runs at some 4 GB/s on one
 * core. */
#define COP_MOVE_MS_PER_BYTE 0.25e-6

/* How one node is computed: by its operator's own loops (kernel NULL) or a convolution kernel. */
typedef struct cop_choice {
    const cop_conv_kernel *kernel;
    cop_layout layout; /* of its operands and outputs */
    bool view;         /* the output is the bytes of input 0, in the layout `reads` */
    cop_layout reads;
    double ms; /* measured or estimated; 0 for operators' own loops that do not only move */
    bool measured;
} cop_choice;

enum { COP_MAX_CHOICES = 16 };

typedef struct cop_node_choices {
    cop_choice list[COP_MAX_CHOICES];
    int count;
    int taken;                  /* index into list */
    const char *why;            /* static text */
    double dense_ms, sparse_ms; /* the best measured of each kind, -1: none */
    size_t weights, nonzeros;   /* of a node with a constant weight, else 0 */
} cop_node_choices;

enum { COP_MAX_FUSED = 4 };

/* Nodes behind a convolution or matrix product that its step stands for: a residual that is added,
 * a clamp, an activation, in this order. The values between have no other reader. */
typedef struct cop_fusion {
    int by;                          /* the node whose step stands for this one; -1: none */
    int nodes[COP_MAX_FUSED], count; /* that its step stands for besides, in their order */
    int residual;                    /* value; -1: none */
    int output;                      /* value; -1: nothing is fused */
    float min, max;                  /* when something is fused: the clamp in all */
    cop_activation activation;
    int place; /* the node behind which the step comes, as it makes the residual; else itself */
} cop_fusion;

/* Decides what is fused; `fusions` has an element for each node. */
coppice_status cop_fuse(const cop_graph *graph, const cop_shapes *shapes, cop_fusion *fusions,
                        coppice_error *err);

/* A node with a constant float32 weight, seen as a convolution, with what is fused into it.
 * Zero-initialise; free with cop_lowered_free. */
typedef struct cop_lowered {
    cop_conv conv;
    int input, residual, output;      /* values; residual -1: none */
    void *owned_weights, *owned_bias; /* allocated when they had to be copied or scaled */
    const cop_constant *source;       /* of the weights */
} cop_lowered;

/* Lays weights that are `turned` out as kernels want them; all others stay. */
coppice_status cop_lowered_turn(cop_lowered *lowered, coppice_error *err);

/* Fills *out, its weights perhaps `turned`, and returns true in *is_conv when `node` is a
 * convolution or matrix product that the conv kernels can take: constant float32 weight and bias, 1
 * or 2 spatial dimensions. `fusion`, of this node, may be NULL. */
coppice_status cop_lower(const cop_graph *graph, const cop_shapes *shapes, size_t node,
                         const cop_fusion *fusion, bool *is_conv, cop_lowered *out,
                         coppice_error *err);

/* Gives back the pages of the file that the weights were read from, too: what packed them has its
 * own copy. */
void cop_lowered_free(cop_lowered *lowered);

/* True when cop_lower would take the node; its own clamp goes to *min and *max. */
bool cop_lowers(const cop_graph *graph, const cop_shapes *shapes, size_t node, float *min,
                float *max);

/* Of `count` float32 that are aligned to nothing. */
size_t cop_count_nonzeros(const void *weights, size_t count);

/* True for the operators that cop_lower knows. */
bool cop_may_lower(const cop_node *node);

/* What is left to do in place behind a kernel that does not fuse. */
typedef struct cop_tail {
    bool there, residual;
    float min, max; /* behind the residual */
    cop_activation activation;
} cop_tail;

/* What `kernel` is asked for: *conv, without what it leaves to *tail. */
cop_conv cop_conv_for(const cop_conv *conv, const cop_conv_kernel *kernel, cop_tail *tail);

/* Adds, clamps and maps `count` floats, whatever their layout. */
void cop_tail_apply(const cop_tail *tail, const struct cop_kernels *kernels, const float *residual,
                    float *output, size_t count, const coppice_threadpool *pool);

/* Lists the choices of every node that needs a step, timing them where the settings ask for it.
 * choices[node].count is 0 for nodes whose outputs are all constant, and for those that are fused
 * into others. */
coppice_status cop_list_choices(const cop_graph *graph, const cop_shapes *shapes,
                                const cop_fusion *fusions, const cop_settings *settings,
                                cop_node_choices *choices, coppice_error *err);

/* Lists the choices for one convolution. */
coppice_status cop_choose_kernel(const cop_settings *settings, const cop_conv *conv,
                                 cop_node_choices *out, coppice_error *err);

/* The threads a kernel gets: the session's pool, or NULL (the caller alone) for a layer so small
 * that waking other threads would take longer, by far where the machine is busy. */
const coppice_threadpool *cop_conv_pool(const cop_settings *settings, const cop_conv *conv,
                                        const cop_conv_kernel *kernel);

/* The rank of the operands that lie in a node's layout where it fits them: that of its output or of
 * its first input, whichever is higher. Others are plain. */
uint32_t cop_layout_rank(const cop_graph *graph, const cop_shapes *shapes, int node);

/* Picks `taken` for all nodes together: the least sum of kernel times and changes of layout. */
void cop_assign(const cop_graph *graph, const cop_shapes *shapes, const cop_fusion *fusions,
                cop_node_choices *choices);

/* ---- the plan ---- */

/* A value in one layout: where its bytes are. */
typedef struct cop_slot {
    int value;
    cop_layout layout;
    int root;        /* the slot whose memory it shares; itself if none */
    int first, last; /* steps between which the root's memory is in use */
    bool constant;
    bool dynamic; /* not planned: the operand comes while running, and owns what it refers to */
    bool bound;   /* read from the graph around this one: whoever runs the plan sets the data */
    cop_operand operand; /* data set once memory is planned; constants at once */
} cop_slot;

enum { COP_STEP_LAYOUT = -1, COP_KEPT_KERNELS = 4 };

/* The kernel of an eager convolution or matrix product, for one shape of its input. */
typedef struct cop_kept_kernel {
    coppice_tensor input;
    const cop_conv_kernel *kernel; /* NULL: the operator's own loops */
    cop_layout layout;
    void *state;
    const coppice_threadpool *pool;
} cop_kept_kernel;

typedef struct cop_step {
    int node; /* index in the graph, or COP_STEP_LAYOUT */
    const cop_op *op;
    const cop_conv_kernel *kernel; /* NULL: op->run, or a change of layout */
    void *state;                   /* of the kernel, or what op->prepare made */
    int *in, *out;                 /* slots; -1: left out. A kernel's are input, residual if there
                                      is one, and output */
    int in_count, out_count;
    cop_tail tail;         /* behind the kernel */
    const char *op_kernel; /* what op->prepare chose; NULL: nothing */
    bool op_sparse;
    const char *op_name; /* of all nodes that the step stands for, "Conv+Add+Relu" */
    bool eager;
    cop_body **bodies;     /* of an eager node with sub-graphs: by attribute; else NULL */
    cop_kept_kernel *kept; /* of an eager node with constant weights: the last few; else NULL */
    int kept_count;
    int *dead; /* dynamic slots that nothing reads after this step, when it is eager */
    int dead_count;
    const cop_operand **operands; /* for op->run: pointers to the slots' operands */
    cop_operand *results;
    size_t scratch;                 /* bytes */
    const coppice_threadpool *pool; /* NULL: a small step, on the caller alone */
    int64_t macs;                   /* with kept weights */
    double sparsity, dense_ms, sparse_ms;
    const char *why;
} cop_step;

typedef struct cop_plan {
    const cop_graph *graph;            /* borrowed, unless it is own_graph */
    cop_graph *own_graph;              /* of a whole model: rewritten for these shapes; else NULL */
    const struct cop_kernels *kernels; /* inner loops of the session's instruction set */
    cop_settings settings;
    const cop_bound *bound;     /* of a sub-graph's plan: what it was compiled for; borrowed */
    struct cop_plan *enclosing; /* while it runs: the plan around it; NULL: none */
    cop_shapes shapes;
    cop_shapes folded; /* holds data of constants of own_graph */
    cop_arena arena;
    cop_step *steps;
    size_t step_count, step_capacity;
    cop_slot *slots;
    size_t slot_count, slot_capacity;
    int (*slot_of)[COP_LAYOUT_COUNT]; /* by value; -1: none */
    int *input_slots, *output_slots;  /* of the model's inputs (without initializers) and outputs */
    size_t input_count, output_count;
    coppice_tensor *outputs; /* what run returns; of UNDEFINED type where it is no tensor */
    cop_arena narrowed;      /* outputs of narrow types */
    cop_arena *strings;      /* of strings that eager steps make; borrowed */
    cop_spare spare;
    unsigned char *memory; /* all slots, then scratch */
    size_t memory_bytes, scratch_offset;
    size_t total_bytes; /* memory and packed weights, about */
} cop_plan;

/* Builds the plan for these input shapes (NULL: declared, free dimensions 1). *plan is zeroed; free
 * it also on failure. */
coppice_status cop_plan_build(const cop_graph *graph, const coppice_tensor *inputs, size_t count,
                              const cop_settings *settings, cop_plan *plan, coppice_error *err);

/* The same with everything that inference can be told. options->bound is borrowed by the plan. */
coppice_status cop_plan_compile(const cop_graph *graph, const cop_infer_options *options,
                                const cop_settings *settings, cop_plan *plan, coppice_error *err);
void cop_plan_free(cop_plan *plan);

/* True when the plan was made for inputs of these shapes. */
bool cop_plan_fits(const cop_plan *plan, const coppice_tensor *inputs, size_t count);

/* Value of the model's output `i` after a run, owned by the plan. */
const cop_operand *cop_plan_output(const cop_plan *plan, size_t i);

/* The parts of a run: drops what the last one left; sets each input and what a sub-graph reads from
 * around it (borrowed until the next start); runs every step. `step_ms`, when not NULL, gets the
 * time of each step. */
void cop_plan_start(cop_plan *plan);
coppice_status cop_plan_set_input(cop_plan *plan, size_t i, const cop_operand *input,
                                  coppice_error *err);
coppice_status cop_plan_set_bound(cop_plan *plan, int value, const cop_operand *operand,
                                  coppice_error *err);
coppice_status cop_plan_execute(cop_plan *plan, double *step_ms, coppice_error *err);

/* All of that for inputs that are tensors; plan->outputs hold the results. */
coppice_status cop_plan_run(cop_plan *plan, const coppice_tensor *inputs, double *step_ms,
                            coppice_error *err);

/* ---- eager convolutions (eager_kernel.c) ---- */

/* Runs an eager step with a kernel where there is one for it; *done says so. */
coppice_status cop_run_kept_kernel(cop_plan *plan, cop_step *step, cop_call *call, bool *done);
void cop_free_kept_kernels(cop_step *step);

/* ---- If (inline.c) ---- */

/* Is there an If whose condition is known, and whose branch can be part of the graph? */
bool cop_has_known_if(const cop_graph *graph, const cop_shapes *shapes);

/* Puts the branches of all these in their place. Node and value indices change. On failure the
 * graph is good for freeing only. */
coppice_status cop_inline_known_ifs(cop_graph *graph, const cop_shapes *shapes, coppice_error *err);

/* ---- sub-graphs (body.c) ---- */

/* Free *out with cop_body_free also on failure. */
coppice_status cop_body_new(const cop_graph *graph, const cop_settings *settings, cop_body **out,
                            coppice_error *err);
void cop_body_free(cop_body *body);

/* The plan that is about to run the body's node. */
void cop_body_enter(cop_body *body, cop_plan *plan);

#endif
