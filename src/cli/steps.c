/* Gradual pruning on the command line: --steps, --finetune, --resume. */
#include "steps.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "finetune.h"
#include "steps_folder.h"

typedef struct steps_run {
    cli_context *cli;
    const cli_prune_flags *o;
    cli_steps_folder folder;
    int64_t steps;
    bool headed;   /* the header of the table is printed */
    bool begun;    /* the folder is there, and is ours */
    bool finished; /* all steps are: the last is only taken over from its file */
} steps_run;

static int64_t steps_of(const cli_prune_flags *o) {
    return o->steps.count < 0 ? 1 : o->steps.count;
}

static coppice_schedule schedule_of(const cli_prune_flags *o) {
    return cli_same(o->steps.schedule, "linear")    ? COPPICE_SCHEDULE_LINEAR
           : cli_same(o->steps.schedule, "oneshot") ? COPPICE_SCHEDULE_ONESHOT
                                                    : COPPICE_SCHEDULE_CUBIC;
}

/* ---- which run it is ---- */

static coppice_status crc_of_file(cli_context *cli, const char *path, uLong *crc) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return cli_fail(cli, COPPICE_IO, "%s: cannot open: %s", path, strerror(errno));
    unsigned char buffer[1 << 16];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, file)) > 0;)
        *crc = crc32_z(*crc, buffer, n);
    bool failed = ferror(file);
    fclose(file);
    return failed ? cli_fail(cli, COPPICE_IO, "%s: cannot read", path) : COPPICE_OK;
}

/* Of all weights, whichever files they came from. */
static coppice_status crc_of_tensors(cli_context *cli, const coppice_model *model, uLong *crc) {
    unsigned char *data = NULL;
    size_t room = 0;
    coppice_status status = COPPICE_OK;
    for (size_t i = 0; status == COPPICE_OK && i < coppice_model_tensor_count(model); i++) {
        const char *name = coppice_model_tensor_name(model, i);
        coppice_tensor info = coppice_model_tensor_info(model, i);
        int64_t bytes = coppice_tensor_bytes(&info);
        *crc = crc32_z(*crc, (const Bytef *)name, strlen(name));
        if (bytes <= 0 || !coppice_type_bits(info.type))
            continue;
        if ((size_t)bytes > room) {
            free(data);
            data = malloc(room = (size_t)bytes);
        }
        if (!data) {
            status = cli_fail(cli, COPPICE_OUT_OF_MEMORY, "out of memory (%zu bytes)", room);
            break;
        }
        status = coppice_model_tensor_read(model, i, data, &cli->error);
        if (status == COPPICE_OK)
            *crc = crc32_z(*crc, data, (size_t)bytes);
    }
    free(data);
    return status;
}

static json_t *json_of_list(const cli_list *list) {
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, cli_json_string(list->items[i]));
    return array;
}

/* Everything that decides which weights go: a resumed run must be the same in all of it. */
static coppice_status describe_run(cli_context *cli, const cli_prune_flags *o,
                                   const coppice_model *model, json_t **run) {
    uLong crc = crc32_z(0, NULL, 0);
    coppice_status status = COPPICE_OK;
    const char *path = cli->args[0];
    if (strcmp(path, "-") != 0)
        status = crc_of_file(cli, path, &crc);
    if (status == COPPICE_OK)
        status = crc_of_tensors(cli, model, &crc);
    char text[16], scores[16] = "none";
    snprintf(text, sizeof text, "%08lx", crc);
    if (status == COPPICE_OK && o->scores) {
        crc = crc32_z(0, NULL, 0);
        status = crc_of_file(cli, o->scores, &crc);
        snprintf(scores, sizeof scores, "%08lx", crc);
    }
    if (status != COPPICE_OK)
        return status;
    *run = json_pack("{s:{s:I, s:s}, s:f, s:s, s:b, s:b, s:b, s:b, s:b, s:o, s:o, s:o, s:I, s:s, "
                     "s:s, s:s, s:s, s:I}",
                     "MODEL", "bytes", (json_int_t)coppice_model_file_bytes(model), "crc32", text,
                     "--sparsity", cli_prune_target(o), "--scope", o->scope, "--keep-first",
                     o->keep_first, "--keep-last", o->keep_last, "--keep-depthwise",
                     o->keep_depthwise, "--keep-recurrent", o->keep_recurrent, "--fold-masks",
                     o->out.fold_masks, "--include", json_of_list(&o->include), "--exclude",
                     json_of_list(&o->exclude), "--layer", json_of_list(&o->layers), "--steps",
                     (json_int_t)steps_of(o), "--schedule", o->steps.schedule, "--scores", scores,
                     "--pattern", o->pattern ? o->pattern : "unstructured", "--criterion",
                     o->criterion, "--seed", (json_int_t)cli->seed);
    return COPPICE_OK;
}

/* ---- what is shown ---- */

static void print_header(steps_run *run) {
    if (!run->headed)
        cli_print(run->cli, "%9s %9s %15s %15s %9s %11s %11s %11s\n", "step", "target", "zeros",
                  "weights", "sparsity", "violations", "pruning", "training");
    run->headed = true;
}

static double number_at(const json_t *record, const char *key) {
    return json_number_value(json_object_get(record, key));
}

static const char *seconds(char *text, size_t room, const json_t *record, const char *key) {
    snprintf(text, room, "%.2f s", 1e-3 * number_at(record, key));
    return json_is_number(json_object_get(record, key)) ? text : "-";
}

static void print_step(steps_run *run, const json_t *record) {
    cli_context *cli = run->cli;
    char step[48], pruning[32], training[32];
    double zeros = number_at(record, "zeros"), weights = number_at(record, "weights");
    print_header(run);
    snprintf(step, sizeof step, "%lld/%lld", (long long)number_at(record, "step"),
             (long long)run->steps);
    cli_print(cli, "%9s %7.1f %% %15s %15s %7.1f %% %11s %11s %11s\n", step,
              100 * number_at(record, "sparsity"), cli_format_count((int64_t)zeros).text,
              cli_format_count((int64_t)weights).text, weights > 0 ? 100 * zeros / weights : 0,
              cli_format_count((int64_t)number_at(record, "violations")).text,
              seconds(pruning, sizeof pruning, record, "ms"),
              seconds(training, sizeof training, record, "finetune_ms"));
    if (cli->out)
        fflush(cli->out); /* training takes long, and a reader may wait */
}

static json_t *record_of(const steps_run *run, const coppice_step *step) {
    bool trains = run->o->steps.finetune && !run->o->dry_run;
    return json_pack("{s:I, s:f, s:I, s:I, s:I, s:f, s:o, s:o}", "step", (json_int_t)step->step,
                     "sparsity", step->sparsity, "zeros", (json_int_t)step->report->zeros,
                     "weights", (json_int_t)step->report->weights, "violations",
                     (json_int_t)step->violations, "ms", step->prune_ms, "finetune_ms",
                     trains ? json_real(step->finetune_ms) : json_null(), "finetune",
                     cli_json_string(trains ? run->o->steps.finetune : NULL));
}

/* The records with the paths of their files, for --json. */
static json_t *json_of_steps(steps_run *run) {
    json_t *steps = json_deep_copy(run->folder.steps);
    size_t i;
    json_t *record;
    json_array_foreach(steps, i, record) {
        const char *paths[2] = {0};
        const cli_step_file files[] = {CLI_STEP_MODEL, CLI_STEP_MASKS};
        static const char *const keys[] = {"model", "masks"};
        for (int k = 0; k < 2; k++) {
            if (!run->o->dry_run)
                paths[k] = cli_step_path(run->cli, &run->folder, run->folder.path, (int64_t)i + 1,
                                         files[k]);
            json_object_set_new(record, keys[k], cli_json_string(paths[k]));
        }
    }
    return steps;
}

/* ---- a step ---- */

/* Says where cli->error happened and what to do. */
static coppice_status step_failed(const steps_run *run, const coppice_step *step,
                                  const char *what) {
    coppice_error inner = run->cli->error;
    cli_fail(run->cli, inner.status,
             "step %lld of %lld: %s%s; %s keeps the steps before: repair this and go on with "
             "--resume",
             (long long)step->step, (long long)run->steps, what, inner.message, run->folder.path);
    strcpy(run->cli->error.file, inner.file);
    strcpy(run->cli->error.node, inner.node);
    return inner.status;
}

static coppice_status begin(steps_run *run) {
    if (run->begun)
        return COPPICE_OK;
    run->begun = true;
    return cli_steps_begin(run->cli, &run->folder);
}

static char *path_of(const steps_run *run, const coppice_step *step, cli_step_file file) {
    return cli_step_path(run->cli, &run->folder, run->folder.path, step->step, file);
}

static coppice_status save_masks(const steps_run *run, const coppice_step *step) {
    const char *path = path_of(run, step, CLI_STEP_MASKS);
    return path ? coppice_masks_save(step->report->masks, path, true, &run->cli->error)
                : run->cli->error.status;
}

static coppice_status save_model(const steps_run *run, coppice_model *model,
                                 const coppice_step *step, cli_step_file file) {
    const char *path = path_of(run, step, file);
    coppice_save_options save;
    coppice_save_options_init(&save);
    save.overwrite = true;
    if (file == CLI_STEP_MODEL_IN)
        save.weights = COPPICE_WEIGHTS_DENSE; /* what every tool reads */
    return path ? coppice_model_save(model, path, &save, NULL, &run->cli->error)
                : run->cli->error.status;
}

/* Takes over the weights of a file. */
static coppice_status take_weights(const steps_run *run, coppice_model *model, const char *path) {
    coppice_model *from = NULL;
    coppice_status status =
        path ? coppice_model_load(path, NULL, &from, &run->cli->error) : run->cli->error.status;
    if (status == COPPICE_OK)
        status = coppice_model_copy_tensors(model, from, &run->cli->error);
    coppice_model_free(from);
    return status;
}

/* Takes over the weights of a complete step; cli->error says what to do when they are no good. */
static coppice_status take_kept(const steps_run *run, coppice_model *model, const char *path,
                                int64_t step) {
    coppice_status status = take_weights(run, model, path);
    if (status == COPPICE_OK)
        return COPPICE_OK;
    coppice_error inner = run->cli->error;
    cli_fail(run->cli, status,
             "%s; step %lld is needed to go on: remove the files of this step and of later ones to "
             "repeat them, or start anew with --force instead of --resume",
             inner.message, (long long)step);
    strcpy(run->cli->error.file, inner.file);
    return status;
}

static coppice_status run_command(const steps_run *run, const coppice_step *step) {
    cli_context *cli = run->cli;
    const cli_step_file files[] = {CLI_STEP_MODEL_IN, CLI_STEP_MASKS, CLI_STEP_MODEL_OUT};
    static const char *const names[] = {"COPPICE_MODEL_IN", "COPPICE_MASKS", "COPPICE_MODEL_OUT",
                                        "COPPICE_STEP",     "COPPICE_STEPS", "COPPICE_SPARSITY"};
    char numbers[3][32];
    snprintf(numbers[0], sizeof numbers[0], "%lld", (long long)step->step);
    snprintf(numbers[1], sizeof numbers[1], "%lld", (long long)step->steps);
    snprintf(numbers[2], sizeof numbers[2], "%.10g", step->sparsity);
    char *variables[7] = {0};
    for (int i = 0; i < 6; i++) {
        const char *value =
            i < 3 ? cli_step_path(cli, &run->folder, run->folder.absolute, step->step, files[i])
                  : numbers[i - 3];
        if (!value || !(variables[i] = cli_join(cli, names[i], "=", value)))
            return cli->error.status;
    }
    double timeout = isnan(run->o->steps.timeout) ? 0 : run->o->steps.timeout;
    return cli_run_finetune(cli, run->o->steps.finetune, variables, timeout);
}

/* Hands the model to the command and takes back what it wrote. */
static coppice_status train(steps_run *run, coppice_model *model, const coppice_step *step) {
    const char *out = path_of(run, step, CLI_STEP_MODEL_OUT);
    coppice_status status = out ? begin(run) : run->cli->error.status;
    if (status != COPPICE_OK)
        return status;
    status = save_masks(run, step);
    if (status == COPPICE_OK)
        status = save_model(run, model, step, CLI_STEP_MODEL_IN);
    if (status != COPPICE_OK)
        return step_failed(run, step, "");
    status = run_command(run, step);
    if (status != COPPICE_OK)
        return step_failed(run, step, "the --finetune command ");
    if (access(out, F_OK) != 0) {
        status = cli_fail(run->cli, COPPICE_NOT_FOUND,
                          "%s: the --finetune command ended well but wrote no model there "
                          "(COPPICE_MODEL_OUT)",
                          out);
        strncpy(run->cli->error.file, out, sizeof run->cli->error.file - 1);
        return step_failed(run, step, "");
    }
    status = take_weights(run, model, out);
    return status == COPPICE_OK
               ? COPPICE_OK
               : step_failed(run, step, "what the --finetune command wrote does not fit: ");
}

static coppice_status finetune_hook(void *cookie, coppice_model *model, const coppice_step *step,
                                    coppice_error *error) {
    steps_run *run = cookie;
    coppice_status status;
    if (run->finished)
        status = take_kept(run, model, path_of(run, step, CLI_STEP_MODEL), step->step);
    else
        status = train(run, model, step);
    if (status != COPPICE_OK)
        *error = run->cli->error;
    return status;
}

/* The model comes last: with it the step is complete. */
static coppice_status keep_step(steps_run *run, coppice_model *model, const coppice_step *step) {
    coppice_status status = begin(run);
    if (status != COPPICE_OK)
        return status;
    const char *masks = path_of(run, step, CLI_STEP_MASKS);
    if (!run->o->steps.finetune || !masks || access(masks, F_OK) != 0) /* the command removed it */
        status = save_masks(run, step);
    const char *path = path_of(run, step, CLI_STEP_MODEL);
    if (path) /* left by an earlier run whose masks or record were removed, it would count */
        remove(path);
    if (status == COPPICE_OK)
        status = cli_steps_record(run->cli, &run->folder, record_of(run, step));
    if (status == COPPICE_OK)
        status = save_model(run, model, step, CLI_STEP_MODEL);
    if (status != COPPICE_OK)
        return step_failed(run, step, "");
    cli_steps_tidy(&run->folder);
    print_step(run, json_array_get(run->folder.steps, (size_t)step->step - 1));
    return COPPICE_OK;
}

static coppice_status step_done_hook(void *cookie, coppice_model *model, const coppice_step *step,
                                     coppice_error *error) {
    steps_run *run = cookie;
    coppice_status status = run->finished ? COPPICE_OK : keep_step(run, model, step);
    if (status != COPPICE_OK)
        *error = run->cli->error;
    return status;
}

/* ---- the run ---- */

/* Finds out how far the run has come and brings the model there. *done: steps that need not be
 * pruned again; of a finished run the last is, as the report comes from it. */
static coppice_status resume(steps_run *run, coppice_model *model, int64_t *done) {
    cli_context *cli = run->cli;
    cli_steps_folder *folder = &run->folder;
    if (!cli_steps_exist(folder->path)) {
        cli_note(cli, "%s does not exist: nothing to resume, this starts at step 1", folder->path);
        return COPPICE_OK;
    }
    coppice_status status = cli_steps_resume(cli, folder);
    if (status != COPPICE_OK)
        return status;
    run->begun = true;
    int64_t complete = (int64_t)json_array_size(folder->steps);
    run->finished = complete == run->steps;
    *done = run->finished ? complete - 1 : complete;
    cli_note(cli, "%s: %lld of %lld steps are complete", folder->path, (long long)complete,
             (long long)run->steps);
    if (*done == 0)
        return COPPICE_OK;
    const char *path = cli_step_path(cli, folder, folder->path, *done, CLI_STEP_MODEL);
    if (run->finished && path && !cli_steps_exist(path)) /* removed to save room */
        path = cli_step_path(cli, folder, folder->path, complete, CLI_STEP_MODEL);
    return take_kept(run, model, path, *done);
}

static coppice_status run_steps(steps_run *run, const coppice_prune_options *options,
                                coppice_model *model, coppice_prune_report **report) {
    cli_context *cli = run->cli;
    coppice_gradual_options gradual;
    coppice_gradual_options_init(&gradual);
    gradual.prune = options;
    gradual.steps = run->steps;
    gradual.schedule = schedule_of(run->o);
    gradual.cookie = run;
    gradual.step_done = step_done_hook;
    coppice_status status = run->o->steps.resume ? resume(run, model, &gradual.done) : COPPICE_OK;
    if (status != COPPICE_OK)
        return status;
    if (run->o->steps.finetune || run->finished)
        gradual.finetune = finetune_hook;
    size_t i;
    json_t *record;
    json_array_foreach(run->folder.steps, i, record) {
        print_step(run, record);
    }
    status = coppice_prune_gradually(model, &gradual, report, &cli->error);
    if (cli_interrupted() && run->folder.lock >= 0) {
        cli_steps_abandon(cli, &run->folder);
        size_t complete = json_array_size(run->folder.steps);
        if (complete > 0)
            status = cli_fail(cli, COPPICE_INTERRUPTED,
                              "interrupted; %zu of %lld steps are complete: go on with --resume",
                              complete, (long long)run->steps);
        else
            status = cli_fail(cli, COPPICE_INTERRUPTED, "interrupted");
    }
    return status;
}

/* What --dry-run shows: each step as if training changed nothing. */
static coppice_status try_steps(steps_run *run, const coppice_prune_options *options,
                                coppice_model *model, coppice_prune_report **report) {
    cli_context *cli = run->cli;
    coppice_layer_rule *rules = cli_alloc(cli, options->layer_count * sizeof *rules);
    coppice_status status = rules ? COPPICE_OK : cli->error.status;
    for (int64_t t = 1; status == COPPICE_OK && t <= run->steps; t++) {
        double start = cli_now_ms(),
               share = coppice_schedule_share(schedule_of(run->o), t, run->steps);
        coppice_prune_options target = *options;
        target.sparsity *= share;
        for (size_t i = 0; i < options->layer_count; i++) {
            rules[i] = options->layers[i];
            rules[i].sparsity *= share;
        }
        target.layers = rules;
        coppice_prune_report_free(*report);
        status = coppice_prune(model, &target, report, &cli->error);
        if (status != COPPICE_OK)
            break;
        coppice_step step = {.step = t,
                             .steps = run->steps,
                             .sparsity = target.sparsity,
                             .report = *report,
                             .prune_ms = cli_now_ms() - start};
        json_array_append_new(run->folder.steps, record_of(run, &step));
        print_step(run, json_array_get(run->folder.steps, (size_t)t - 1));
    }
    return status;
}

coppice_status cli_prune_in_steps(cli_context *cli, const cli_prune_flags *o,
                                  const coppice_prune_options *options, coppice_model *model,
                                  coppice_prune_report **report, json_t **steps) {
    *report = NULL;
    *steps = NULL;
    steps_run run = {.cli = cli, .o = o, .steps = steps_of(o), .folder.lock = -1};
    json_t *identity = NULL;
    coppice_status status = COPPICE_OK;
    if (o->dry_run)
        identity = json_object();
    else
        status = describe_run(cli, o, model, &identity);
    if (status == COPPICE_OK)
        status =
            cli_steps_init(cli, o->out.path ? o->out.path : "", run.steps, identity, &run.folder);
    if (status == COPPICE_OK)
        status = o->dry_run ? try_steps(&run, options, model, report)
                            : run_steps(&run, options, model, report);
    if (status == COPPICE_OK) {
        cli_print(cli, "\n");
        *steps = json_of_steps(&run);
    } else {
        coppice_prune_report_free(*report);
        *report = NULL;
    }
    cli_steps_release(&run.folder);
    return status;
}
