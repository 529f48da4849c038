/* Element types and the plain tensor that goes in and out of coppice. */
#ifndef COPPICE_TENSOR_H
#define COPPICE_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include <coppice/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Largest number of dimensions that coppice computes with. Models may hold tensors of a higher
 * rank in initializers that nothing runs; loading keeps those as they are. */
#define COPPICE_MAX_RANK 16

/* X(name, ONNX number, bits per element, text). Numbers are those of TensorProto.DataType
 * (onnx.proto, ONNX 1.17 and later); 0 bits: no fixed size. */
#define COPPICE_TYPE_LIST(X)                                                                       \
    X(UNDEFINED, 0, 0, "undefined")                                                                \
    X(FLOAT, 1, 32, "float32")                                                                     \
    X(UINT8, 2, 8, "uint8")                                                                        \
    X(INT8, 3, 8, "int8")                                                                          \
    X(UINT16, 4, 16, "uint16")                                                                     \
    X(INT16, 5, 16, "int16")                                                                       \
    X(INT32, 6, 32, "int32")                                                                       \
    X(INT64, 7, 64, "int64")                                                                       \
    X(STRING, 8, 0, "string")                                                                      \
    X(BOOL, 9, 8, "bool")                                                                          \
    X(FLOAT16, 10, 16, "float16")                                                                  \
    X(DOUBLE, 11, 64, "float64")                                                                   \
    X(UINT32, 12, 32, "uint32")                                                                    \
    X(UINT64, 13, 64, "uint64")                                                                    \
    X(COMPLEX64, 14, 64, "complex64")                                                              \
    X(COMPLEX128, 15, 128, "complex128")                                                           \
    X(BFLOAT16, 16, 16, "bfloat16")                                                                \
    X(FLOAT8E4M3FN, 17, 8, "float8e4m3fn")                                                         \
    X(FLOAT8E4M3FNUZ, 18, 8, "float8e4m3fnuz")                                                     \
    X(FLOAT8E5M2, 19, 8, "float8e5m2")                                                             \
    X(FLOAT8E5M2FNUZ, 20, 8, "float8e5m2fnuz")                                                     \
    X(UINT4, 21, 4, "uint4")                                                                       \
    X(INT4, 22, 4, "int4")                                                                         \
    X(FLOAT4E2M1, 23, 4, "float4e2m1")                                                             \
    X(FLOAT8E8M0, 24, 8, "float8e8m0")                                                             \
    X(UINT2, 25, 2, "uint2")                                                                       \
    X(INT2, 26, 2, "int2")

typedef enum coppice_type {
#define COPPICE_TYPE_ENUM(name, value, bits, text) COPPICE_TYPE_##name = value,
    COPPICE_TYPE_LIST(COPPICE_TYPE_ENUM)
#undef COPPICE_TYPE_ENUM
} coppice_type;

/* An element of a STRING tensor: bytes that may hold NULs and are not ended by one. Who owns them
 * is said where the tensor is passed. */
typedef struct coppice_string {
    const char *data;
    size_t length;
} coppice_string;

/* A dense tensor, row-major, in native byte order. A rank of 0 is a scalar with one element. Who
 * owns `data` is said where the tensor is passed. */
typedef struct coppice_tensor {
    coppice_type type;
    uint32_t rank;                  /* 0 .. COPPICE_MAX_RANK */
    int64_t dims[COPPICE_MAX_RANK]; /* the first `rank` count; 0 is allowed and means no element */
    void *data;                     /* count * bits / 8 bytes, rounded up; coppice_string each of
                                       a STRING tensor */
} coppice_tensor;

/* "float32", ...; "unknown" for a number outside the list. Static storage. Thread-safe. */
COPPICE_API const char *coppice_type_name(coppice_type type);

/* Bits per element, 0 for strings and unknown types. Thread-safe. */
COPPICE_API unsigned coppice_type_bits(coppice_type type);

/* Number of elements; -1 when a dimension is negative or the product overflows. Thread-safe. */
COPPICE_API int64_t coppice_tensor_count(const coppice_tensor *tensor);

/* Size of the data in bytes, of a STRING tensor without the bytes of the strings; -1 as above, or
 * when the type is unknown. Thread-safe. */
COPPICE_API int64_t coppice_tensor_bytes(const coppice_tensor *tensor);

#ifdef __cplusplus
}
#endif

#endif
