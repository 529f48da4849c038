/* Data sets: images, label files and named arrays, as batches of tensors. */
#ifndef COPPICE_DATA_H
#define COPPICE_DATA_H
#endif
