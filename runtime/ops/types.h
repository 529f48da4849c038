/* Lists of the types that values are held in, for loops that are written once for all of them, and
 * for tables of such loops by type. */
#ifndef COP_OPS_TYPES_H
#define COP_OPS_TYPES_H

#include <stdint.h>

#include <coppice/tensor.h>

/* X(T, suffix, TYPE) */
#define EACH_SIGNED(X)                                                                             \
    X(int8_t, i8, INT8)                                                                            \
    X(int16_t, i16, INT16)                                                                         \
    X(int32_t, i32, INT32)                                                                         \
    X(int64_t, i64, INT64)
#define EACH_UNSIGNED(X)                                                                           \
    X(uint8_t, u8, UINT8)                                                                          \
    X(uint16_t, u16, UINT16)                                                                       \
    X(uint32_t, u32, UINT32)                                                                       \
    X(uint64_t, u64, UINT64)
#define EACH_INTEGER(X) EACH_SIGNED(X) EACH_UNSIGNED(X)
#define EACH_FLOAT(X)                                                                              \
    X(float, f32, FLOAT)                                                                           \
    X(double, f64, DOUBLE)
#define EACH_WIDE_INTEGER(X)                                                                       \
    X(int32_t, i32, INT32)                                                                         \
    X(int64_t, i64, INT64)                                                                         \
    X(uint32_t, u32, UINT32)                                                                       \
    X(uint64_t, u64, UINT64)
#define EACH_NUMBER(X) EACH_FLOAT(X) EACH_INTEGER(X)

/* Rows of a table that is indexed by type. */
#define FLOAT_ROWS(op) [COPPICE_TYPE_FLOAT] = op##_f32, [COPPICE_TYPE_DOUBLE] = op##_f64
#define SIGNED_ROWS(op)                                                                            \
    [COPPICE_TYPE_INT8] = op##_i8, [COPPICE_TYPE_INT16] = op##_i16,                                \
    [COPPICE_TYPE_INT32] = op##_i32, [COPPICE_TYPE_INT64] = op##_i64
#define UNSIGNED_ROWS(op)                                                                          \
    [COPPICE_TYPE_UINT8] = op##_u8, [COPPICE_TYPE_UINT16] = op##_u16,                              \
    [COPPICE_TYPE_UINT32] = op##_u32, [COPPICE_TYPE_UINT64] = op##_u64
#define INTEGER_ROWS(op) SIGNED_ROWS(op), UNSIGNED_ROWS(op)
#define WIDE_ROWS(op) /* integers of 32 and 64 bits */                                             \
    [COPPICE_TYPE_INT32] = op##_i32, [COPPICE_TYPE_INT64] = op##_i64,                              \
    [COPPICE_TYPE_UINT32] = op##_u32, [COPPICE_TYPE_UINT64] = op##_u64
#define NUMERIC_ROWS(op) FLOAT_ROWS(op), INTEGER_ROWS(op)

/* Length of such a table: no type behind it is held. */
enum { COP_HELD_TYPES = COPPICE_TYPE_BFLOAT16 + 1 };

#endif
