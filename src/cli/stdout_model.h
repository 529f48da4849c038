/* Writing a model to standard output. */
#ifndef CLI_STDOUT_MODEL_H
#define CLI_STDOUT_MODEL_H

#include "cli.h"

/* Writes the whole model, in one file, to standard output: by way of a temporary file, as a model
 * is saved complete or not at all. */
coppice_status cli_save_to_stdout(cli_context *cli, coppice_model *model,
                                  const coppice_save_options *options, coppice_save_result *result);

#endif
