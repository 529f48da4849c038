/* coppice convert: writes a model with dense or sparse weights, in one file or two. */
#include "cli.h"

#include "output_options.h"

typedef struct convert_result {
    cli_output_result out;
    int64_t sparse_before;
    double ms;
} convert_result;

static coppice_status check(cli_context *cli, const cli_output *o) {
    coppice_status status = cli_output_check_names(cli, &o->path, 1);
    if (status != COPPICE_OK)
        return status;
    if (!o->path)
        return cli_usage(cli, "convert: where to? Give -o OUT");
    if (!o->weights && !o->external_data && !o->single_file)
        return cli_usage(cli, "convert: into what? Give --weights dense or sparse, "
                              "--external-data NAME or --single-file");
    status = cli_output_check_usage(cli, o);
    return status == COPPICE_OK ? cli_output_check_targets(cli, o) : status;
}

static coppice_status convert(cli_context *cli, const cli_output *o, coppice_model *model,
                              convert_result *r) {
    coppice_save_result before;
    coppice_status status = cli_output_check_model(cli, o, model);
    if (status == COPPICE_OK)
        status = cli_output_prepare(cli, o, model, &r->out);
    if (status == COPPICE_OK)
        status = coppice_model_measure(model, o->path, NULL, &before, &cli->error);
    if (status != COPPICE_OK)
        return status;
    r->sparse_before = before.sparse_count;
    return cli_output_save(cli, o, model, NULL, &r->out);
}

static void print_result(cli_context *cli, const cli_output *o, const convert_result *r) {
    cli_print(cli, "tensors  %s sparse, ", cli_format_count(r->out.sparse_tensors).text);
    cli_print(cli, "%s dense", cli_format_count(r->out.dense_tensors).text);
    cli_print(cli, " (before: %s sparse)\n", cli_format_count(r->sparse_before).text);
    cli_output_print_bytes(cli, &r->out);
    if (r->out.external_data[0])
        cli_print(cli, "weights  in '%s'\n", r->out.external_data);
    if (r->out.is_sparse && !r->out.sparse_tensors)
        cli_note(cli, "no tensor is smaller as a sparse one: that takes about half zeros");
    else if (cli_same(o->weights, "sparse"))
        cli_note(cli, "not every tool reads sparse_initializer; ONNX Runtime does");
}

static json_t *json_of(const convert_result *r) {
    return json_pack("{s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "bytes_in",
                     cli_json_count(r->out.bytes_in), "bytes_out", cli_json_count(r->out.bytes_out),
                     "sparse_tensors", (json_int_t)r->out.sparse_tensors, "dense_tensors",
                     (json_int_t)r->out.dense_tensors, "external_data",
                     cli_output_json_data(&r->out), "bytes", cli_output_json_bytes(&r->out), "ms",
                     cli_json_real(r->ms));
}

static coppice_status run(cli_context *cli, int argc, char **argv) {
    double start = cli_now_ms();
    cli_output o = {0};
    const cli_group groups[] = {{"Options", cli_output_rows, &o}, {0}};
    if (!cli_parse(cli, groups, 1, 1, argc, argv))
        return cli->error.status;
    coppice_status status = check(cli, &o);
    if (status != COPPICE_OK)
        return status;
    if (cli_same(o.path, "-"))
        cli->out = stderr;
    coppice_model *model;
    convert_result result = {0};
    cli_output_result_init(&result.out);
    status = cli_load_model(cli, cli->args[0], &model);
    if (status == COPPICE_OK)
        status = convert(cli, &o, model, &result);
    result.ms = cli_now_ms() - start;
    if (status == COPPICE_OK) {
        print_result(cli, &o, &result);
        status = cli_json_emit(cli, cli->json.given ? json_of(&result) : NULL);
    }
    coppice_model_free(model);
    return status;
}

const cli_command cmd_convert = {
    .name = "convert",
    .arguments = "MODEL -o OUT --weights dense|sparse",
    .summary = "write a model with dense or sparse weights, in one file or two",
    .details = "MODEL is an ONNX file, or '-' for standard input. No bit of a weight changes.",
    .run = run,
};
