/* Saves masks: one uint8 array per pruned weight. */
#include <coppice/data.h>
#include <coppice/prune.h>

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

coppice_status coppice_prune_save_masks(const coppice_prune_report *report, const char *path,
                                        bool overwrite, coppice_error *error) {
    size_t count = 0, room = report->layer_count + 1;
    const char **names = cop_calloc(room, sizeof *names);
    coppice_tensor *masks = cop_calloc(room, sizeof *masks);
    coppice_status status;
    if (!names || !masks) {
        status = cop_fail_memory(error, room * sizeof *masks);
    } else {
        for (size_t i = 0; i < report->layer_count; i++) {
            const coppice_prune_layer *layer = &report->layers[i];
            if (!layer->mask)
                continue;
            names[count] = layer->initializer;
            masks[count] = (coppice_tensor){.type = COPPICE_TYPE_UINT8,
                                            .rank = layer->rank,
                                            .data = (void *)layer->mask}; /* only read */
            memcpy(masks[count++].dims, layer->dims, sizeof layer->dims);
        }
        status = coppice_npz_write(path, count, names, masks, overwrite, error);
    }
    cop_free(names);
    cop_free(masks);
    return status;
}
