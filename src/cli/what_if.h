/* coppice bench --what-if: how fast a model would be if it were pruned. */
#ifndef CLI_WHAT_IF_H
#define CLI_WHAT_IF_H

#include "cli.h"
#include "prune_options.h"

typedef struct cli_what_if {
    const char *sparsities; /* "0.5,0.8", NULL: none */
    const char *pattern;    /* NULL: unstructured */
    const cli_prune_flags *prune;
    const coppice_bench_options *bench;
} cli_what_if;

/* Measures the model that the command line names, and prints tables or JSON. */
coppice_status cli_what_if_run(cli_context *cli, const cli_what_if *options);

#endif
