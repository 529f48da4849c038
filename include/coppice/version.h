/* The version of the library: at compile time as macros, at run time as a function. */
#ifndef COPPICE_VERSION_H
#define COPPICE_VERSION_H

#include <coppice/export.h>

#define COPPICE_VERSION_MAJOR 0
#define COPPICE_VERSION_MINOR 1
#define COPPICE_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* "MAJOR.MINOR.PATCH" of the library that is loaded. Static storage, never NULL. Thread-safe. */
COPPICE_API const char *coppice_version(void);

#ifdef __cplusplus
}
#endif

#endif
