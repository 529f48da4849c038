/* How long the kernels of a layer take on this machine: measured, remembered, estimated. */
#ifndef COP_RUNTIME_MEASURE_H
#define COP_RUNTIME_MEASURE_H

#include "runtime/plan.h"
#include "runtime/tune_cache.h"

typedef struct cop_timing cop_timing;

/* While the kernels of one plan are chosen. Zero-initialise but for settings and err; free. */
typedef struct cop_tuner {
    const cop_settings *settings;
    coppice_error *err;
    cop_tune_cache *cache; /* opened when it is first needed */
    cop_timing *timings;   /* of all layers before, by kernel */
    size_t timing_count, timing_capacity;
    cop_block *input, *residual, *output, *scratch; /* that kernels are timed on */
    cop_block *other;                               /* what other layers leave in the caches */
} cop_tuner;

void cop_tuner_free(cop_tuner *tuner);

/* Multiply-accumulates that the kernel does. */
double cop_conv_work(const cop_conv *conv, const cop_conv_kernel *kernel);

/* True when one of the choices ran on a layer that is alike. */
bool cop_tuner_knows(const cop_tuner *tuner, const cop_conv *conv, const cop_node_choices *choices);

/* Sets the ms of all choices from what is known, without running anything: from the rate of the
 * kernel on layers before that are alike, else by rule. */
void cop_tuner_estimate(const cop_tuner *tuner, const cop_conv *conv, cop_node_choices *choices);

/* The rule alone: for --tune none. */
void cop_tuner_rule(const cop_conv *conv, cop_node_choices *choices);

/* Sets the ms of all choices from layers before or the file; unless UNKNOWN. */
cop_tune_source cop_tuner_recall(cop_tuner *tuner, const cop_conv *conv, cop_node_choices *choices);

/* Times them, and remembers. A choice that does not run on this machine gets a negative ms. Kernels
 * that are far behind on layers alike are estimated. */
coppice_status cop_tuner_measure(cop_tuner *tuner, const cop_conv *conv, cop_node_choices *choices);

#endif
