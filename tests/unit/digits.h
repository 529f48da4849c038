/* The demo model, for tests that need a network that somebody trained. */
#ifndef COP_TESTS_DIGITS_H
#define COP_TESTS_DIGITS_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <coppice/model.h>

static inline void digits_path(char *path, size_t room) {
    const char *root = getenv("COPPICE_SOURCE_ROOT");
    snprintf(path, room, "%s/models/digits.onnx", root ? root : ".");
}

/* Freed with coppice_model_free. */
static inline coppice_model *digits_load(void) {
    char path[1024];
    coppice_model *model;
    coppice_error error;
    digits_path(path, sizeof path);
    ck_assert_msg(coppice_model_load(path, NULL, &model, &error) == COPPICE_OK, "%s",
                  error.message);
    return model;
}

#endif
