/* Finding ONNX-style test folders. */
#include "test_folders.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 32 };

static const char data_set[] = "test_data_set_";

const char *cli_base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool cli_test_is(const cli_test *test, const char *pattern) {
    return fnmatch(pattern, test->name, 0) == 0 ||
           fnmatch(pattern, cli_base_name(test->name), 0) == 0;
}

void cli_tests_free(cli_tests *tests) {
    free(tests->items);
    *tests = (cli_tests){0};
}

static coppice_status add(cli_context *cli, cli_tests *tests, cli_test test) {
    if (!test.name || !test.folder || !test.model)
        return cli->error.status;
    if (tests->count == tests->capacity) {
        size_t capacity = tests->capacity ? 2 * tests->capacity : 256;
        cli_test *grown = realloc(tests->items, capacity * sizeof *grown);
        if (!grown)
            return cli_fail(cli, COPPICE_OUT_OF_MEMORY, "out of memory (%zu tests)", capacity);
        tests->items = grown;
        tests->capacity = capacity;
    }
    tests->items[tests->count++] = test;
    return COPPICE_OK;
}

static bool is_hidden(const struct dirent *entry) {
    return entry->d_name[0] == '.';
}

static void free_entries(struct dirent **entries, int count) {
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
}

static bool is_folder(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Is it a test, or does it hold some? `name` is what the folder is called in the report. */
static coppice_status search(cli_context *cli, const char *folder, const char *name, int depth,
                             cli_tests *tests) {
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    if (count < 0)
        return cli_fail(cli, COPPICE_IO, "%s: cannot read the folder: %s", folder, strerror(errno));
    bool model = false, data = false;
    for (int i = 0; i < count; i++) {
        model = model || strcmp(entries[i]->d_name, "model.onnx") == 0;
        data = data || strncmp(entries[i]->d_name, data_set, sizeof data_set - 1) == 0;
    }
    coppice_status status = COPPICE_OK;
    if (model && data) {
        const char *shown = name[0] ? name : cli_base_name(folder);
        status = add(cli, tests,
                     (cli_test){cli_join(cli, shown, "", ""), cli_join(cli, folder, "", ""),
                                cli_join(cli, folder, "/model.onnx", "")});
    }
    for (int i = 0; !status && !(model && data) && depth < MAX_DEPTH && i < count; i++) {
        char *path = is_hidden(entries[i]) ? NULL : cli_join(cli, folder, "/", entries[i]->d_name);
        char *inner = path ? cli_join(cli, name, name[0] ? "/" : "", entries[i]->d_name) : NULL;
        if (inner && is_folder(path) && !cli_interrupted())
            status = search(cli, path, inner, depth + 1, tests);
        else if (!is_hidden(entries[i]) && !inner)
            status = cli->error.status;
    }
    free_entries(entries, count);
    return status;
}

/* A model by itself: its data sets are beside it. */
static coppice_status add_model(cli_context *cli, const char *path, cli_tests *tests) {
    char *folder = cli_join(cli, path, "", "");
    if (!folder)
        return cli->error.status;
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder ? 1 : 0] = '\0';
    return add(cli, tests, (cli_test){cli_join(cli, path, "", ""), slash ? folder : ".", path});
}

coppice_status cli_tests_find(cli_context *cli, const char *path, cli_tests *tests) {
    struct stat status;
    if (stat(path, &status) != 0)
        return cli_fail(cli, errno == ENOENT ? COPPICE_NOT_FOUND : COPPICE_IO, "%s: %s", path,
                        strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return add_model(cli, path, tests);
    char *folder = cli_join(cli, path, "", "");
    if (!folder)
        return cli->error.status;
    for (size_t length = strlen(folder); length > 1 && folder[length - 1] == '/'; length--)
        folder[length - 1] = '\0';
    return search(cli, folder, "", 0, tests);
}
