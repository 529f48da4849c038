/* The DATA options: which samples, and how they are prepared. */
#ifndef CLI_DATA_OPTIONS_H
#define CLI_DATA_OPTIONS_H

#include "cli.h"

/* Initialise with cli_data_flags_init. */
typedef struct cli_data_flags {
    const char *images, *labels;
    cli_list inputs;
    int64_t resize, crop, limit; /* -1: not given */
    double scale;
    const char *mean, *std, *layout;
    bool rgb, bgr;
} cli_data_flags;

extern const cli_option cli_data_rows[];

void cli_data_flags_init(cli_data_flags *flags);

/* The flags as options of a data set; false with cli->error set. */
bool cli_data_options(cli_context *cli, const cli_data_flags *flags, coppice_dataset_options *out);

#endif
