/* Prunes in five steps and lets a callback change the weights after each. This one takes the mean
 * out of every layer; training would go into the same place. What is pruned stays zero.
 *
 *     hook MODEL.onnx OUT.onnx SPARSITY */
#include <stdio.h>
#include <stdlib.h>

#include <coppice/coppice.h>

/* The hook. Any status but COPPICE_OK stops the pruning. */
static coppice_status centre(void *cookie, coppice_model *model, const coppice_step *step,
                             coppice_error *error) {
    coppice_status status = COPPICE_OK;
    (void)cookie;
    for (size_t i = 0; status == COPPICE_OK && i < step->report->layer_count; i++) {
        const coppice_prune_layer *layer = &step->report->layers[i];
        size_t at = (size_t)coppice_model_tensor_find(model, layer->initializer);
        if (coppice_model_tensor_info(model, at).type != COPPICE_TYPE_FLOAT)
            continue;
        float *weights = calloc((size_t)layer->weights, sizeof *weights);
        if (!weights)
            return COPPICE_OUT_OF_MEMORY;
        double mean = 0;
        coppice_model_tensor_read(model, at, weights, error);
        for (int64_t k = 0; k < layer->weights; k++)
            mean += weights[k] / (double)layer->weights;
        for (int64_t k = 0; k < layer->weights; k++)
            weights[k] -= (float)mean;
        status = coppice_model_tensor_write(model, at, weights, error);
        free(weights);
    }
    return status;
}

int main(int argc, char **argv) {
    coppice_model *model = NULL;
    coppice_prune_report *report = NULL;
    coppice_error error = {COPPICE_OK, "usage: hook MODEL.onnx OUT.onnx SPARSITY", "", "", -1};
    coppice_prune_options target;
    coppice_prune_options_init(&target);
    target.sparsity = argc == 4 ? atof(argv[3]) : 0;
    coppice_gradual_options options;
    coppice_gradual_options_init(&options);
    options.prune = &target;
    options.steps = 5;
    options.finetune = centre;
    int64_t changed = -1; /* weights that are not zero though their mask prunes them */
    int ok = argc == 4 && coppice_model_load(argv[1], NULL, &model, &error) == COPPICE_OK &&
             coppice_prune_gradually(model, &options, &report, &error) == COPPICE_OK &&
             coppice_masks_apply(report->masks, model, &changed, &error) == COPPICE_OK &&
             coppice_model_save(model, argv[2], NULL, NULL, &error) == COPPICE_OK;
    if (ok)
        printf("%lld zeros, of which %lld changed\n", (long long)report->zeros, (long long)changed);
    else
        fprintf(stderr, "%s\n", error.message);
    coppice_prune_report_free(report);
    coppice_model_free(model);
    return ok && changed == 0 ? 0 : 1;
}
