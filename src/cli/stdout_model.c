/* Writing a model to standard output. */
#include "stdout_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static coppice_status copy_file(cli_context *cli, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return cli_fail(cli, COPPICE_IO, "%s: cannot open: %s", path, strerror(errno));
    char buffer[1 << 16];
    size_t n;
    bool written = true;
    while (written && (n = fread(buffer, 1, sizeof buffer, file)) > 0)
        written = fwrite(buffer, 1, n, stdout) == n;
    bool read = !ferror(file);
    fclose(file);
    if (!written || fflush(stdout) != 0)
        return cli_fail(cli, COPPICE_IO, "cannot write standard output: %s", strerror(errno));
    return read ? COPPICE_OK : cli_fail(cli, COPPICE_IO, "%s: cannot read", path);
}

coppice_status cli_save_to_stdout(cli_context *cli, coppice_model *model,
                                  const coppice_save_options *options,
                                  coppice_save_result *result) {
    const char *parent = getenv("TMPDIR");
    if (!parent || !*parent)
        parent = "/tmp";
    size_t room = strlen(parent) + 64;
    char *folder = cli_alloc(cli, room), *path = cli_alloc(cli, room);
    if (!folder || !path)
        return cli->error.status;
    snprintf(folder, room, "%s/coppice-XXXXXX", parent);
    if (!mkdtemp(folder))
        return cli_fail(cli, COPPICE_IO, "%s: cannot create a temporary folder: %s", parent,
                        strerror(errno));
    snprintf(path, room, "%s/model.onnx", folder);
    coppice_status status = coppice_model_save(model, path, options, result, &cli->error);
    if (status == COPPICE_OK)
        status = copy_file(cli, path);
    if (status == COPPICE_LIMIT)
        status =
            cli_fail(cli, COPPICE_LIMIT,
                     "standard output is one stream, and this model has more than the 2 GB "
                     "that a model file can hold: give -o a file, and the weights go to a file "
                     "of their own beside it");
    unlink(path);
    rmdir(folder);
    return status;
}
