/* What models are measured with: threads, instruction set, made-up inputs. */
#include "tune/setup.h"

#include <math.h>

#include <coppice/data.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "runtime/conv.h"

coppice_status cop_setup_check(const coppice_bench_options *options, coppice_error *err) {
    if (!(options->seconds >= 0) || options->runs < 0 || options->warmup < 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "seconds, runs and warm-up runs cannot be negative");
    if (options->seconds == 0 && options->runs == 0)
        return cop_fail(err, COPPICE_INVALID_ARGUMENT,
                        "neither a time nor a number of runs is given: there is no end");
    return COPPICE_OK;
}

static coppice_status make_inputs(const coppice_model *model, const coppice_bench_options *options,
                                  cop_setup *setup, coppice_error *err) {
    size_t count = coppice_model_input_count(model);
    setup->inputs = cop_calloc(count ? count : 1, sizeof *setup->inputs);
    if (!setup->inputs)
        return cop_fail_memory(err, count * sizeof *setup->inputs);
    COP_TRY(coppice_model_input_shapes(model, &options->shape, setup->inputs, err));
    setup->input_count = count;
    for (size_t i = 0; i < count; i++)
        COP_TRY(coppice_input_fill(coppice_model_input(model, i).name, options->seed + i,
                                   &setup->inputs[i], err));
    return COPPICE_OK;
}

coppice_status cop_setup_make(const coppice_model *model, const coppice_bench_options *options,
                              cop_setup *setup, coppice_error *err) {
    COP_TRY(cop_setup_check(options, err));
    if (options->session)
        setup->session = *options->session;
    else
        coppice_session_options_init(&setup->session);
    if (!setup->session.pool) {
        COP_TRY(coppice_threadpool_create(setup->session.threads, &setup->pool, err));
        setup->session.pool = setup->pool;
    }
    COP_TRY(cop_isa_resolve(setup->session.isa, &setup->isa, err));
    return make_inputs(model, options, setup, err);
}

void cop_setup_free(cop_setup *setup) {
    for (size_t i = 0; setup->inputs && i < setup->input_count; i++)
        coppice_tensor_release(&setup->inputs[i]);
    cop_free(setup->inputs);
    coppice_threadpool_free(setup->pool);
    *setup = (cop_setup){0};
}

int64_t cop_setup_batch(const cop_setup *setup) {
    return setup->input_count && setup->inputs[0].rank ? setup->inputs[0].dims[0] : 1;
}

coppice_status cop_setup_session(const cop_setup *setup, const coppice_model *model,
                                 const coppice_masks *masks, cop_timed *timed, double *prepare_ms,
                                 coppice_error *err) {
    double start = cop_now_ms();
    coppice_session_options options = setup->session;
    options.masks = masks ? masks : options.masks;
    COP_TRY(coppice_session_create(model, &options, &timed->session, err));
    COP_TRY(coppice_session_prepare(timed->session, setup->inputs, setup->input_count, err));
    *prepare_ms = cop_now_ms() - start;
    timed->inputs = setup->inputs;
    timed->input_count = setup->input_count;
    return COPPICE_OK;
}

unsigned cop_profile_runs(double run_ms, double budget_ms) {
    return (unsigned)fmin(fmax(budget_ms / fmax(run_ms, 1e-3), 3), 100);
}
