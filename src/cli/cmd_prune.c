/* coppice prune: sets the least important weights of a model to zero. */
#include "cli.h"

#include <stdio.h>

#include "prune_options.h"
#include "prune_report.h"
#include "stdout_model.h"

/* Masks first: when the model then fails, a mask file that is new goes again. */
static coppice_status write_outputs(cli_context *cli, const cli_prune_flags *o,
                                    coppice_model *model, cli_prune_result *r) {
    coppice_status status = COPPICE_OK;
    bool new_masks = o->masks && coppice_file_check_target(o->masks, false, NULL) == COPPICE_OK;
    if (o->masks)
        status = coppice_masks_save(r->report->masks, o->masks, cli->force, &cli->error);
    if (status != COPPICE_OK)
        return status;
    coppice_save_options save;
    coppice_save_options_init(&save);
    save.overwrite = cli->force;
    save.external_data = o->external_data;
    coppice_save_result saved;
    if (cli_same(o->output, "-"))
        status = cli_save_to_stdout(cli, model, &save, &saved);
    else
        status = coppice_model_save(model, o->output, &save, &saved, &cli->error);
    r->bytes_out = status == COPPICE_OK ? saved.bytes : -1;
    if (status != COPPICE_OK && new_masks)
        remove(o->masks);
    return status;
}

static coppice_status add_compressed(cli_context *cli, const char *path,
                                     coppice_compression compression, int64_t *sum) {
    int64_t bytes;
    coppice_status status = coppice_file_compressed_bytes(path, compression, &bytes, &cli->error);
    if (status == COPPICE_UNSUPPORTED) {
        cli_note(cli, "no size as zstd: %s", cli->error.message);
        return COPPICE_OK;
    }
    if (status == COPPICE_OK)
        *sum = (*sum < 0 ? 0 : *sum) + bytes;
    return status;
}

static coppice_status measure_sizes(cli_context *cli, const cli_prune_flags *o,
                                    cli_prune_result *r) {
    if (!o->sizes || !o->output || o->dry_run || cli_same(o->output, "-"))
        return COPPICE_OK;
    const char *files[] = {o->output, o->external_data ? cli_prune_data_path(cli, o) : NULL};
    coppice_status status = COPPICE_OK;
    for (size_t i = 0; status == COPPICE_OK && i < 2 && files[i]; i++) {
        status = add_compressed(cli, files[i], COPPICE_COMPRESSION_GZIP, &r->gzip);
        if (status == COPPICE_OK)
            status = add_compressed(cli, files[i], COPPICE_COMPRESSION_ZSTD, &r->zstd);
    }
    return status;
}

static coppice_status prune(cli_context *cli, const cli_prune_flags *o, coppice_model *model,
                            cli_prune_result *r, coppice_prune_report **report) {
    coppice_prune_options options;
    coppice_status status = cli_prune_library_options(cli, o, &options);
    if (status == COPPICE_OK)
        status = coppice_prune(model, &options, report, &cli->error);
    if (status != COPPICE_OK)
        return status;
    r->report = *report;
    r->bytes_in = coppice_model_file_bytes(model);
    if (o->dry_run)
        return COPPICE_OK;
    status = write_outputs(cli, o, model, r);
    return status == COPPICE_OK ? measure_sizes(cli, o, r) : status;
}

/* The complaint of everybody who prunes for the first time, answered before it comes up. */
static void explain_size(cli_context *cli, const cli_prune_flags *o, const cli_prune_result *r) {
    if (r->bytes_out < 0 || (double)r->bytes_out < 0.95 * (double)r->bytes_in)
        return;
    cli_note(cli, "the file is not smaller: a zero takes as many bytes as any other weight%s",
             o->sizes ? "; compressed it is"
                      : "; compressed it gets smaller (--sizes says how much)");
}

static coppice_status run(cli_context *cli, int argc, char **argv) {
    double start = cli_now_ms();
    cli_prune_flags o;
    cli_prune_flags_init(&o);
    const cli_group groups[] = {{"Options", cli_prune_main_rows, &o},
                                {"Which weights", cli_prune_choice_rows, &o},
                                {"Output", cli_prune_output_rows, &o},
                                {0}};
    if (!cli_parse(cli, groups, 1, 1, argc, argv))
        return cli->error.status;
    coppice_status status = cli_prune_check(cli, &o);
    if (status != COPPICE_OK)
        return status;
    if (cli_same(o.output, "-"))
        cli->out = stderr;
    coppice_model *model;
    coppice_prune_report *report = NULL;
    cli_prune_result result = {.bytes_out = -1, .gzip = -1, .zstd = -1};
    status = cli_load_model(cli, cli->args[0], &model);
    if (status == COPPICE_OK)
        status = prune(cli, &o, model, &result, &report);
    result.ms = cli_now_ms() - start;
    if (status == COPPICE_OK) {
        cli_prune_print_layers(cli, report);
        cli_prune_print_totals(cli, &result);
        if (o.dry_run)
            cli_note(cli, "dry run: nothing was written");
        explain_size(cli, &o, &result);
        status = cli_json_emit(cli, cli->json.given ? cli_prune_json(&result) : NULL);
    }
    coppice_prune_report_free(report);
    coppice_model_free(model);
    return status;
}

const cli_command cmd_prune = {
    .name = "prune",
    .arguments = "MODEL -o OUT --sparsity S",
    .summary = "set the smallest weights of a model to zero",
    .details =
        "MODEL is an ONNX file, or '-' for standard input. Prunable are the weights of Conv,\n"
        "ConvTranspose, Gemm and MatMul. GLOB is a shell pattern for names as 'coppice inspect'\n"
        "shows them.",
    .run = run,
};
