/* The folder OUT.steps of a gradual run: its files, and the record of what has been done. */
#include "steps_folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATE_FLAGS = JSON_INDENT(2) | JSON_REAL_PRECISION(17) };

static const char state_name[] = "state.json";
static const char *const endings[] = {".onnx", ".masks.npz", ".in.onnx", ".out.onnx"};

char *cli_steps_path(cli_context *cli, const char *output) {
    return cli_join(cli, output, ".steps", "");
}

char *cli_step_path(cli_context *cli, const cli_steps_folder *folder, const char *parent,
                    int64_t step, cli_step_file file) {
    char name[64];
    snprintf(name, sizeof name, "step_%0*lld%s", folder->digits, (long long)step, endings[file]);
    return cli_join(cli, parent, "/", name);
}

bool cli_steps_exist(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0;
}

coppice_status cli_steps_check_writable(cli_context *cli, const char *path) {
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return cli_fail(cli, COPPICE_IO, "%s: exists and is not a folder", path);
    const char *state = cli_join(cli, path, "/", state_name);
    return state ? coppice_file_check_target(state, true, &cli->error) : cli->error.status;
}

coppice_status cli_steps_init(cli_context *cli, const char *output, int64_t steps, json_t *run,
                              cli_steps_folder *folder) {
    *folder = (cli_steps_folder){.run = run, .steps = json_array(), .count = steps, .lock = -1};
    folder->digits = steps > 999 ? 4 : steps > 99 ? 3 : 2;
    folder->path = cli_steps_path(cli, output);
    if (folder->path && folder->run && folder->steps)
        return COPPICE_OK;
    return cli_fail(cli, COPPICE_OUT_OF_MEMORY, "out of memory for the record of the steps");
}

void cli_steps_release(cli_steps_folder *folder) {
    json_decref(folder->run);
    json_decref(folder->steps);
    free(folder->absolute);
    if (folder->lock >= 0)
        close(folder->lock);
    *folder = (cli_steps_folder){.lock = -1};
}

/* Two runs in one folder would mix their steps. The lock is on the folder itself, leaves no file,
 * and goes with this process, however that ends. A file system without locks has none. */
static coppice_status lock(cli_context *cli, cli_steps_folder *folder) {
    folder->lock = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->lock < 0)
        return cli_fail(cli, COPPICE_IO, "%s: cannot open the folder: %s", folder->path,
                        strerror(errno));
    if (flock(folder->lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return COPPICE_OK;
    close(folder->lock);
    folder->lock = -1;
    return cli_fail(cli, COPPICE_EXISTS,
                    "%s: another run of coppice is at work in this folder; wait until it is over, "
                    "or give another name with -o",
                    folder->path);
}

static coppice_status find_absolute(cli_context *cli, cli_steps_folder *folder) {
    free(folder->absolute);
    folder->absolute = realpath(folder->path, NULL);
    if (folder->absolute)
        return COPPICE_OK;
    return cli_fail(cli, COPPICE_IO, "%s: %s", folder->path, strerror(errno));
}

/* ---- files ---- */

typedef enum file_kind { FOREIGN, WORK, FINISHED, STATE } file_kind;

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

/* What a name in the folder is; `step` gets its step, 0 for none. */
static file_kind kind_of(const char *name, int64_t *step) {
    *step = 0;
    if (strcmp(name, state_name) == 0)
        return STATE;
    if (starts_with(name, "state.json.tmp-"))
        return WORK;
    if (!starts_with(name, "step_") || !isdigit((unsigned char)name[5]))
        return FOREIGN;
    char *rest;
    *step = strtoll(name + 5, &rest, 10);
    if (starts_with(rest, ".in.onnx") || starts_with(rest, ".out.onnx"))
        return WORK;
    static const char *const finished[] = {".onnx", ".onnx.data", ".masks.npz"};
    for (size_t i = 0; i < sizeof finished / sizeof *finished; i++) {
        size_t length = strlen(finished[i]);
        if (strcmp(rest, finished[i]) == 0)
            return FINISHED;
        if (starts_with(rest, finished[i]) && starts_with(rest + length, ".tmp-"))
            return WORK; /* left by a program that was killed */
    }
    return FOREIGN;
}

/* Removes work files of every step, finished ones of the steps behind `last`, the record. */
static void remove_files(const cli_steps_folder *folder, int64_t last, bool state) {
    DIR *dir = opendir(folder->path);
    if (!dir)
        return;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        int64_t step;
        file_kind kind = kind_of(entry->d_name, &step);
        if (kind == WORK || (kind == FINISHED && step > last) || (kind == STATE && state)) {
            unlinkat(dirfd(dir), entry->d_name, 0);
            unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR); /* a command's mistake, if empty */
        }
    }
    closedir(dir);
}

void cli_steps_tidy(const cli_steps_folder *folder) {
    remove_files(folder, INT64_MAX, false);
}

/* Steps whose record is there, and their masks and models. Those in between may have been removed
 * to save room; the last one counts. */
static coppice_status drop_incomplete(cli_context *cli, cli_steps_folder *folder) {
    while (json_array_size(folder->steps) > 0) {
        int64_t last = (int64_t)json_array_size(folder->steps);
        const char *masks = cli_step_path(cli, folder, folder->path, last, CLI_STEP_MASKS);
        const char *model = cli_step_path(cli, folder, folder->path, last, CLI_STEP_MODEL);
        if (!masks || !model)
            return cli->error.status;
        if (access(masks, F_OK) == 0 && access(model, F_OK) == 0)
            break;
        json_array_remove(folder->steps, (size_t)last - 1);
    }
    return COPPICE_OK;
}

void cli_steps_abandon(cli_context *cli, cli_steps_folder *folder) {
    if (drop_incomplete(cli, folder) != COPPICE_OK)
        return;
    int64_t complete = (int64_t)json_array_size(folder->steps);
    remove_files(folder, complete, complete == 0);
    if (complete == 0)
        rmdir(folder->path); /* stays when the user has something in it */
}

/* ---- the record ---- */

static coppice_status write_state(cli_context *cli, const cli_steps_folder *folder) {
    const char *path = cli_join(cli, folder->path, "/", state_name);
    if (!path)
        return cli->error.status;
    json_t *state = json_pack("{s:s, s:O, s:O}", "coppice", coppice_version(), "run", folder->run,
                              "steps", folder->steps);
    char *dumped = state ? json_dumps(state, STATE_FLAGS) : NULL;
    char *text = dumped ? cli_join(cli, dumped, "\n", "") : NULL;
    free(dumped);
    json_decref(state);
    coppice_status status =
        text ? coppice_file_write(path, text, strlen(text), true, &cli->error)
             : cli_fail(cli, COPPICE_OUT_OF_MEMORY, "out of memory for the record of the steps");
    return status;
}

coppice_status cli_steps_record(cli_context *cli, cli_steps_folder *folder, json_t *record) {
    if (json_array_append_new(folder->steps, record) != 0)
        return cli_fail(cli, COPPICE_OUT_OF_MEMORY, "out of memory for the record of the steps");
    return write_state(cli, folder);
}

coppice_status cli_steps_begin(cli_context *cli, cli_steps_folder *folder) {
    bool made = mkdir(folder->path, 0777) == 0;
    if (!made && errno == EEXIST && !cli->force) /* since the options were checked */
        return cli_fail(cli, COPPICE_EXISTS, "%s: was made by another run in the meantime",
                        folder->path);
    if (!made && errno != EEXIST)
        return cli_fail(cli, COPPICE_IO, "%s: cannot create the folder: %s", folder->path,
                        strerror(errno));
    coppice_status status = lock(cli, folder);
    if (status != COPPICE_OK)
        return status;
    json_array_clear(folder->steps);
    const char *state = cli_join(cli, folder->path, "/", state_name);
    if (state && access(state, F_OK) == 0) /* else nothing in it was made by us */
        remove_files(folder, 0, true);
    status = state ? find_absolute(cli, folder) : cli->error.status;
    return status == COPPICE_OK ? write_state(cli, folder) : status;
}

static void describe(char *text, size_t room, const json_t *value) {
    char *dumped =
        value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;
    snprintf(text, room, "%s", dumped ? dumped : "not given");
    free(dumped);
}

/* Names every key that is not the same in both. */
static coppice_status compare_runs(cli_context *cli, const cli_steps_folder *folder,
                                   const json_t *there) {
    char differences[600] = "";
    const char *key;
    json_t *here;
    json_object_foreach(folder->run, key, here) {
        const json_t *old = json_object_get(there, key);
        if (json_equal(here, old))
            continue;
        char before[120], now[120];
        describe(before, sizeof before, old);
        describe(now, sizeof now, here);
        size_t used = strlen(differences);
        snprintf(differences + used, sizeof differences - used, "%s%s was %s and is %s",
                 used ? ", " : "", key, before, now);
    }
    if (!differences[0])
        return COPPICE_OK;
    return cli_fail(cli, COPPICE_INVALID_ARGUMENT,
                    "%s: these steps are of another run: %s. Give the options that it was started "
                    "with, or start anew with --force instead of --resume",
                    folder->path, differences);
}

static coppice_status no_record(cli_context *cli, const cli_steps_folder *folder,
                                const char *reason) {
    return cli_fail(cli, COPPICE_BAD_DATA,
                    "%s/%s: %s, so nothing is known about these steps; start anew with --force "
                    "instead of --resume",
                    folder->path, state_name, reason);
}

coppice_status cli_steps_resume(cli_context *cli, cli_steps_folder *folder) {
    const char *path = cli_join(cli, folder->path, "/", state_name);
    if (!path)
        return cli->error.status;
    coppice_status status = lock(cli, folder);
    if (status != COPPICE_OK)
        return status;
    if (access(path, F_OK) != 0)
        return no_record(cli, folder, strerror(errno));
    json_t *state = json_load_file(path, 0, NULL);
    json_t *run = json_object_get(state, "run"), *steps = json_object_get(state, "steps");
    if (!json_is_object(run) || !json_is_array(steps))
        status = no_record(cli, folder, "damaged");
    if (status == COPPICE_OK)
        status = compare_runs(cli, folder, run);
    if (status == COPPICE_OK) {
        json_array_extend(folder->steps, steps);
        while ((int64_t)json_array_size(folder->steps) > folder->count)
            json_array_remove(folder->steps, json_array_size(folder->steps) - 1);
        status = drop_incomplete(cli, folder);
    }
    json_decref(state);
    if (status == COPPICE_OK)
        status = find_absolute(cli, folder);
    if (status == COPPICE_OK)
        cli_steps_tidy(folder);
    return status;
}
