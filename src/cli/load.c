/* Reading the model that a command works on. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Everything from stdin, in malloc'd memory. */
static coppice_status read_stdin(cli_context *cli, unsigned char **data, size_t *bytes) {
    size_t capacity = 0;
    *data = NULL;
    *bytes = 0;
    for (;;) {
        if (*bytes == capacity) {
            capacity = capacity ? 2 * capacity : 1 << 20;
            unsigned char *grown = capacity > *bytes ? realloc(*data, capacity) : NULL;
            if (!grown)
                return cli_fail(cli, COPPICE_OUT_OF_MEMORY, "out of memory (%zu bytes)", capacity);
            *data = grown;
        }
        ssize_t n = read(STDIN_FILENO, *data + *bytes, capacity - *bytes);
        if (n < 0)
            return cli_fail(cli, COPPICE_IO, "cannot read standard input: %s", strerror(errno));
        if (n == 0)
            return COPPICE_OK;
        *bytes += (size_t)n;
    }
}

coppice_status cli_load_model(cli_context *cli, const char *path, coppice_model **out) {
    *out = NULL;
    coppice_status status;
    coppice_load_options options;
    coppice_load_options_init(&options);
    options.host = cli_host(cli);
    if (strcmp(path, "-") == 0) {
        unsigned char *data;
        size_t bytes;
        status = read_stdin(cli, &data, &bytes);
        if (status == COPPICE_OK)
            status = coppice_model_load_memory(data, bytes, &options, out, &cli->error);
        free(data);
    } else {
        status = coppice_model_load(path, &options, out, &cli->error);
    }
    return status;
}
