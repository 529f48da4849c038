/* The model object: what was loaded, and questions about it. */
#include <coppice/model.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "graph/model.h"
#include "onnx/internal.h"

void coppice_model_free(coppice_model *model) {
    if (!model)
        return;
    cop_graph_free(model->graph);
    cop_constants_free(&model->tensors);
    for (size_t i = 0; i < model->data_file_count; i++) {
        cop_free(model->data_files[i].path);
        cop_mapping_close(&model->data_files[i].mapping);
    }
    cop_free(model->data_files);
    cop_free(model->external);
    cop_free(model->notes);
    cop_arena_free(&model->arena);
    cop_mapping_close(&model->file);
    cop_free(model->copy);
    cop_free(model->path);
    cop_free(model);
}

coppice_status cop_model_add_note(coppice_model *model, coppice_error *err, const char *format,
                                  ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *copy = cop_arena_strdup(&model->arena, text);
    if (!copy || cop_grow(&model->notes, model->note_count, &model->note_capacity,
                          sizeof *model->notes) != 0)
        return cop_fail_memory(err, sizeof text);
    model->notes[model->note_count++] = copy;
    return COPPICE_OK;
}

const char *cop_or_empty(const char *text) {
    return text ? text : "";
}

cop_graph *cop_model_graph(coppice_model *model) {
    return model->graph;
}

const cop_graph *cop_model_graph_const(const coppice_model *model) {
    return model->graph;
}

const cop_constants *cop_model_constants(const coppice_model *model) {
    return &model->tensors;
}

const coppice_host *cop_model_host(const coppice_model *model) {
    return model->host;
}

const char *cop_model_path(const coppice_model *model) {
    return model->path;
}

int64_t coppice_model_file_bytes(const coppice_model *model) {
    int64_t total = (int64_t)model->bytes;
    for (size_t i = 0; i < model->data_file_count; i++)
        total += (int64_t)model->data_files[i].mapping.bytes;
    return total;
}

int64_t coppice_model_ir_version(const coppice_model *model) {
    return model->proto->ir_version;
}

int64_t coppice_model_opset(const coppice_model *model, const char *domain) {
    return cop_graph_opset(model->graph, domain);
}

const char *coppice_model_note(const coppice_model *model, size_t index) {
    return index < model->note_count ? model->notes[index] : NULL;
}

size_t coppice_model_input_count(const coppice_model *model) {
    return model->input_count;
}

size_t coppice_model_output_count(const coppice_model *model) {
    return model->output_count;
}

coppice_value_info coppice_model_input(const coppice_model *model, size_t index) {
    return model->inputs[index];
}

coppice_value_info coppice_model_output(const coppice_model *model, size_t index) {
    return model->outputs[index];
}

bool coppice_model_opset_at(const coppice_model *model, size_t index, const char **domain,
                            int64_t *version) {
    if (index >= model->graph->opset_count)
        return false;
    *domain = model->graph->opsets[index].domain;
    *version = model->graph->opsets[index].version;
    return true;
}
