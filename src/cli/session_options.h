/* Options of run, bench and compare that say how a model is executed and on which shapes. */
#ifndef CLI_SESSION_OPTIONS_H
#define CLI_SESSION_OPTIONS_H

#include "cli.h"

/* --backend, --sparse, --isa, --tune, --no-cache; zero-initialise. */
typedef struct cli_session_flags {
    const char *backend, *sparse, *isa, *tune;
    bool no_cache;
} cli_session_flags;

extern const cli_option cli_session_rows[];

/* The flags and --threads as session options; false with cli->error set. */
bool cli_session_options(cli_context *cli, const cli_session_flags *flags,
                         coppice_session_options *out);

/* --shape, --dim, --batch; zero-initialise, `batch` -1. */
typedef struct cli_shape_flags {
    cli_list shapes, dims;
    int64_t batch;
} cli_shape_flags;

extern const cli_option cli_shape_rows[];

/* The flags as shape options, in memory of `cli`; false with cli->error set. */
bool cli_shape_options(cli_context *cli, const cli_shape_flags *flags, coppice_shape_options *out);

/* A declared shape as "[N,3,?,32]", "[...]" when the model does not declare one. */
cli_text cli_format_declared(const coppice_value_info *info);

#endif
