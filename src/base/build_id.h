/* Which build of the library this is. */
#ifndef COP_BASE_BUILD_ID_H
#define COP_BASE_BUILD_ID_H

#include <stddef.h>

enum { COP_BUILD_ID_MOST = 64 };

/* The linker's build id of the file that this code is in; how many bytes it has, 0 when the linker
 * wrote none. */
size_t cop_build_id(unsigned char id[COP_BUILD_ID_MOST]);

#endif
