/* Finds the images of a folder, flat or one sub-folder per class. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/image.h"

typedef struct name_list {
    const char **names;
    size_t count, capacity;
} name_list;

typedef struct folder_content {
    name_list folders, images;
    const char *foreign; /* an image in a format that is not read */
} folder_content;

static const char *const read_suffixes[] = {".jpg", ".jpeg", ".png"};
static const char *const foreign_suffixes[] = {".bmp",  ".gif",  ".tif",  ".tiff", ".webp",
                                               ".avif", ".heic", ".jxl",  ".jp2",  ".ppm",
                                               ".pgm",  ".tga",  ".jfif", ".jpe",  ".apng"};

static bool has_suffix(const char *name, const char *const *suffixes, size_t count) {
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < count; i++) {
        if (strcasecmp(dot, suffixes[i]) == 0)
            return true;
    }
    return false;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_names(name_list *list) {
    if (list->count > 1)
        qsort(list->names, list->count, sizeof *list->names, compare_names);
}

static coppice_status add_name(cop_arena *arena, name_list *list, const char *name,
                               coppice_error *err) {
    const char *copy = cop_arena_strdup(arena, name);
    if (!copy || cop_grow(&list->names, list->count, &list->capacity, sizeof *list->names) != 0)
        return cop_fail_memory(err, strlen(name));
    list->names[list->count++] = copy;
    return COPPICE_OK;
}

static coppice_status add_entry(cop_arena *arena, const char *folder, const char *name,
                                folder_content *content, coppice_error *err) {
    const size_t readable = sizeof read_suffixes / sizeof *read_suffixes;
    const size_t foreign = sizeof foreign_suffixes / sizeof *foreign_suffixes;
    if (name[0] == '.')
        return COPPICE_OK;
    char *path = cop_arena_printf(arena, "%s/%s", folder, name);
    struct stat info;
    if (!path)
        return cop_fail_memory(err, strlen(folder));
    if (stat(path, &info) != 0)
        return cop_fail_errno(err, "%s: cannot stat", path);
    if (S_ISDIR(info.st_mode))
        return add_name(arena, &content->folders, name, err);
    if (has_suffix(name, read_suffixes, readable))
        return add_name(arena, &content->images, name, err);
    if (has_suffix(name, foreign_suffixes, foreign))
        content->foreign = path;
    return COPPICE_OK;
}

static void content_free(folder_content *content) {
    cop_free(content->folders.names);
    cop_free(content->images.names);
    *content = (folder_content){0};
}

static coppice_status read_folder(cop_arena *arena, const char *path, folder_content *content,
                                  coppice_error *err) {
    DIR *dir = opendir(path);
    if (!dir)
        return cop_fail_errno(err, "%s: cannot read the folder", path);
    coppice_status status = COPPICE_OK;
    struct dirent *entry;
    errno = 0;
    while (status == COPPICE_OK && (entry = readdir(dir))) {
        status = add_entry(arena, path, entry->d_name, content, err);
        errno = 0;
    }
    if (status == COPPICE_OK && errno)
        status = cop_fail_errno(err, "%s: cannot read the folder", path);
    closedir(dir);
    if (status == COPPICE_OK && content->foreign)
        status = cop_fail(err, COPPICE_UNSUPPORTED,
                          "%s: only JPEG and PNG images are read; convert it or move it away",
                          content->foreign);
    sort_names(&content->folders);
    sort_names(&content->images);
    return status;
}

/* Appends the images of one folder; `class_name` is NULL for the outer one. */
static coppice_status add_images(cop_image_list *list, const char *folder, const char *class_name,
                                 int64_t label, const name_list *images, coppice_error *err) {
    for (size_t i = 0; i < images->count; i++) {
        cop_image_file file = {.name = images->names[i], .label = label};
        if (class_name)
            file.name = cop_arena_printf(&list->arena, "%s/%s", class_name, images->names[i]);
        file.path = file.name ? cop_arena_printf(&list->arena, "%s/%s", folder, file.name) : NULL;
        if (!file.path ||
            cop_grow(&list->files, list->count, &list->capacity, sizeof *list->files) != 0)
            return cop_fail_memory(err, sizeof file);
        list->files[list->count++] = file;
    }
    return COPPICE_OK;
}

static coppice_status add_class(cop_image_list *list, const char *folder, const char *class_name,
                                int64_t label, coppice_error *err) {
    folder_content content = {0};
    char *path = cop_arena_printf(&list->arena, "%s/%s", folder, class_name);
    if (!path)
        return cop_fail_memory(err, strlen(folder));
    coppice_status status = read_folder(&list->arena, path, &content, err);
    if (status == COPPICE_OK)
        status = add_images(list, folder, class_name, label, &content.images, err);
    content_free(&content);
    return status;
}

static coppice_status list_folder(cop_image_list *list, const char *path, coppice_error *err) {
    folder_content content = {0};
    coppice_status status = read_folder(&list->arena, path, &content, err);
    if (status == COPPICE_OK)
        status = add_images(list, path, NULL, -1, &content.images, err);
    for (size_t i = 0; status == COPPICE_OK && i < content.folders.count; i++)
        status = add_class(list, path, content.folders.names[i], (int64_t)i, err);
    if (status == COPPICE_OK && content.images.count && list->count > content.images.count)
        status = cop_fail(err, COPPICE_BAD_DATA,
                          "%s: holds images as well as folders of images; keep one kind", path);
    if (status == COPPICE_OK && list->count == 0)
        status =
            cop_fail(err, COPPICE_BAD_DATA, "%s: no .jpg, .jpeg or .png image in the folder", path);
    content_free(&content);
    return status;
}

static coppice_status list_file(cop_image_list *list, const char *path, coppice_error *err) {
    cop_mapping file = {0};
    COP_TRY(cop_mapping_open(path, &file, err));
    bool image = cop_is_jpeg(file.data, file.bytes) || cop_is_png(file.data, file.bytes);
    cop_mapping_close(&file);
    if (!image)
        return COPPICE_OK;
    const char *slash = strrchr(path, '/');
    name_list one = {0};
    COP_TRY(add_name(&list->arena, &one, slash ? slash + 1 : path, err));
    coppice_status status = add_images(list, ".", NULL, -1, &one, err);
    cop_free(one.names);
    if (status == COPPICE_OK && !(list->files[0].path = cop_arena_strdup(&list->arena, path)))
        status = cop_fail_memory(err, strlen(path));
    return status;
}

coppice_status cop_image_list_open(cop_image_list *list, const char *path, coppice_error *err) {
    struct stat info;
    *list = (cop_image_list){0};
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    coppice_status status = folder ? list_folder(list, path, err) : list_file(list, path, err);
    if (status != COPPICE_OK) {
        cop_error_locate(err, path, NULL, -1);
        cop_image_list_close(list);
    }
    return status;
}

void cop_image_list_close(cop_image_list *list) {
    cop_free(list->files);
    cop_arena_free(&list->arena);
    *list = (cop_image_list){0};
}
