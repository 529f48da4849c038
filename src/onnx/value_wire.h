/* The wire format of SequenceProto and OptionalProto (onnx-data.proto), which have the same fields;
 * what is repeated in the one is single in the other. */
#ifndef COP_ONNX_VALUE_WIRE_H
#define COP_ONNX_VALUE_WIRE_H

enum {
    COP_WIRE_VARINT = 0,
    COP_WIRE_64BIT = 1,
    COP_WIRE_LENGTH = 2,
    COP_WIRE_32BIT = 5,
};

/* Field numbers. */
enum {
    COP_VALUE_NAME = 1,
    COP_VALUE_ELEM_TYPE = 2,
    COP_VALUE_TENSOR = 3,
    COP_VALUE_SPARSE = 4,
    COP_VALUE_SEQUENCE = 5,
    COP_VALUE_MAP = 6,
    COP_VALUE_OPTIONAL = 7,
};

#endif
