/* Writing a model to standard output. */
#ifndef CLI_STDOUT_MODEL_H
#define CLI_STDOUT_MODEL_H

#include "cli.h"

/* Writes the whole model, in one file, to standard output: by way of a temporary file, as a model
 * is saved complete or not at all. `bytes` gets its size. */
coppice_status cli_save_to_stdout(cli_context *cli, coppice_model *model, int64_t *bytes);

#endif
