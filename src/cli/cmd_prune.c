/* coppice prune: sets the least important weights of a model to zero. */
#include "cli.h"

#include <stdio.h>

#include "prune_options.h"
#include "prune_report.h"
#include "steps.h"

/* Masks first: when the model then fails, a mask file that is new goes again. */
static coppice_status write_outputs(cli_context *cli, const cli_prune_flags *o,
                                    coppice_model *model, cli_prune_result *r) {
    coppice_status status = COPPICE_OK;
    bool new_masks = o->masks && coppice_file_check_target(o->masks, false, NULL) == COPPICE_OK;
    if (o->masks)
        status = coppice_masks_save(r->report->masks, o->masks, cli->force, &cli->error);
    if (status != COPPICE_OK)
        return status;
    status = cli_output_save(cli, &o->out, model, r->report->masks, &r->out);
    if (status != COPPICE_OK && new_masks)
        remove(o->masks);
    return status;
}

static coppice_status prune(cli_context *cli, const cli_prune_flags *o, coppice_model *model,
                            cli_prune_result *r, coppice_prune_report **report) {
    coppice_prune_options options;
    coppice_status status = cli_prune_library_options(cli, o, &options);
    /* Masks prune while saving: a large model needs no memory for it. Steps edit the model. */
    options.dry_run = o->dry_run || !cli_has_steps(&o->steps);
    if (status == COPPICE_OK && !o->dry_run)
        status = cli_output_check_model(cli, &o->out, model);
    if (status == COPPICE_OK && cli_has_steps(&o->steps))
        status = cli_prune_in_steps(cli, o, &options, model, report, &r->steps);
    else if (status == COPPICE_OK)
        status = coppice_prune(model, &options, report, &cli->error);
    if (status != COPPICE_OK)
        return status;
    r->report = *report;
    r->out.bytes_in = coppice_model_file_bytes(model);
    if (o->dry_run)
        return COPPICE_OK;
    status = write_outputs(cli, o, model, r);
    if (status != COPPICE_OK && cli_has_steps(&o->steps))
        cli_note(cli, "all steps are complete: --resume only writes the result");
    return status;
}

/* The complaint of everybody who prunes for the first time, answered before it comes up. */
static void explain_size(cli_context *cli, const cli_prune_flags *o, const cli_prune_result *r) {
    if (r->out.is_sparse || r->out.bytes_out < 0 ||
        (double)r->out.bytes_out < 0.95 * (double)r->out.bytes_in)
        return;
    cli_note(cli, "the file is not smaller: a zero takes as many bytes as any other weight%s",
             o->out.sizes ? "; sparse or compressed it is"
                          : "; with --weights sparse, or compressed, it gets smaller (--sizes)");
}

static coppice_status run(cli_context *cli, int argc, char **argv) {
    double start = cli_now_ms();
    cli_prune_flags o;
    cli_prune_flags_init(&o);
    const cli_group groups[] = {{"Options", cli_prune_main_rows, &o},
                                {"Which weights", cli_prune_choice_rows, &o},
                                {"Steps", cli_steps_rows, &o.steps},
                                {"Output", cli_output_rows, &o.out},
                                {0}};
    if (!cli_parse(cli, groups, 1, 1, argc, argv))
        return cli->error.status;
    coppice_status status = cli_prune_check(cli, &o);
    if (status != COPPICE_OK)
        return status;
    if (cli_same(o.out.path, "-"))
        cli->out = stderr;
    coppice_model *model;
    coppice_prune_report *report = NULL;
    cli_prune_result result = {0};
    cli_output_result_init(&result.out);
    status = cli_load_model(cli, cli->args[0], &model);
    if (status == COPPICE_OK)
        status = cli_output_prepare(cli, &o.out, model, &result.out);
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
    json_decref(result.steps);
    coppice_prune_report_free(report);
    coppice_model_free(model);
    return status;
}

const cli_command cmd_prune = {
    .name = "prune",
    .arguments = "MODEL -o OUT (--sparsity S | --pattern N:M)",
    .summary = "set the smallest weights of a model to zero",
    .details =
        "MODEL is an ONNX file, or '-' for standard input. Prunable are the weights of Conv,\n"
        "ConvTranspose, Gemm and MatMul, and on request (--no-keep-recurrent, --layer) those of\n"
        "LSTM, GRU and RNN. GLOB is a shell pattern for names as 'coppice inspect' shows them.",
    .run = run,
};
