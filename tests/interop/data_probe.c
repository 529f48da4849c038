/* Helper of test_data.py: reads with coppice what NumPy and Pillow wrote, and writes it as .npy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <coppice/data.h>
#include <coppice/metrics.h>

static coppice_error err;

static int fail(void) {
    fprintf(stderr, "%s: %s\n", coppice_status_name(err.status), err.message);
    return 2;
}

/* npy IN OUT */
static int copy_npy(char **args) {
    coppice_tensor t;
    if (coppice_npy_read(args[0], &t, &err) != COPPICE_OK)
        return fail();
    coppice_status status = coppice_npy_write(args[1], &t, true, &err);
    coppice_tensor_release(&t);
    return status ? fail() : 0;
}

/* npz IN OUT */
static int copy_npz(char **args) {
    enum { MAX = 100 };
    coppice_tensor tensors[MAX];
    const char *names[MAX];
    coppice_npz *npz;
    if (coppice_npz_open(args[0], &npz, &err) != COPPICE_OK)
        return fail();
    size_t count = coppice_npz_count(npz), done = 0;
    coppice_status status = COPPICE_OK;
    for (; done < count && done < MAX && status == COPPICE_OK; done++) {
        names[done] = coppice_npz_name(npz, done);
        status = coppice_npz_read(npz, done, &tensors[done], &err);
    }
    if (status == COPPICE_OK)
        status = coppice_npz_write(args[1], done, names, tensors, true, &err);
    for (size_t i = 0; i < done; i++)
        coppice_tensor_release(&tensors[i]);
    coppice_npz_free(npz);
    return status ? fail() : 0;
}

static size_t numbers(const char *text, double *out) {
    size_t count = 0;
    for (const char *at = text; *at && count < COPPICE_MAX_CHANNELS; count++) {
        char *end;
        out[count] = strtod(at, &end);
        at = *end == ',' ? end + 1 : end;
    }
    return count;
}

static void set_option(coppice_dataset_options *o, const char *name, char *value) {
    if (strcmp(name, "labels") == 0)
        o->labels = value;
    else if (strcmp(name, "resize") == 0)
        o->resize = atoi(value);
    else if (strcmp(name, "crop") == 0)
        o->crop = atoi(value);
    else if (strcmp(name, "scale") == 0)
        o->scale = atof(value);
    else if (strcmp(name, "mean") == 0)
        o->mean_count = numbers(value, o->mean);
    else if (strcmp(name, "std") == 0)
        o->std_count = numbers(value, o->std);
    else if (strcmp(name, "bgr") == 0)
        o->bgr = true;
    else if (strcmp(name, "layout") == 0)
        o->layout = strcmp(value, "nhwc") == 0 ? COPPICE_LAYOUT_NHWC : COPPICE_LAYOUT_NCHW;
    else if (strcmp(name, "limit") == 0)
        o->limit = atoi(value);
}

/* images OUT BATCH TYPE DIMxDIM... PATH [NAME VALUE]...: all batches to OUT.0.npy, OUT.1.npy, ...,
 * labels to OUT.labels.npy */
static int images(int count, char **args) {
    coppice_dataset_options options;
    coppice_dataset_options_init(&options);
    options.images = args[4];
    for (int i = 5; i + 1 < count; i += 2)
        set_option(&options, args[i], args[i + 1]);
    coppice_value_info input = {.name = "input", .type = (coppice_type)atoi(args[2])};
    for (char *at = args[3]; *at;) {
        input.dims[input.rank++] = strtol(at, &at, 10);
        at += *at == 'x';
    }
    coppice_dataset *ds;
    if (coppice_dataset_open(&options, &input, 1, &ds, &err) != COPPICE_OK)
        return fail();
    int64_t total = coppice_dataset_count(ds), batch = atoi(args[1]);
    int64_t *labels = malloc((size_t)total * sizeof *labels);
    coppice_status status = COPPICE_OK;
    char path[4096];
    for (int64_t first = 0, k = 0; first < total && status == COPPICE_OK; first += batch, k++) {
        coppice_tensor tensor;
        int64_t n = total - first < batch ? total - first : batch;
        status = coppice_dataset_batch(ds, first, n, &tensor, labels + first, &err);
        snprintf(path, sizeof path, "%s.%lld.npy", args[0], (long long)k);
        if (status == COPPICE_OK)
            status = coppice_npy_write(path, &tensor, true, &err);
    }
    snprintf(path, sizeof path, "%s.labels.npy", args[0]);
    coppice_tensor all = {.type = COPPICE_TYPE_INT64, .rank = 1, .dims = {total}, .data = labels};
    if (status == COPPICE_OK)
        status = coppice_npy_write(path, &all, true, &err);
    free(labels);
    coppice_dataset_free(ds);
    return status ? fail() : 0;
}

/* metrics A.npy B.npy LABELS.npy K */
static int metrics(char **args) {
    coppice_tensor a, b, labels;
    if (coppice_npy_read(args[0], &a, &err) || coppice_npy_read(args[1], &b, &err) ||
        coppice_npy_read(args[2], &labels, &err))
        return fail();
    coppice_metric_sums sums = {0};
    int64_t hits = 0, rows = a.dims[0];
    double low, high;
    if (coppice_metric_top_k(&a, labels.data, rows, atoi(args[3]), &hits, &err) ||
        coppice_metric_add(&sums, &a, &b, rows, &err))
        return fail();
    coppice_metric_wilson(hits, rows, &low, &high);
    printf("%lld %.17g %.17g %.17g %.17g %.17g %.17g\n", (long long)hits,
           coppice_metric_max_abs(&sums), coppice_metric_cosine(&sums), coppice_metric_psnr(&sums),
           coppice_metric_kl(&sums), low, high);
    coppice_tensor_release(&a);
    coppice_tensor_release(&b);
    coppice_tensor_release(&labels);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "npy") == 0)
        return copy_npy(argv + 2);
    if (argc == 4 && strcmp(argv[1], "npz") == 0)
        return copy_npz(argv + 2);
    if (argc >= 7 && strcmp(argv[1], "images") == 0)
        return images(argc - 2, argv + 2);
    if (argc == 6 && strcmp(argv[1], "metrics") == 0)
        return metrics(argv + 2);
    fprintf(stderr, "usage: data_probe npy|npz|images|metrics ...\n");
    return 2;
}
