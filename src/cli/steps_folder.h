/* The folder OUT.steps of a gradual run: its files, and the record of what has been done.
 *
 *     step_01.masks.npz  step_01.onnx     a step that is complete (and step_01.onnx.data)
 *     step_02.in.onnx    step_02.out.onnx what the --finetune command reads and writes
 *     state.json                          which run this is, a record of every complete step
 *
 * Files of other names are the user's and never touched. */
#ifndef CLI_STEPS_FOLDER_H
#define CLI_STEPS_FOLDER_H

#include "cli.h"

typedef struct cli_steps_folder {
    char *path;     /* OUT.steps */
    char *absolute; /* the same for commands; NULL until the folder exists */
    int64_t count;  /* of the whole run's steps */
    int digits;     /* of a step's number in file names */
    json_t *run;    /* what run this is: options and input, an object; its keys are shown */
    json_t *steps;  /* an array of objects, one per complete step, in order */
    int lock;       /* the folder, open and locked against other runs; -1: not yet */
} cli_steps_folder;

/* What a file of a step is. */
typedef enum cli_step_file {
    CLI_STEP_MODEL,
    CLI_STEP_MASKS,
    CLI_STEP_MODEL_IN,
    CLI_STEP_MODEL_OUT
} cli_step_file;

/* Paths in memory of `cli`; NULL: no memory. */
char *cli_steps_path(cli_context *cli, const char *output); /* OUT.steps */
char *cli_step_path(cli_context *cli, const cli_steps_folder *folder, const char *parent,
                    int64_t step, cli_step_file file);

/* Is there something of this name? */
bool cli_steps_exist(const char *path);

/* Can files be written into a folder that exists? */
coppice_status cli_steps_check_writable(cli_context *cli, const char *path);

/* Zeroes *folder and sets its path; `run` is taken over. */
coppice_status cli_steps_init(cli_context *cli, const char *output, int64_t steps, json_t *run,
                              cli_steps_folder *folder);
void cli_steps_release(cli_steps_folder *folder);

/* Goes on with a folder that exists and is nobody else's now: its record must be of the same run
 * (what differs is named). Removes work files. The complete steps are in folder->steps afterwards.
 */
coppice_status cli_steps_resume(cli_context *cli, cli_steps_folder *folder);

/* Makes the folder, or with --force empties it of our own files, and writes the record of no steps.
 * From here or from cli_steps_resume on until cli_steps_release it is locked. */
coppice_status cli_steps_begin(cli_context *cli, cli_steps_folder *folder);

/* Adds `record` (taken over) to the complete steps and writes the record down. Before the step's
 * model is there, it does not count. */
coppice_status cli_steps_record(cli_context *cli, cli_steps_folder *folder, json_t *record);

/* Removes the work files of all steps. */
void cli_steps_tidy(const cli_steps_folder *folder);

/* Behind an interrupt: removes work files, masks of a step that is not complete, and the folder
 * itself when no step is. */
void cli_steps_abandon(cli_context *cli, cli_steps_folder *folder);

#endif
