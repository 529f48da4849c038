/* Running models: thread pools and sessions.
 *
 *     coppice_session *session = NULL;
 *     const coppice_tensor *out = NULL;
 *     coppice_tensor in = {COPPICE_TYPE_FLOAT, 4, {1, 3, 224, 224}, x};
 *     coppice_session_create(model, NULL, &session, &error);
 *     coppice_session_run(session, &in, 1, &out, &error);     // out[0].data: borrowed
 *
 * A session is a compiled model: graph simplified, a kernel chosen per node, memory planned,
 * weights packed. It compiles for the shapes of the first run, or of coppice_session_prepare; other
 * shapes compile again, and the plans of the last few shapes are kept. Runs with known shapes
 * allocate nothing, but for values whose shapes depend on data: those keep their memory for the
 * next run, and grow where they have to.
 *
 * Differences from IEEE arithmetic, on every backend: denormals are flushed to zero; a pruned
 * weight is skipped, so inf or NaN activations under it do not reach the output.
 *
 * Threads: one session runs one inference at a time; a second call meanwhile returns BUSY.
 * Different sessions may run at once, also of one model, if they do not share a thread pool.
 * Freeing needs the object for itself. Everything else may run in several threads at once. */
#ifndef COPPICE_RUNTIME_H
#define COPPICE_RUNTIME_H

#include <coppice/masks.h>
#include <coppice/model.h>
#include <coppice/value.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- thread pool ---- */

typedef struct coppice_threadpool coppice_threadpool;

/* A pool that runs kernels on `threads` threads, the caller's included; 0: physical cores, limited
 * by the CPU affinity and the cgroup's CPU quota. Runs one job at a time. Owned by the caller, free
 * with coppice_threadpool_free after every session that uses it. */
COPPICE_API coppice_status coppice_threadpool_create(unsigned threads, coppice_threadpool **out,
                                                     coppice_error *error);

/* How many threads it runs on, the caller's included; 1 for NULL. */
COPPICE_API unsigned coppice_threadpool_threads(const coppice_threadpool *pool);

/* NULL is fine. */
COPPICE_API void coppice_threadpool_free(coppice_threadpool *pool);

/* ---- options ---- */

typedef enum coppice_backend {
    COPPICE_BACKEND_AUTO,     /* measures the candidates of each layer, keeps the fastest */
    COPPICE_BACKEND_NATIVE,   /* our SIMD kernels where there are any */
    COPPICE_BACKEND_XNNPACK,  /* XNNPACK's kernels where there are any */
    COPPICE_BACKEND_REFERENCE /* plain C, the specification */
} coppice_backend;

typedef enum coppice_sparse_use {
    COPPICE_SPARSE_AUTO,  /* where it is faster */
    COPPICE_SPARSE_NEVER, /* dense kernels only */
    COPPICE_SPARSE_ALWAYS /* sparse kernels for every weight that has a zero and a sparse kernel */
} coppice_sparse_use;

typedef enum coppice_tune {
    COPPICE_TUNE_FAST, /* a few runs per candidate, about 0.4 s per model at most */
    COPPICE_TUNE_NONE, /* fixed choice by rule: the same on every run and machine with the same ISA
                        */
    COPPICE_TUNE_FULL  /* every candidate of every layer, with more runs; what is cached then counts
                          more than what FAST measures */
} coppice_tune;

/* Instruction sets that our kernels are written for; each x86 one includes those before it.
 * XNNPACK's kernels go by the CPU alone: with less than it has, backend AUTO does without them. */
typedef enum coppice_isa {
    COPPICE_ISA_BEST, /* what the CPU has, or the environment variable COPPICE_ISA */
    COPPICE_ISA_SCALAR,
    COPPICE_ISA_SSE2,
    COPPICE_ISA_AVX2, /* with FMA */
    COPPICE_ISA_AVX512,
    COPPICE_ISA_NEON
} coppice_isa;

/* Names as on the command line ("auto", "avx512", ...) to values and back. The parsers return
 * INVALID_ARGUMENT with the names there are; coppice_isa_parse also when the CPU lacks it. */
COPPICE_API coppice_status coppice_backend_parse(const char *name, coppice_backend *out,
                                                 coppice_error *error);
COPPICE_API coppice_status coppice_sparse_use_parse(const char *name, coppice_sparse_use *out,
                                                    coppice_error *error);
COPPICE_API coppice_status coppice_tune_parse(const char *name, coppice_tune *out,
                                              coppice_error *error);
COPPICE_API coppice_status coppice_isa_parse(const char *name, coppice_isa *out,
                                             coppice_error *error);
COPPICE_API const char *coppice_backend_name(coppice_backend backend);
COPPICE_API const char *coppice_isa_name(coppice_isa isa);

/* The best instruction set of this CPU that there are kernels for. */
COPPICE_API coppice_isa coppice_isa_best(void);

/* The size of a free dimension, by its symbol. */
typedef struct coppice_dim_value {
    const char *symbol;
    int64_t size;
} coppice_dim_value;

/* Initialise with coppice_session_options_init. Pointers are borrowed during the call, except
 * `pool`: borrowed until the session is freed. */
typedef struct coppice_session_options {
    coppice_backend backend;   /* default AUTO; what a backend lacks falls back per node */
    coppice_sparse_use sparse; /* default AUTO */
    coppice_tune tune;         /* default FAST */
    coppice_isa isa;           /* default BEST */
    coppice_threadpool *pool;  /* default NULL: the session makes one of `threads` threads */
    unsigned threads;          /* default 0: as in coppice_threadpool_create */
    /* Keep what was measured in a file, so that the next session of such layers on this machine is
     * made at once; default true. The file is `tuning` in the folder that the environment variable
     * COPPICE_CACHE names ("off": none), else in $XDG_CACHE_HOME/coppice, else in
     * ~/.cache/coppice; it takes 1 MiB at most. Not with TUNE_NONE. */
    bool cache;
    /* Run as if coppice_masks_apply had been called, without changing the model; default NULL.
     * Masks that the model has no constant for are an error. Borrowed during the call. */
    const coppice_masks *masks;
} coppice_session_options;

/* Sets every member to its default. */
COPPICE_API void coppice_session_options_init(coppice_session_options *options);

/* ---- sessions ---- */

typedef struct coppice_session coppice_session;

/* Makes a session. `model` is borrowed until the session is freed and must not be edited meanwhile.
 * `options` may be NULL. Errors: UNSUPPORTED for an operator, type or attribute that coppice cannot
 * run (names node, operator, domain, opset), BAD_MODEL, INVALID_ARGUMENT, OUT_OF_MEMORY. */
COPPICE_API coppice_status coppice_session_create(const coppice_model *model,
                                                  const coppice_session_options *options,
                                                  coppice_session **out, coppice_error *error);

/* Not while it runs. NULL is fine. */
COPPICE_API void coppice_session_free(coppice_session *session);

/* Compiles for input shapes ahead of the first run. `inputs` in the order of coppice_model_input;
 * their data is not looked at. NULL: declared shapes, free dimensions 1. Errors: INVALID_ARGUMENT
 * (shapes that do not fit the model), UNSUPPORTED, BUSY, INTERRUPTED, OUT_OF_MEMORY. */
COPPICE_API coppice_status coppice_session_prepare(coppice_session *session,
                                                   const coppice_tensor *inputs, size_t count,
                                                   coppice_error *error);

/* One inference. `inputs` in the order of coppice_model_input, borrowed during the call; *outputs
 * in the order of coppice_model_output, owned by the session and good until its next call.
 * UNSUPPORTED when an output is no tensor: use coppice_session_run_values. Other errors:
 * INVALID_ARGUMENT (count, type or shape of an input, with the expected one), BUSY, INTERRUPTED,
 * and those of coppice_session_prepare. */
COPPICE_API coppice_status coppice_session_run(coppice_session *session,
                                               const coppice_tensor *inputs, size_t count,
                                               const coppice_tensor **outputs,
                                               coppice_error *error);

/* The same for models whose inputs or outputs may be sequences, optionals or strings. *outputs and
 * all in it is owned by the session and good until its next call. */
COPPICE_API coppice_status coppice_session_run_values(coppice_session *session,
                                                      const coppice_value *inputs, size_t count,
                                                      const coppice_value **outputs,
                                                      coppice_error *error);

/* ---- what a session does, for bench --profile ---- */

/* One step of the current plan. Strings are owned by the session and good until it compiles for
 * other shapes. */
typedef struct coppice_profile_row {
    const char *node;   /* name of the node, "" for a change of layout */
    const char *op;     /* "Conv", ...; "Layout" for a change of layout */
    const char *kernel; /* "xnn_conv2d_nhwc_f32", "reference", ... */
    const char *layout; /* of the output: "nchw", "nhwc", "plain", "tiles", "token-tiles" */
    uint32_t rank;      /* of the output */
    int64_t dims[COPPICE_MAX_RANK];
    double sparsity; /* of the weight; 0 without one */
    int64_t macs;    /* multiply-accumulates with kept weights; 0 for other operators */
    bool sparse;     /* the kernel skips zero weights */
    double ms;       /* median over the profiled runs */
    double dense_ms,
        sparse_ms; /* the best candidate of each kind when the plan was made, as timed; by its rate
                        on layers alike where that is far behind; < 0: not known */
    const char
        *why; /* why this kernel: "fastest measured", "too dense: pays from 72 % here", ... */
} coppice_profile_row;

/* Runs `runs` times on the given inputs (as coppice_session_run; NULL: the prepared shapes with
 * normally distributed data) with a clock around each step. *rows is owned by the session and good
 * until its next call. Errors: those of coppice_session_run. */
COPPICE_API coppice_status coppice_session_profile(coppice_session *session,
                                                   const coppice_tensor *inputs, size_t count,
                                                   unsigned runs, const coppice_profile_row **rows,
                                                   size_t *row_count, coppice_error *error);

/* ---- what is built in, for `coppice info` ---- */

typedef struct coppice_feature {
    const char *name, *value;
} coppice_feature;

/* Build features, XNNPACK's sparse path in use, CPU, caches, threads. NULL name ends the list.
 * Static storage. Thread-safe. */
COPPICE_API const coppice_feature *coppice_features(void);

/* The operators the runtime has: one row per operator and opset range. `max_opset` 0: to the
 * newest. NULL op ends the list. Static storage. Thread-safe. */
typedef struct coppice_operator_info {
    const char *domain, *op;
    int min_opset, max_opset;
    const char *types; /* "float32 float16 int64 ..." */
} coppice_operator_info;
COPPICE_API const coppice_operator_info *coppice_operators(void);

#ifdef __cplusplus
}
#endif

#endif
