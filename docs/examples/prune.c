/* Prunes a model: loads it, sets its smallest weights to zero, saves it.
 *
 *     prune MODEL.onnx OUT.onnx SPARSITY */
#include <stdio.h>
#include <stdlib.h>

#include <coppice/coppice.h>

static void print_report(const coppice_prune_report *report, const coppice_save_result *saved) {
    for (size_t i = 0; i < report->layer_count; i++) {
        const coppice_prune_layer *layer = &report->layers[i];
        printf("%-40s %9lld weights %9lld zeros  %s\n", layer->initializer,
               (long long)layer->weights, (long long)layer->zeros,
               layer->kept_dense ? layer->kept_dense : "");
    }
    printf("%lld of %lld weights are zero, %lld of %lld multiply-accumulates left, %lld bytes\n",
           (long long)report->zeros, (long long)report->weights, (long long)report->macs_left,
           (long long)report->macs_dense, (long long)saved->bytes);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s MODEL.onnx OUT.onnx SPARSITY\n", argv[0]);
        return 2;
    }
    coppice_prune_options options;
    coppice_prune_options_init(&options);
    options.sparsity = atof(argv[3]);
    coppice_save_options save;
    coppice_save_options_init(&save);
    save.overwrite = true;

    /* Every object is NULL until it is made, so that one way out frees whatever there is. */
    coppice_model *model = NULL;
    coppice_prune_report *report = NULL;
    coppice_save_result saved;
    coppice_error error;
    int ok = coppice_model_load(argv[1], NULL, &model, &error) == COPPICE_OK &&
             coppice_prune(model, &options, &report, &error) == COPPICE_OK &&
             coppice_model_save(model, argv[2], &save, &saved, &error) == COPPICE_OK;
    if (ok)
        print_report(report, &saved);
    else
        fprintf(stderr, "%s\n", error.message);
    coppice_prune_report_free(report);
    coppice_model_free(model);
    return ok ? 0 : 1;
}
