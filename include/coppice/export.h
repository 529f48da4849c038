/* COPPICE_API marks what the shared library exports; everything else is hidden. */
#ifndef COPPICE_EXPORT_H
#define COPPICE_EXPORT_H

#if defined(__GNUC__)
#define COPPICE_API __attribute__((visibility("default")))
#else
#define COPPICE_API
#endif

#endif
