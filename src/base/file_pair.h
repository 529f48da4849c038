/* Two files that belong together: a model and its data file.
 *
 * No system call replaces two names at once. So while a pair replaces another, the model is there
 * twice: as it is meant, and as an interim one that names the new data file by its temporary name.
 *
 *     1. the interim model takes the model's name       new model, data under the temporary name
 *     2. the data file takes the name of the old one    the same: a second link keeps the first
 *     3. the model takes its name                       new model, new data
 *
 * Whenever the program or the machine stops, the name of the model leads to a complete pair, the
 * old one or the new one; what may be left over are temporary files (of which one may be in use
 * after a stop between 1 and 3). When a step fails, those before are taken back, and both files are
 * as they were.
 *
 * Without an interim model the data file comes first. That is as safe when the data file is new.
 * When there is an old one, a stop in between leaves it replaced; when a step fails, it comes back.
 * A file system that can neither link nor exchange (FAT, some network ones) has this order only,
 * and there an old file does not come back. */
#ifndef COP_BASE_FILE_PAIR_H
#define COP_BASE_FILE_PAIR_H

#include "base/file.h"

/* Do both files replace one, and could an interim model beside `path` name the temporary data file?
 */
bool cop_pair_wants_interim(const char *path, const cop_writer *data, const cop_writer *file);

/* Publishes both as above and closes the writers. `interim` may be one that was never opened.
 * Errors: EXISTS, IO, INTERRUPTED. */
coppice_status cop_pair_commit(cop_writer *data, cop_writer *interim, cop_writer *file,
                               coppice_error *err);

#endif
