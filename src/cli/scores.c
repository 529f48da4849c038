/* Scores for `coppice prune --criterion file`: arrays of a .npz as the library wants them. */
#include "prune_options.h"

#include <string.h>

/* Reads one array into memory of the cli. */
static coppice_status read_score(cli_context *cli, const char *path, coppice_npz *npz, size_t index,
                                 coppice_score *out) {
    coppice_tensor *tensor = &out->tensor;
    const char *name = coppice_npz_name(npz, index);
    coppice_status status = coppice_npz_read(npz, index, tensor, &cli->error);
    if (status != COPPICE_OK)
        return status;
    int64_t bytes = coppice_tensor_bytes(tensor);
    char *copy = cli_join(cli, name, "", "");
    void *data = cli_alloc(cli, bytes > 0 ? (size_t)bytes : 0);
    if (tensor->type != COPPICE_TYPE_FLOAT)
        status = cli_fail(cli, COPPICE_INVALID_ARGUMENT, "%s: array '%s' is %s; scores are float32",
                          path, name, coppice_type_name(tensor->type));
    else if (!copy || !data)
        status = cli->error.status;
    if (status == COPPICE_OK)
        memcpy(data, tensor->data, (size_t)bytes);
    coppice_tensor read = *tensor;
    tensor->data = data;
    coppice_tensor_release(&read);
    out->initializer = copy;
    return status;
}

coppice_status cli_scores_load(cli_context *cli, const char *path, coppice_prune_options *out) {
    coppice_npz *npz;
    coppice_status status = coppice_npz_open(path, &npz, &cli->error);
    if (status != COPPICE_OK)
        return status;
    size_t count = coppice_npz_count(npz);
    coppice_score *scores = cli_alloc(cli, count * sizeof *scores);
    if (!scores)
        status = cli->error.status;
    for (size_t i = 0; status == COPPICE_OK && i < count; i++)
        status = read_score(cli, path, npz, i, &scores[i]);
    coppice_npz_free(npz);
    out->scores = scores;
    out->score_count = count;
    return status;
}
