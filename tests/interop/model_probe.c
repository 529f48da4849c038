/* Helper of test_roundtrip.py: loads a model and saves it again. */
#include <stdio.h>

#include <coppice/model.h>

/* model_probe IN OUT [DATA-FILE-NAME] */
int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    coppice_error err;
    coppice_model *model;
    coppice_save_options options;
    coppice_save_options_init(&options);
    options.overwrite = true;
    options.external_data = argc > 3 ? argv[3] : NULL;
    coppice_status status = coppice_model_load(argv[1], NULL, &model, &err);
    if (status == COPPICE_OK)
        status = coppice_model_save(model, argv[2], &options, NULL, &err);
    coppice_model_free(model);
    if (status != COPPICE_OK)
        fprintf(stderr, "%s: %s\n", coppice_status_name(status), err.message);
    return status == COPPICE_OK ? 0 : 2;
}
