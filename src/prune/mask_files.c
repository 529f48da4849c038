/* Masks in .npz files: one uint8 array per weight. */
#include <coppice/data.h>
#include <coppice/masks.h>

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/mask.h"

coppice_status coppice_masks_save(const coppice_masks *masks, const char *path, bool overwrite,
                                  coppice_error *error) {
    cop_arena arena = {0};
    const char **names = cop_arena_array(&arena, masks->count, sizeof *names);
    coppice_tensor *arrays = cop_arena_array(&arena, masks->count, sizeof *arrays);
    coppice_status status = COPPICE_OK;
    if (!names || !arrays)
        status = cop_fail_memory(error, masks->count * sizeof *arrays);
    for (size_t i = 0; status == COPPICE_OK && i < masks->count; i++) {
        names[i] = masks->items[i].name;
        arrays[i] = coppice_masks_info(masks, i);
        arrays[i].data = cop_arena_alloc(&arena, (size_t)masks->items[i].count);
        if (arrays[i].data)
            coppice_masks_read(masks, i, arrays[i].data);
        else
            status = cop_fail_memory(error, (size_t)masks->items[i].count);
    }
    if (status == COPPICE_OK)
        status = coppice_npz_write(path, masks->count, names, arrays, overwrite, error);
    cop_arena_free(&arena);
    return status;
}
