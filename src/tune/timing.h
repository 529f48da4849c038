/* Timing one session, or two in turns. */
#ifndef COP_TUNE_TIMING_H
#define COP_TUNE_TIMING_H

#include <coppice/bench.h>

/* A session and what it is run on. Zero-initialise; `ms` is allocated by cop_time_runs. */
typedef struct cop_timed {
    coppice_session *session;
    const coppice_tensor *inputs;
    size_t input_count;
    double *ms; /* one per run */
} cop_timed;

typedef struct cop_timing_limits {
    double seconds; /* of all models together; 0: no limit */
    int64_t runs;   /* 0: no limit */
    int64_t min_runs;
    int64_t warmup;            /* not counted */
    coppice_progress progress; /* may be NULL */
    void *user;
} cop_timing_limits;

/* Runs that are kept at most when only time limits them: the statistics of a model that takes
 * microseconds gain nothing from more, and the array would show in the peak memory. */
enum { COP_MOST_RUNS = 100000 };

/* Runs every model once per round until a limit is reached; who goes first rotates, so that none
 * always finds the caches as the same other one left them. *runs gets the number of rounds. */
coppice_status cop_time_runs(cop_timed *models, size_t model_count, const cop_timing_limits *limits,
                             int64_t *runs, coppice_error *err);

#endif
