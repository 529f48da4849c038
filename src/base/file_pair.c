/* Publishing two files that belong together. */
#include "base/file_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"

/* How a file got its name. */
typedef enum outcome {
    NOT_DONE,
    CREATED,   /* there was none */
    EXCHANGED, /* the old one has the temporary name now */
    REPLACED   /* the old one is gone */
} outcome;

typedef struct step {
    const char *from, *to;
    bool keep_existing;
    outcome outcome;
} step;

static bool exists(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0;
}

bool cop_pair_wants_interim(const char *path, const cop_writer *data, const cop_writer *file) {
    char *folder = cop_path_sibling(path, "");
    char *resolved = folder ? cop_realpath(folder[0] ? folder : ".") : NULL;
    char *beside = cop_path_sibling(data->target, "."), *target = NULL;
    if (beside)
        target = cop_realpath(beside);
    bool wanted = resolved && target && strcmp(resolved, target) == 0 && !data->keep_existing &&
                  exists(data->target) && exists(file->target);
    cop_free(folder);
    cop_free(resolved);
    cop_free(beside);
    cop_free(target);
    return wanted;
}

static bool is_unknown_here(void) {
    return errno == EINVAL || errno == ENOSYS || errno == ENOTSUP;
}

/* NOT_DONE: errno says why. */
static outcome publish(const step *s) {
    if (s->keep_existing)
        return cop_rename_new(s->from, s->to) == 0 ? CREATED : NOT_DONE;
    if (renameat2(AT_FDCWD, s->from, AT_FDCWD, s->to, RENAME_EXCHANGE) == 0)
        return EXCHANGED;
    bool is_new = errno == ENOENT && exists(s->from);
    if (!is_new && !is_unknown_here())
        return NOT_DONE;
    if (rename(s->from, s->to) != 0)
        return NOT_DONE;
    return is_new ? CREATED : REPLACED;
}

static void take_back(step *s) {
    if (s->outcome == EXCHANGED)
        renameat2(AT_FDCWD, s->from, AT_FDCWD, s->to, RENAME_EXCHANGE);
    else if (s->outcome == CREATED)
        rename(s->to, s->from);
    s->outcome = NOT_DONE;
}

static coppice_status run(step *steps, size_t count, coppice_error *err) {
    for (size_t i = 0; i < count; i++) {
        steps[i].outcome = publish(&steps[i]);
        if (steps[i].outcome != NOT_DONE) {
            cop_sync_folder(steps[i].to); /* or the disk might see the steps in another order */
            continue;
        }
        coppice_status status =
            errno == EEXIST
                ? cop_fail_exists(err, steps[i].to)
                : cop_fail_errno(err, "%s: cannot write (the target is as it was)", steps[i].to);
        cop_error_locate(err, steps[i].to, NULL, -1);
        while (i-- > 0)
            take_back(&steps[i]);
        return status == COPPICE_NOT_FOUND ? COPPICE_IO : status;
    }
    return COPPICE_OK;
}

/* A second name for the data file, allocated; NULL where there are no links. */
static char *link_data(const cop_writer *data) {
    char *name = cop_printf("%s-2", data->temporary);
    if (name && link(data->temporary, name) == 0)
        return name;
    cop_free(name);
    return NULL;
}

static coppice_status publish_all(cop_writer *data, cop_writer *interim, cop_writer *file,
                                  coppice_error *err) {
    char *second = interim->temporary ? link_data(data) : NULL;
    step pair[] = {{data->temporary, data->target, data->keep_existing, NOT_DONE},
                   {file->temporary, file->target, file->keep_existing, NOT_DONE}};
    step replace[] = {{interim->temporary, file->target, false, NOT_DONE},
                      {second, data->target, false, NOT_DONE},
                      {file->temporary, file->target, false, NOT_DONE}};
    coppice_status status = second ? run(replace, 3, err) : run(pair, 2, err);
    if (second)
        unlink(second); /* the old data file, or a link to what nobody wants */
    cop_free(second);
    return status;
}

coppice_status cop_pair_commit(cop_writer *data, cop_writer *interim, cop_writer *file,
                               coppice_error *err) {
    COP_TRY(cop_writer_sync(data, err));
    if (interim->temporary)
        COP_TRY(cop_writer_sync(interim, err));
    COP_TRY(cop_writer_sync(file, err));
    /* From here on an interrupt must not take temporary files away that are in use. */
    cop_writer_forget(data);
    cop_writer_forget(interim);
    cop_writer_forget(file);
    COP_TRY(cop_check_interrupt(err));
    COP_TRY(publish_all(data, interim, file, err));
    cop_writer_abort(interim); /* what is left under temporary names are old files */
    cop_writer_abort(file);
    cop_writer_abort(data);
    return COPPICE_OK;
}
