/* A folder of its own and a model for each test of saving. */
#ifndef COP_TESTS_SAVING_H
#define COP_TESTS_SAVING_H

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "folder.h"
#include "wire.h"

static char path[128], other[128];
static coppice_error err;
static coppice_model *model;

static inline void setup(void) {
    make_folder();
    snprintf(path, sizeof path, "%s/net.onnx", folder);
    snprintf(other, sizeof other, "%s/out.onnx", folder);
    model = NULL;
}

static inline void teardown(void) {
    coppice_model_free(model);
    remove_folder();
}

static inline const char *in_folder(const char *name) {
    static char joined[256];
    snprintf(joined, sizeof joined, "%s/%s", folder, name);
    return joined;
}

static inline void expect_same_file(const char *a, const char *b) {
    cop_mapping first, second;
    ck_assert_int_eq(cop_mapping_open(a, &first, NULL), COPPICE_OK);
    ck_assert_int_eq(cop_mapping_open(b, &second, NULL), COPPICE_OK);
    ck_assert_uint_eq(first.bytes, second.bytes);
    ck_assert_msg(memcmp(first.data, second.data, first.bytes) == 0, "%s and %s differ", a, b);
    cop_mapping_close(&first);
    cop_mapping_close(&second);
}

static inline void load(const char *name) {
    coppice_model_free(model);
    ck_assert_msg(coppice_model_load(name, NULL, &model, &err) == COPPICE_OK, "%s", err.message);
}

/* Writes a message to `path` and loads it; the message is taken over. */
static inline void load_wire(wire w) {
    wire_write_file(path, w.data, w.bytes);
    free(w.data);
    load(path);
}

static inline void save(const char *name, const char *external) {
    coppice_save_options options;
    coppice_save_options_init(&options);
    options.overwrite = true;
    options.external_data = external;
    coppice_save_result result;
    ck_assert_msg(coppice_model_save(model, name, &options, &result, &err) == COPPICE_OK, "%s",
                  err.message);
    struct stat info;
    ck_assert_int_eq(stat(name, &info), 0);
    int64_t expected = info.st_size;
    if (external && stat(in_folder(external), &info) == 0)
        expected += info.st_size;
    ck_assert_int_eq(result.bytes, expected);
}

static inline void refuse_save(const char *name, const coppice_save_options *options,
                               coppice_status status, const char *text) {
    ck_assert_int_eq(coppice_model_save(model, name, options, NULL, &err), status);
    ck_assert_msg(strstr(err.message, text) != NULL, "'%s' not in: %s", text, err.message);
}

static inline void refuse_load(wire w, coppice_status status, const char *text) {
    coppice_model *loaded;
    wire_write_file(path, w.data, w.bytes);
    free(w.data);
    ck_assert_int_eq(coppice_model_load(path, NULL, &loaded, &err), status);
    ck_assert_ptr_null(loaded);
    ck_assert_msg(strstr(err.message, text) != NULL, "'%s' not in: %s", text, err.message);
    ck_assert_msg(strncmp(err.message, path, strlen(path)) == 0, "%s", err.message);
    ck_assert_str_eq(err.file, path);
}

/* Elements of a float tensor; mapped data are aligned to nothing. */
static inline double get(const char *name, int index) {
    return cop_tensor_get(&wire_constant(model, name)->tensor, index);
}

static inline void set(const char *name, int index, float value) {
    cop_constant *constant = wire_constant(model, name);
    memcpy((char *)constant->tensor.data + index * (int)sizeof value, &value, sizeof value);
    constant->dirty = true;
}

static inline wire ramp(const char *name, int count) {
    float *data = calloc((size_t)count, sizeof *data);
    for (int i = 0; i < count; i++)
        data[i] = (float)i;
    wire w = wire_raw_tensor(name, COPPICE_TYPE_FLOAT, count, data, (size_t)count * sizeof *data);
    free(data);
    return w;
}

#endif
