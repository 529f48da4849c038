/* coppice run: one inference on data from files. */
#include <stdlib.h>
#include <string.h>

#include "run.h"
#include "session_options.h"

typedef struct run_flags {
    cli_list inputs;
    const char *folder, *format;
} run_flags;

#define FLAG(member) offsetof(run_flags, member)

static const cli_option run_rows[] = {
    {"input", 'i', CLI_LIST, FLAG(inputs), "[NAME=]FILE",
     ".npy or .pb for the input NAME, or for the next one without data;\n"
     ".npz: an array for each input of its name; repeatable"},
    {"output", 'o', CLI_TEXT, FLAG(folder), "DIR",
     "write output_0.npy, output_1.npy, ... there; DIR is created"},
    {"format", 0, CLI_TEXT, FLAG(format), "npy|pb",
     "of these files: npy (default); pb as in ONNX's test data"},
    {0}};

static coppice_status load(cli_context *cli, run_state *state) {
    coppice_status status = cli_load_model(cli, cli->args[0], &state->model);
    if (status != COPPICE_OK)
        return status;
    size_t inputs = coppice_model_input_count(state->model);
    state->output_count = coppice_model_output_count(state->model);
    state->inputs = cli_alloc(cli, inputs * sizeof *state->inputs);
    state->sources = cli_alloc(cli, inputs * sizeof *state->sources);
    state->files = cli_alloc(cli, (state->output_count + 1) * sizeof *state->files);
    if (!state->inputs || !state->sources || !state->files)
        return cli->error.status;
    state->input_count = inputs;
    return COPPICE_OK;
}

/* Compiles ahead of the inference, so that its time is the inference's alone. */
static coppice_status prepare(cli_context *cli, run_state *state) {
    coppice_tensor *tensors = cli_alloc(cli, state->input_count * sizeof *tensors);
    if (!tensors)
        return cli->error.status;
    for (size_t i = 0; i < state->input_count; i++) {
        if (state->inputs[i].kind != COPPICE_KIND_TENSOR)
            return COPPICE_OK;
        tensors[i] = state->inputs[i].tensor;
    }
    return coppice_session_prepare(state->session, tensors, state->input_count, &cli->error);
}

static coppice_status infer(cli_context *cli, run_state *state, const run_flags *flags,
                            const coppice_session_options *options) {
    coppice_error *error = &cli->error;
    const coppice_value *outputs = NULL;
    coppice_status status = coppice_session_create(state->model, options, &state->session, error);
    if (status == COPPICE_OK)
        status = prepare(cli, state);
    double start = cli_now_ms();
    if (status == COPPICE_OK)
        status = coppice_session_run_values(state->session, state->inputs, state->input_count,
                                            &outputs, error);
    double ms = cli_now_ms() - start;
    if (status == COPPICE_OK)
        status = run_write_outputs(cli, state, flags->folder, outputs);
    return status == COPPICE_OK ? run_report(cli, state, outputs, ms) : status;
}

static coppice_status run(cli_context *cli, int argc, char **argv) {
    run_flags flags = {.format = "npy"};
    cli_session_flags session_flags = {0};
    const cli_group groups[] = {
        {"Options", run_rows, &flags}, {"Execution", cli_session_rows, &session_flags}, {0}};
    coppice_session_options options;
    if (!cli_parse(cli, groups, 1, 1, argc, argv) ||
        !cli_session_options(cli, &session_flags, &options))
        return cli->error.status;
    run_state state = {.pb = strcmp(flags.format, "pb") == 0};
    if (!state.pb && strcmp(flags.format, "npy") != 0)
        return cli_usage(cli, "--format '%s' is neither npy nor pb", flags.format);
    coppice_status status = load(cli, &state);
    if (status == COPPICE_OK)
        status = run_plan_files(cli, &state, flags.folder);
    if (status == COPPICE_OK)
        status = run_read_inputs(cli, &state, &flags.inputs);
    if (status == COPPICE_OK)
        status = infer(cli, &state, &flags, &options);
    coppice_session_free(state.session);
    run_free_inputs(&state);
    coppice_model_free(state.model);
    return status;
}

const cli_command cmd_run = {
    .name = "run",
    .arguments = "MODEL [-i [NAME=]FILE]... [-o DIR]",
    .summary = "one inference; prints type, shape, min, max and mean of each output",
    .details =
        "A sequence is read from and written to a .npz that holds its items in their order, named\n"
        "0, 1, ... when written; an optional likewise, with one item or none. Files .pb hold a\n"
        "TensorProto, SequenceProto or OptionalProto.",
    .run = run,
};
