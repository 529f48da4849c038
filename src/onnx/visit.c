/* Walking over every message inside a model. */
#include "onnx/internal.h"
#include "onnx/scan.h"

static const void *at(const ProtobufCMessage *message, unsigned offset) {
    return (const char *)message + offset;
}

static coppice_status visit(ProtobufCMessage *message, int depth, cop_message_visitor visitor,
                            void *context);

static coppice_status visit_field(const ProtobufCMessage *message,
                                  const ProtobufCFieldDescriptor *field, int depth,
                                  cop_message_visitor visitor, void *context) {
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)at(message, field->quantifier_offset);
        ProtobufCMessage *const *items =
            *(ProtobufCMessage *const *const *)at(message, field->offset);
        for (size_t i = 0; i < count; i++)
            COP_TRY(visit(items[i], depth, visitor, context));
        return COPPICE_OK;
    }
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
        *(const uint32_t *)at(message, field->quantifier_offset) != field->id)
        return COPPICE_OK;
    return visit(*(ProtobufCMessage *const *)at(message, field->offset), depth, visitor, context);
}

static coppice_status visit(ProtobufCMessage *message, int depth, cop_message_visitor visitor,
                            void *context) {
    if (!message || depth > COP_SCAN_MAX_NESTING)
        return COPPICE_OK; /* the scan lets nothing deeper through */
    COP_TRY(visitor(message, context));
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            COP_TRY(visit_field(message, field, depth + 1, visitor, context));
    }
    return COPPICE_OK;
}

coppice_status cop_visit_messages(Onnx__ModelProto *model, cop_message_visitor visitor,
                                  void *context) {
    return visit(&model->base, 0, visitor, context);
}
