/* What `coppice prune` shows: a table per layer, the totals, the same as JSON. */
#ifndef CLI_PRUNE_REPORT_H
#define CLI_PRUNE_REPORT_H

#include "output_options.h"

/* What a run has found out, for table and JSON. */
typedef struct cli_prune_result {
    const coppice_prune_report *report;
    cli_output_result out;
    double ms;
    json_t *steps; /* an array, NULL: not in steps */
} cli_prune_result;

void cli_prune_print_layers(cli_context *cli, const coppice_prune_report *report);
void cli_prune_print_totals(cli_context *cli, const cli_prune_result *r);

/* A new reference, NULL: no memory. */
json_t *cli_prune_json(const cli_prune_result *r);

#endif
