/* Label files: integer arrays, or text with a line "name label" per sample. */
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/size.h"
#include "data/array.h"
#include "data/convert.h"
#include "data/image.h"

enum { ABSENT = -1, AMBIGUOUS = -2 };

static coppice_status wrong_count(const char *path, int64_t labels, int64_t samples,
                                  coppice_error *err) {
    return cop_fail(err, COPPICE_BAD_DATA, "%s: %lld labels for %lld samples", path,
                    (long long)labels, (long long)samples);
}

static coppice_status from_array(const char *path, int64_t count, int64_t *labels,
                                 coppice_error *err) {
    cop_array array = {0};
    COP_TRY(cop_array_open(path, &array, err));
    const coppice_tensor *t = &array.tensor;
    coppice_status status = COPPICE_OK;
    bool flat = t->rank == 1 || (t->rank == 2 && t->dims[1] == 1);
    if (!cop_is_numpy_integer(t->type) || t->type == COPPICE_TYPE_BOOL)
        status = cop_fail(err, COPPICE_BAD_DATA, "%s: labels are of type %s; integers are needed",
                          path, coppice_type_name(t->type));
    else if (!flat)
        status = cop_fail(err, COPPICE_BAD_DATA,
                          "%s: labels have %u dimensions; one number per sample is needed", path,
                          t->rank);
    else if (t->dims[0] != count)
        status = wrong_count(path, t->dims[0], count, err);
    for (int64_t i = 0; status == COPPICE_OK && i < count; i++) {
        labels[i] = cop_load_integer(t->type, t->data, i, NULL);
        if (labels[i] < 0)
            status = cop_fail(err, COPPICE_BAD_DATA, "%s: label %lld is not a class number", path,
                              (long long)i);
    }
    cop_array_close(&array);
    return status;
}

/* A text file taken apart. Names point into `arena`; lines[i].name is NULL for a bare number. */
typedef struct text_labels {
    cop_arena arena;
    struct text_line {
        const char *name;
        int64_t label;
    } * lines;
    size_t count, capacity;
} text_labels;

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static bool parse_number(const char *at, const char *end, int64_t *out) {
    int64_t value = 0;
    if (at == end)
        return false;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9' || !cop_i64_mul(value, 10, &value) ||
            !cop_i64_add(value, *at - '0', &value))
            return false;
    }
    *out = value;
    return true;
}

/* One line without its end: the label is the last word, the name what stands before it. */
static coppice_status parse_line(text_labels *text, const char *path, size_t number, const char *at,
                                 const char *end, coppice_error *err) {
    while (at < end && is_blank(*at))
        at++;
    while (end > at && is_blank(end[-1]))
        end--;
    if (at == end)
        return COPPICE_OK;
    const char *word = end;
    while (word > at && !is_blank(word[-1]))
        word--;
    struct text_line line = {0};
    if (!parse_number(word, end, &line.label))
        return cop_fail(err, COPPICE_BAD_DATA,
                        "%s: line %zu does not end with a label (a number from 0 on)", path,
                        number);
    const char *name_end = word;
    while (name_end > at && is_blank(name_end[-1]))
        name_end--;
    if (name_end > at &&
        !(line.name = cop_arena_strndup(&text->arena, at, (size_t)(name_end - at))))
        return cop_fail_memory(err, (size_t)(name_end - at));
    if (text->count && !line.name != !text->lines[0].name)
        return cop_fail(err, COPPICE_BAD_DATA, "%s: line %zu: some lines have names, others not",
                        path, number);
    if (cop_grow(&text->lines, text->count, &text->capacity, sizeof line) != 0)
        return cop_fail_memory(err, sizeof line);
    text->lines[text->count++] = line;
    return COPPICE_OK;
}

static coppice_status parse_text(text_labels *text, const char *path, const cop_mapping *file,
                                 coppice_error *err) {
    if (file->bytes == 0)
        return COPPICE_OK;
    const char *at = (const char *)file->data, *end = at + file->bytes;
    for (size_t number = 1; at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        if (memchr(at, '\0', (size_t)(stop - at)))
            return cop_fail(err, COPPICE_BAD_DATA, "%s: neither text, .npy nor idx", path);
        COP_TRY(parse_line(text, path, number, at, stop, err));
        at = stop < end ? stop + 1 : end;
    }
    return COPPICE_OK;
}

static const char *base_name(const char *name) {
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

/* Whole names and last parts to labels; a last part with two labels is AMBIGUOUS. */
static coppice_status index_names(const text_labels *text, const char *path, cop_map *whole,
                                  cop_map *last, coppice_error *err) {
    for (size_t i = 0; i < text->count; i++) {
        const struct text_line *line = &text->lines[i];
        const char *base = base_name(line->name);
        int64_t before = cop_map_get(whole, line->name, line->label);
        int64_t base_before = cop_map_get(last, base, line->label);
        if (before != line->label)
            return cop_fail(err, COPPICE_BAD_DATA, "%s: '%s' has two labels, %lld and %lld", path,
                            line->name, (long long)before, (long long)line->label);
        if (!cop_map_set(whole, line->name, line->label) ||
            !cop_map_set(last, base, base_before == line->label ? line->label : AMBIGUOUS))
            return cop_fail_memory(err, sizeof(cop_map_slot));
    }
    return COPPICE_OK;
}

static coppice_status match_names(const text_labels *text, const char *path,
                                  const cop_image_file *files, int64_t count, int64_t *labels,
                                  coppice_error *err) {
    cop_map whole = {0}, last = {0};
    coppice_status status = index_names(text, path, &whole, &last, err);
    for (int64_t i = 0; status == COPPICE_OK && i < count; i++) {
        labels[i] = cop_map_get(&whole, files[i].name, ABSENT);
        if (labels[i] == ABSENT)
            labels[i] = cop_map_get(&last, base_name(files[i].name), ABSENT);
        if (labels[i] == ABSENT)
            status =
                cop_fail(err, COPPICE_BAD_DATA, "%s: no label for image '%s'", path, files[i].name);
        if (labels[i] == AMBIGUOUS)
            status = cop_fail(err, COPPICE_BAD_DATA,
                              "%s: several labels for image '%s'; give names with their folder",
                              path, files[i].name);
    }
    cop_map_free(&whole);
    cop_map_free(&last);
    return status;
}

static coppice_status from_text(const char *path, const cop_mapping *file,
                                const cop_image_file *files, int64_t count, int64_t *labels,
                                coppice_error *err) {
    text_labels text = {0};
    coppice_status status = parse_text(&text, path, file, err);
    if (status == COPPICE_OK && files && text.count && text.lines[0].name)
        status = match_names(&text, path, files, count, labels, err);
    else if (status == COPPICE_OK && (uint64_t)count != text.count)
        status = wrong_count(path, (int64_t)text.count, count, err);
    else
        for (int64_t i = 0; status == COPPICE_OK && i < count; i++)
            labels[i] = text.lines[i].label;
    cop_free(text.lines);
    cop_arena_free(&text.arena);
    return status;
}

coppice_status cop_labels_read(const char *path, const cop_image_file *files, int64_t count,
                               int64_t *labels, coppice_error *err) {
    cop_mapping file = {0};
    COP_TRY(cop_mapping_open(path, &file, err));
    coppice_status status;
    if (cop_is_array(file.data, file.bytes))
        status = from_array(path, count, labels, err);
    else
        status = from_text(path, &file, files, count, labels, err);
    cop_mapping_close(&file);
    if (status != COPPICE_OK)
        cop_error_locate(err, path, NULL, -1);
    return status;
}
