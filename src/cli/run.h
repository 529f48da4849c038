/* What `coppice run` works on: a model with data for its inputs. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli.h"

typedef struct run_state {
    coppice_model *model;
    coppice_session *session;
    size_t input_count, output_count;
    coppice_value *inputs;
    const char **sources; /* the file that an input came from, NULL: none yet */
    const char **files;   /* per output: the file written, NULL without -o */
    bool pb;              /* files are .pb, not .npy and .npz */
} run_state;

/* Reads the files of -i and checks that every input has data that fit (run_inputs.c). */
coppice_status run_read_inputs(cli_context *cli, run_state *state, const cli_list *list);
void run_free_inputs(run_state *state);

/* Names the files of the outputs and refuses those that exist, before any work is done
 * (run_outputs.c). */
coppice_status run_plan_files(cli_context *cli, run_state *state, const char *folder);

/* Creates the folder, if there is one, and writes the files. */
coppice_status run_write_outputs(cli_context *cli, const run_state *state, const char *folder,
                                 const coppice_value *outputs);

/* The table and the JSON. */
coppice_status run_report(cli_context *cli, const run_state *state, const coppice_value *outputs,
                          double ms);

#endif
