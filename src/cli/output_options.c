/* Where a changed model goes: options, checks beforehand, saving, sizes. */
#include "output_options.h"

#include <string.h>

#include "stdout_model.h"

#define AT(member) offsetof(cli_output, member)

const cli_option cli_output_rows[] = {
    {"output", 'o', CLI_TEXT, AT(path), "OUT", "file to write; '-' is standard output"},
    {"weights", 0, CLI_TEXT, AT(weights), "FORM",
     "dense: a zero takes as much room as any weight, every tool\n"
     "reads it; sparse: ONNX sparse_initializer wherever that is\n"
     "smaller (default: as in MODEL)"},
    {"negative-zeros", 0, CLI_TEXT, AT(negative_zeros), "WHAT",
     "-0.0 in sparse weights: keep it as a value, which takes room;\n"
     "drop its sign; auto (default): drop it in large tensors that\n"
     "are full of them, as multiplying with a mask leaves them"},
    {"external-data", 0, CLI_TEXT, AT(external_data), "NAME",
     "put the weights into file NAME beside OUT (default above 2 GB:\n"
     "OUT.data)"},
    {"single-file", 0, CLI_FLAG, AT(single_file), NULL, "everything in OUT (default below 2 GB)"},
    {"fold-masks", 0, CLI_FLAG, AT(fold_masks), NULL,
     "make masks permanent that MODEL multiplies its weights by\n"
     "(torch.nn.utils.prune without remove)"},
    {"sizes", 0, CLI_FLAG, AT(sizes), NULL,
     "also say how large OUT is with sparse weights, and under gzip\n"
     "and zstd"},
    {0}};

void cli_output_result_init(cli_output_result *result) {
    *result = (cli_output_result){
        .bytes_in = -1, .bytes_out = -1, .dense = -1, .sparse = -1, .gzip = -1, .zstd = -1};
}

static bool is_stdout(const cli_output *o) {
    return cli_same(o->path, "-");
}

/* The path of file `name` in the folder of OUT, in memory of the cli. */
static char *beside(cli_context *cli, const cli_output *o, const char *name) {
    const char *slash = strrchr(o->path, '/');
    size_t folder = slash ? (size_t)(slash - o->path) + 1 : 0;
    char *path = cli_join(cli, o->path, name, "");
    if (path)
        strcpy(path + folder, name);
    return path;
}

/* ---- checks ---- */

coppice_status cli_output_check_names(cli_context *cli, const char *const *paths, size_t count) {
    bool twice = false;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = i + 1; k < count; k++)
            twice = twice || cli_same(paths[i], paths[k]);
        if (cli_same(paths[i], cli->json.value)) {
            cli->json = (cli_optional){0};
            twice = true;
        }
    }
    return twice ? cli_usage(cli, "two outputs have the same name") : COPPICE_OK;
}

coppice_status cli_output_check_usage(cli_context *cli, const cli_output *o) {
    const char *name = o->external_data;
    const char *zeros = o->negative_zeros;
    if (zeros && !cli_same(zeros, "auto") && !cli_same(zeros, "keep") && !cli_same(zeros, "drop"))
        return cli_usage(cli, "--negative-zeros: '%s' is neither auto nor keep nor drop", zeros);
    if (o->weights && !cli_same(o->weights, "dense") && !cli_same(o->weights, "sparse"))
        return cli_usage(cli, "--weights: '%s' is neither dense nor sparse", o->weights);
    if (name && o->single_file)
        return cli_usage(cli, "--external-data and --single-file exclude each other");
    if (name && (!*name || strchr(name, '/')))
        return cli_usage(cli, "--external-data: '%s' is not a file name without a folder", name);
    if (is_stdout(o) && name)
        return cli_usage(cli, "--external-data needs a file: -o - writes one stream");
    if (is_stdout(o) && cli->json.given && !cli->json.value)
        return cli_usage(cli, "-o - and --json both write to standard output; use --json=FILE");
    return COPPICE_OK;
}

static coppice_status check_target(cli_context *cli, const char *path) {
    return path ? coppice_file_check_target(path, cli->force, &cli->error) : cli->error.status;
}

coppice_status cli_output_check_targets(cli_context *cli, const cli_output *o) {
    if (!o->path || is_stdout(o))
        return COPPICE_OK;
    coppice_status status = check_target(cli, o->path);
    if (status == COPPICE_OK && o->external_data)
        status = check_target(cli, beside(cli, o, o->external_data));
    return status;
}

coppice_status cli_output_check_model(cli_context *cli, const cli_output *o,
                                      const coppice_model *model) {
    if (!o->path || is_stdout(o) || o->external_data || o->single_file ||
        coppice_model_file_bytes(model) <= INT32_MAX)
        return COPPICE_OK;
    return check_target(cli, cli_join(cli, o->path, ".data", ""));
}

/* ---- saving ---- */

coppice_status cli_output_prepare(cli_context *cli, const cli_output *o, coppice_model *model,
                                  cli_output_result *r) {
    if (!o->fold_masks)
        return COPPICE_OK;
    coppice_status status = coppice_model_fold_masks(model, &r->folded_masks, &cli->error);
    if (status == COPPICE_OK)
        cli_note(cli, "masks of the model that were folded into its weights: %lld",
                 (long long)r->folded_masks);
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

static coppice_status measure_files(cli_context *cli, const cli_output *o, cli_output_result *r) {
    const char *data = r->external_data;
    const char *files[] = {o->path, data[0] ? beside(cli, o, data) : NULL};
    coppice_status status = COPPICE_OK;
    for (size_t i = 0; status == COPPICE_OK && i < 2 && files[i]; i++) {
        status = add_compressed(cli, files[i], COPPICE_COMPRESSION_GZIP, &r->gzip);
        if (status == COPPICE_OK)
            status = add_compressed(cli, files[i], COPPICE_COMPRESSION_ZSTD, &r->zstd);
    }
    return status;
}

static coppice_status measure_form(cli_context *cli, const cli_output *o, coppice_model *model,
                                   const coppice_save_options *saved, coppice_weights_form form,
                                   int64_t *bytes) {
    coppice_save_options options = *saved;
    coppice_save_result result;
    options.single_file = false; /* which may not be possible in this form */
    options.weights = form;
    coppice_status status = coppice_model_measure(model, o->path, &options, &result, &cli->error);
    *bytes = status == COPPICE_OK ? result.bytes : -1;
    return status;
}

static coppice_status measure_sizes(cli_context *cli, const cli_output *o, coppice_model *model,
                                    const coppice_save_options *saved, cli_output_result *r) {
    coppice_status status = measure_form(cli, o, model, saved, COPPICE_WEIGHTS_DENSE, &r->dense);
    if (status == COPPICE_OK)
        status = measure_form(cli, o, model, saved, COPPICE_WEIGHTS_SPARSE, &r->sparse);
    if (status == COPPICE_OK && !is_stdout(o))
        status = measure_files(cli, o, r);
    return status;
}

coppice_status cli_output_save(cli_context *cli, const cli_output *o, coppice_model *model,
                               const coppice_masks *masks, cli_output_result *r) {
    coppice_save_options save;
    coppice_save_options_init(&save);
    save.overwrite = cli->force;
    save.external_data = o->external_data;
    save.single_file = o->single_file || is_stdout(o);
    save.weights = cli_same(o->weights, "sparse")  ? COPPICE_WEIGHTS_SPARSE
                   : cli_same(o->weights, "dense") ? COPPICE_WEIGHTS_DENSE
                                                   : COPPICE_WEIGHTS_AS_LOADED;
    save.zero_signs = cli_same(o->negative_zeros, "keep")   ? COPPICE_ZERO_SIGNS_KEEP
                      : cli_same(o->negative_zeros, "drop") ? COPPICE_ZERO_SIGNS_DROP
                                                            : COPPICE_ZERO_SIGNS_MASKED;
    save.masks = masks;
    coppice_save_result saved;
    coppice_status status = is_stdout(o)
                                ? cli_save_to_stdout(cli, model, &save, &saved)
                                : coppice_model_save(model, o->path, &save, &saved, &cli->error);
    if (status != COPPICE_OK)
        return status;
    r->bytes_in = coppice_model_file_bytes(model);
    r->bytes_out = saved.bytes;
    r->sparse_tensors = saved.sparse_count;
    r->dense_tensors = saved.dense_count;
    r->is_sparse = save.weights == COPPICE_WEIGHTS_SPARSE;
    strcpy(r->external_data, saved.external_data);
    if (r->external_data[0] && !o->external_data)
        cli_note(cli,
                 "the model has more than the 2 GB that one file can hold: its weights are in '%s'",
                 r->external_data);
    if (saved.dropped_signs)
        cli_note(cli, "%s zeros were -0.0 and are +0.0 now; --negative-zeros keep keeps their sign",
                 cli_format_count(saved.dropped_signs).text);
    if (saved.negative_zeros > saved.bytes / 100)
        cli_note(
            cli,
            "%s zeros are -0.0 and kept as values; --negative-zeros drop makes the file smaller",
            cli_format_count(saved.negative_zeros).text);
    return o->sizes ? measure_sizes(cli, o, model, &save, r) : COPPICE_OK;
}

/* ---- what is shown ---- */

void cli_output_print_bytes(cli_context *cli, const cli_output_result *r) {
    cli_print(cli, "bytes    %s before", cli_format_count(r->bytes_in).text);
    if (r->bytes_out >= 0)
        cli_print(cli, ", %s after", cli_format_count(r->bytes_out).text);
    if (r->sparse >= 0 && !r->is_sparse)
        cli_print(cli, "; %s with sparse weights", cli_format_count(r->sparse).text);
    if (r->dense >= 0 && r->is_sparse)
        cli_print(cli, "; %s dense", cli_format_count(r->dense).text);
    if (r->gzip >= 0)
        cli_print(cli, ", %s as gzip", cli_format_count(r->gzip).text);
    if (r->zstd >= 0)
        cli_print(cli, ", %s as zstd", cli_format_count(r->zstd).text);
    cli_print(cli, "\n");
}

json_t *cli_output_json_bytes(const cli_output_result *r) {
    int64_t dense = r->dense < 0 && !r->is_sparse ? r->bytes_out : r->dense;
    int64_t sparse = r->sparse < 0 && r->is_sparse ? r->bytes_out : r->sparse;
    return json_pack("{s:o, s:o, s:o, s:o}", "dense", cli_json_count(dense), "sparse_initializer",
                     cli_json_count(sparse), "gzip", cli_json_count(r->gzip), "zstd",
                     cli_json_count(r->zstd));
}

json_t *cli_output_json_data(const cli_output_result *r) {
    return cli_json_string(r->external_data[0] ? r->external_data : NULL);
}
