/* The JSON that --json asks for. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_FLAGS = JSON_INDENT(2) | JSON_REAL_PRECISION(15) };

/* Length of the well-formed UTF-8 sequence at `text`, 0 when there is none. */
static size_t utf8_length(const unsigned char *text) {
    if (text[0] < 0x80)
        return 1;
    size_t length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    bool beyond = text[0] == 0xf4 && text[1] > 0x8f;
    bool surrogate = text[0] == 0xed && text[1] > 0x9f;
    return overlong || beyond || surrogate ? 0 : length;
}

json_t *cli_json_string(const char *text) {
    static const char replacement[] = "\xef\xbf\xbd";
    if (!text)
        return json_null();
    json_t *plain = json_string(text);
    if (plain)
        return plain;
    size_t length = strlen(text), used = 0;
    char *clean = malloc(3 * length + 1);
    if (!clean)
        return NULL;
    for (size_t i = 0; i < length;) {
        size_t good = utf8_length((const unsigned char *)text + i);
        memcpy(clean + used, good ? text + i : replacement, good ? good : 3);
        used += good ? good : 3;
        i += good ? good : 1;
    }
    json_t *result = json_stringn(clean, used);
    free(clean);
    return result;
}

json_t *cli_json_real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *cli_json_count(int64_t value) {
    return value < 0 ? json_null() : json_integer(value);
}

json_t *cli_json_shape(uint32_t rank, const int64_t *dims) {
    json_t *array = json_array();
    for (uint32_t i = 0; i < rank; i++)
        json_array_append_new(array, cli_json_count(dims[i]));
    return array;
}

coppice_status cli_json_emit(cli_context *cli, json_t *root) {
    if (!cli->json.given) {
        json_decref(root);
        return COPPICE_OK;
    }
    char *text = root ? json_dumps(root, JSON_FLAGS) : NULL;
    json_decref(root);
    size_t length = text ? strlen(text) : 0;
    char *line = text ? realloc(text, length + 2) : NULL;
    if (!line) {
        free(text);
        return cli_fail(cli, COPPICE_OUT_OF_MEMORY, "out of memory for the JSON output");
    }
    strcpy(line + length, "\n");
    coppice_status status = COPPICE_OK;
    if (cli->json.value)
        status = coppice_file_write(cli->json.value, line, length + 1, cli->force, &cli->error);
    else
        fputs(line, stdout);
    free(line);
    return status;
}

void cli_json_error(cli_context *cli) {
    const coppice_error *error = &cli->error;
    json_t *object =
        json_pack("{s:s, s:o, s:o?, s:o?}", "status", coppice_status_name(error->status), "message",
                  cli_json_string(error->message), "file",
                  error->file[0] ? cli_json_string(error->file) : json_null(), "node",
                  error->node[0] ? cli_json_string(error->node) : json_null());
    coppice_error first = *error;
    cli_json_emit(cli, object ? json_pack("{s:o}", "error", object) : NULL);
    cli->error = first;
}
