/* ONNX-style test folders: model.onnx beside test_data_set_0, test_data_set_1, ... */
#ifndef CLI_TEST_FOLDERS_H
#define CLI_TEST_FOLDERS_H

#include "cli.h"

/* One folder. Memory is the cli's. */
typedef struct cli_test {
    const char *name;   /* its path below the folder that was given; its own name if it was given */
    const char *folder; /* as a path to open */
    const char *model;  /* path of the model */
} cli_test;

typedef struct cli_tests {
    cli_test *items;
    size_t count, capacity;
} cli_tests;

/* Adds the test folders in and below `path` in the order of their names; a file is a model beside
 * its data sets. Links to folders below `path` are not followed. Free with cli_tests_free. Errors:
 * NOT_FOUND, IO. */
coppice_status cli_tests_find(cli_context *cli, const char *path, cli_tests *tests);
void cli_tests_free(cli_tests *tests);

/* "node/test_abs" is named so, and test_abs; `pattern` may have * and ? (fnmatch). */
bool cli_test_is(const cli_test *test, const char *pattern);

/* The last part of a path. */
const char *cli_base_name(const char *path);

#endif
