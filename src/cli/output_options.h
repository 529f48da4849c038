/* What prune, convert and apply-masks share: where the model goes and in which form. */
#ifndef CLI_OUTPUT_OPTIONS_H
#define CLI_OUTPUT_OPTIONS_H

#include "cli.h"

/* Zero-initialise; target of the rows below. */
typedef struct cli_output {
    const char *path;           /* -o; "-" is standard output, NULL: not given */
    const char *weights;        /* "dense", "sparse" or NULL: as loaded */
    const char *negative_zeros; /* "auto", "keep", "drop" or NULL: auto */
    const char *external_data;
    bool single_file, sizes, fold_masks;
} cli_output;

extern const cli_option cli_output_rows[];

/* What was written. Sizes of -1 are unknown. */
typedef struct cli_output_result {
    int64_t bytes_in, bytes_out; /* of all files */
    int64_t dense, sparse;       /* with --sizes: if all were dense, if what gains were sparse */
    int64_t gzip, zstd;          /* with --sizes: of what was written, compressed */
    int64_t sparse_tensors, dense_tensors;
    bool is_sparse;          /* sparse was asked for */
    char external_data[256]; /* name of the data file, "": none */
    int64_t folded_masks;    /* products of weights and masks that --fold-masks took out */
} cli_output_result;

void cli_output_result_init(cli_output_result *result);

/* Refuses two outputs of the same name among `paths` (each may be NULL) and the file of --json. The
 * first of all checks: with --force, an error as JSON must not replace the model that OUT was. */
coppice_status cli_output_check_names(cli_context *cli, const char *const *paths, size_t count);

/* Do the options make sense? OUT may be missing. */
coppice_status cli_output_check_usage(cli_context *cli, const cli_output *o);

/* Refuses files that could not be written, before any work is done. */
coppice_status cli_output_check_targets(cli_context *cli, const cli_output *o);

/* The same when the model is known: a large one gets a data file that nobody named. */
coppice_status cli_output_check_model(cli_context *cli, const cli_output *o,
                                      const coppice_model *model);

/* Changes the loaded model as the options say, before anything else is done with it. */
coppice_status cli_output_prepare(cli_context *cli, const cli_output *o, coppice_model *model,
                                  cli_output_result *result);

/* Writes the model, with zeros where `masks` (may be NULL) prune it, and fills *result. */
coppice_status cli_output_save(cli_context *cli, const cli_output *o, coppice_model *model,
                               const coppice_masks *masks, cli_output_result *result);

/* The line "bytes    N before, N after; N as gzip, N as zstd". */
void cli_output_print_bytes(cli_context *cli, const cli_output_result *result);

/* The object `bytes` of the JSON; a new reference, NULL: no memory. */
json_t *cli_output_json_bytes(const cli_output_result *result);

/* The name of the data file, null without one; a new reference, NULL: no memory. */
json_t *cli_output_json_data(const cli_output_result *result);

#endif
