/* coppice bench --report: the profile as an HTML page. */
#ifndef CLI_BENCH_REPORT_H
#define CLI_BENCH_REPORT_H

#include "cli.h"

/* Writes the profile of the first model. */
coppice_status cli_bench_report(cli_context *cli, const char *path, const char *model,
                                const coppice_bench_report *report, const char *backend);

#endif
