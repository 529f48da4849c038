/* Model-local functions: found by the operator of a node, and what names, attributes and operator
 * sets mean inside of a call. build.c puts the nodes of the body in place of the call. */
#ifndef COP_ONNX_FUNCTIONS_H
#define COP_ONNX_FUNCTIONS_H

#include "base/map.h"
#include "onnx/internal.h"

typedef struct cop_function {
    Onnx__FunctionProto *proto;
    const char *domain, *name, *overload;
    Onnx__AttributeProto **defaults; /* of attributes that a call may leave out */
    size_t default_count;
} cop_function;

/* Those of one model. Zero-initialise; free with cop_functions_free. */
typedef struct cop_functions {
    cop_function *items;
    size_t count;
    cop_map by_key;     /* "domain:name:overload" to the index */
    cop_map taken;      /* every name in the model's messages, and the prefixes of calls */
    size_t nodes, text; /* nodes put in place of calls; bytes of names made for them */
} cop_functions;

coppice_status cop_functions_read(coppice_model *model, cop_functions *out, coppice_error *err);
void cop_functions_free(cop_functions *functions);

/* The function that a node calls, or NULL. */
const cop_function *cop_functions_find(const cop_functions *functions, const Onnx__NodeProto *node);

/* The inside of a call. */
typedef struct cop_scope {
    const struct cop_scope *outer; /* the call around it; NULL: the model's graph */
    const cop_function *function;
    const Onnx__NodeProto *call;
    const char *prefix; /* of names that are the function's own: "call/" */
    cop_map names;      /* name in the function to name in the graph, as a pointer */
    int depth;
} cop_scope;

/* Enters a call: binds the function's inputs and outputs. Errors: BAD_MODEL (the function calls
 * itself, too many inputs or outputs), LIMIT. Leave with cop_scope_leave, also on failure. */
coppice_status cop_scope_enter(coppice_model *model, cop_functions *functions,
                               const cop_scope *outer, const cop_function *function,
                               const Onnx__NodeProto *call, cop_scope *scope, coppice_error *err);
void cop_scope_leave(cop_scope *scope);

/* The name in the graph of what is called `name` in the function; "" for an input that the call
 * leaves out. `scope` NULL: `name` itself. NULL: no memory, or names have become too long. */
const char *cop_scope_name(coppice_model *model, cop_functions *functions, cop_scope *scope,
                           const char *name);

/* True when output `i` of the function is not made by its body: an input handed through, or the
 * same as another output. */
bool cop_scope_hands_through(const cop_scope *scope, size_t i);

/* The attribute that `attribute` refers to, or itself; *where is the scope it was written in. NULL:
 * neither the call nor the function says anything. */
Onnx__AttributeProto *cop_scope_attribute(cop_scope *scope, Onnx__AttributeProto *attribute,
                                          cop_scope **where);

/* Version of the operator set of `domain` that the function imports; 0: none. */
int64_t cop_scope_opset(const cop_scope *scope, const char *domain);

#endif
