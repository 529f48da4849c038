/* Runs a classifier on the first image of an array and prints its three best classes.
 *
 *     run MODEL.onnx IMAGES.npy          8-bit images [n,height,width,channels] */
#include <stdio.h>

#include <coppice/coppice.h>

static void print_best(const float *scores, int64_t count) {
    enum { PLACES = 3 };
    int64_t best[PLACES + 1]; /* the last one falls out */
    int found = 0;
    for (int64_t i = 0; i < count; i++) {
        int place = found < PLACES ? found++ : PLACES;
        for (; place > 0 && scores[best[place - 1]] < scores[i]; place--)
            best[place] = best[place - 1];
        best[place] = i;
    }
    for (int place = 0; place < found; place++)
        printf("class %lld, score %g\n", (long long)best[place], scores[best[place]]);
}

/* Prepares the image as the model wants it: here 0 .. 255 becomes 0 .. 1. */
static coppice_status open_images(const coppice_model *model, const char *path,
                                  coppice_dataset **images, coppice_error *error) {
    coppice_value_info input = coppice_model_input(model, 0);
    coppice_dataset_options options;
    coppice_dataset_options_init(&options);
    options.images = path;
    options.scale = 1.0 / 255;
    return coppice_dataset_open(&options, &input, 1, images, error);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL.onnx IMAGES.npy\n", argv[0]);
        return 2;
    }
    coppice_model *model = NULL;
    coppice_dataset *images = NULL;
    coppice_session *session = NULL;
    coppice_tensor image;
    const coppice_tensor *outputs; /* owned by the session */
    coppice_error error;
    int ok = coppice_model_load(argv[1], NULL, &model, &error) == COPPICE_OK &&
             open_images(model, argv[2], &images, &error) == COPPICE_OK &&
             coppice_dataset_batch(images, 0, 1, &image, NULL, &error) == COPPICE_OK &&
             coppice_session_create(model, NULL, &session, &error) == COPPICE_OK &&
             coppice_session_run(session, &image, 1, &outputs, &error) == COPPICE_OK;
    if (ok)
        print_best(outputs[0].data, coppice_tensor_count(&outputs[0]));
    else
        fprintf(stderr, "%s\n", error.message);
    coppice_session_free(session); /* before its model */
    coppice_dataset_free(images);
    coppice_model_free(model);
    return ok ? 0 : 1;
}
