/* Tests of data sets: images, labels and named arrays, and what is refused with which words. */
#include <check.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jpeglib.h>

#include <coppice/data.h>
#include <coppice/interrupt.h>

#include "folder.h"
#include "unit.h"

static coppice_error err;
static coppice_dataset_options options;
static coppice_dataset *ds;
static coppice_tensor batch[4];
static int64_t labels[64];

static void setup(void) {
    make_folder();
    ck_assert_int_eq(chdir(folder), 0); /* so that tests may use plain names */
    coppice_dataset_options_init(&options);
    ds = NULL;
}

static void teardown(void) {
    coppice_dataset_free(ds);
    ck_assert_int_eq(chdir("/"), 0);
    remove_folder();
}

static void write_file(const char *name, const void *bytes, size_t size) {
    FILE *file = fopen(name, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static void write_text(const char *name, const char *text) {
    write_file(name, text, strlen(text));
}

static void write_array(const char *name, coppice_type type, const char *shape, const void *data) {
    coppice_tensor t = {.type = type, .data = (void *)(uintptr_t)data};
    for (const char *at = shape; *at; at += *at == 'x')
        t.dims[t.rank++] = strtol(at, (char **)(uintptr_t)&at, 10);
    ck_assert_int_eq(coppice_npy_write(name, &t, true, &err), COPPICE_OK);
}

/* A picture whose pixels say where they are: 16 * y + x in every channel, plus 64 per channel. */
static void fill(unsigned char *pixels, int height, int width, int channels) {
    for (int i = 0; i < height * width * channels; i++)
        pixels[i] = (unsigned char)(16 * (i / channels / width) + i / channels % width +
                                    64 * (i % channels));
}

static void write_png(const char *name, int height, int width, int channels) {
    unsigned char pixels[4096];
    fill(pixels, height, width, channels);
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    ck_assert(png_image_write_to_file(&image, name, 0, pixels, 0, NULL));
}

static void write_jpeg(const char *name, int height, int width) {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    unsigned char row[3 * 256];
    memset(row, 100, sizeof row);
    FILE *file = fopen(name, "wb");
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_stdio_dest(&info, file);
    info.image_width = (JDIMENSION)width;
    info.image_height = (JDIMENSION)height;
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_start_compress(&info, TRUE);
    for (int y = 0; y < height; y++) {
        JSAMPROW rows[] = {row};
        jpeg_write_scanlines(&info, rows, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    fclose(file);
}

static coppice_value_info input_of(const char *name, coppice_type type, const char *shape) {
    coppice_value_info input = {.name = name, .type = type};
    for (const char *at = shape; *at; at += *at == 'x')
        input.dims[input.rank++] = strtol(at, (char **)(uintptr_t)&at, 10);
    return input;
}

static coppice_status open_for(const char *shape) {
    coppice_value_info input = input_of("x", COPPICE_TYPE_FLOAT, shape);
    coppice_dataset_free(ds);
    return coppice_dataset_open(&options, &input, 1, &ds, &err);
}

/* Opening fails with this status and these words. */
static void refuse(const char *shape, coppice_status status, const char *words) {
    coppice_status got = open_for(shape);
    ck_assert_msg(got == status && strstr(err.message, words), "%s: %s (wanted: %s)",
                  coppice_status_name(got), got ? err.message : "", words);
    ck_assert_ptr_null(ds);
}

static void take(int64_t first, int64_t n) {
    coppice_status status = coppice_dataset_batch(ds, first, n, batch, labels, &err);
    ck_assert_msg(status == COPPICE_OK, "%s", err.message);
}

static void accept(const char *shape) {
    coppice_status status = open_for(shape);
    ck_assert_msg(status == COPPICE_OK, "%s", err.message);
}

static float value(int64_t index) {
    return ((float *)batch[0].data)[index];
}

/* ---- images ---- */

START_TEST(images_become_planes_scaled_then_centred_then_divided) {
    write_png("a.png", 4, 5, 3);
    options.images = "a.png";
    options.scale = 0.5;
    options.mean_count = options.std_count = 3;
    for (int c = 0; c < 3; c++) {
        options.mean[c] = c + 1;
        options.std[c] = 2 << c;
    }
    accept("-1x3x4x5");
    take(0, 1);
    ck_assert_uint_eq(batch[0].rank, 4);
    ck_assert(batch[0].dims[1] == 3 && batch[0].dims[2] == 4 && batch[0].dims[3] == 5);
    for (int c = 0; c < 3; c++)
        ck_assert_float_eq(value(c * 20 + 2 * 5 + 3),
                           (float)(((64 * c + 35) * 0.5 - (c + 1)) / (2 << c)));
    ck_assert(!coppice_dataset_has_labels(ds));
    ck_assert_int_eq(labels[0], -1);
}
END_TEST

START_TEST(bgr_turns_channels_before_the_mean) {
    write_png("a.png", 1, 1, 3);
    options.images = "a.png";
    options.bgr = true;
    options.mean_count = 3;
    options.mean[0] = 128;
    accept("-1x3x1x1");
    take(0, 1);
    ck_assert(value(0) == 0 && value(1) == 64 && value(2) == 0);
}
END_TEST

START_TEST(crop_is_centred_and_rounds_down) {
    write_png("a.png", 5, 8, 1);
    options.images = "a.png";
    options.crop = 2;
    accept("-1x1x2x2");
    take(0, 1);
    ck_assert(value(0) == 16 * 1 + 3 && value(3) == 16 * 2 + 4);
    options.crop = 6;
    refuse("-1x1x6x6", COPPICE_BAD_DATA, "too few for --crop 6");
}
END_TEST

START_TEST(grey_serves_colour_models_and_colour_grey_ones) {
    write_png("grey.png", 2, 2, 1);
    options.images = "grey.png";
    accept("-1x3x2x2");
    take(0, 1);
    ck_assert(value(3) == 17 && value(7) == 17 && value(11) == 17);
    write_png("rgb.png", 1, 1, 3);
    options.images = "rgb.png";
    accept("-1x1x1x1");
    take(0, 1);
    ck_assert(value(0) == 52); /* 0.587 * 64 + 0.114 * 128 */
}
END_TEST

START_TEST(layouts_of_model_and_data_are_independent) {
    unsigned char pixels[2 * 3 * 3];
    fill(pixels, 2, 3, 3);
    write_array("x.npy", COPPICE_TYPE_UINT8, "1x2x3x3", pixels);
    options.images = "x.npy";
    accept("-1x2x3x3"); /* NHWC, as only the last dimension is a number of channels */
    take(0, 1);
    for (int i = 0; i < 18; i++)
        ck_assert(value(i) == pixels[i]);
    accept("-1x18");
    take(0, 1);
    ck_assert_uint_eq(batch[0].rank, 2);
    ck_assert(value(1) == pixels[3] && value(6) == pixels[1]);
    options.layout = COPPICE_LAYOUT_NCHW;
    refuse("-1x3x2x3", COPPICE_BAD_DATA, "2 channels where the model wants 3");
}
END_TEST

START_TEST(float_images_are_taken_as_planes) {
    float data[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11.5f};
    write_array("x.npy", COPPICE_TYPE_FLOAT, "1x3x2x2", data);
    options.images = "x.npy";
    accept("-1x3x2x2");
    take(0, 1);
    ck_assert_mem_eq(batch[0].data, data, sizeof data);
}
END_TEST

START_TEST(another_size_than_the_model_s_names_the_way_out) {
    write_jpeg("a.jpg", 20, 30);
    options.images = "a.jpg";
    refuse("-1x3x16x16", COPPICE_BAD_DATA, "30 x 20 pixels, where the model wants 16 x 16");
    options.resize = 16;
    refuse("-1x3x16x16", COPPICE_BAD_DATA, "24 x 16 pixels after");
    options.crop = 16;
    accept("-1x3x16x16");
    take(0, 1);
    ck_assert(value(0) > 98 && value(0) < 102);
}
END_TEST

START_TEST(options_out_of_range_are_refused) {
    write_png("a.png", 2, 2, 3);
    options.images = "a.png";
    options.mean_count = 2;
    refuse("-1x3x2x2", COPPICE_INVALID_ARGUMENT, "one per channel (3)");
    options.mean_count = 0;
    options.std_count = 1;
    refuse("-1x3x2x2", COPPICE_INVALID_ARGUMENT, "--std is zero");
    options.std_count = 0;
    options.resize = 1 << 20;
    refuse("-1x3x2x2", COPPICE_INVALID_ARGUMENT, "--resize");
    options.resize = 60000;
    refuse("-1x3x2x2", COPPICE_LIMIT, "pixels");
    options.resize = 0;
    options.limit = -1;
    refuse("-1x3x2x2", COPPICE_INVALID_ARGUMENT, "--limit");
    options.limit = 0;
    refuse("-1x3x2x2x2", COPPICE_UNSUPPORTED, "5 dimensions");
    options.images = NULL;
    refuse("-1x3x2x2", COPPICE_INVALID_ARGUMENT, "no data");
}
END_TEST

START_TEST(damaged_images_are_refused_by_name) {
    write_png("a.png", 9, 9, 3);
    write_jpeg("a.jpg", 40, 40);
    static const char *const names[] = {"a.png", "a.jpg"};
    for (int i = 0; i < 2; i++) {
        unsigned char bytes[4096];
        FILE *file = fopen(names[i], "rb");
        size_t size = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        options.images = names[i];
        ck_assert_int_eq(open_for("-1x3x-1x-1"), COPPICE_OK);
        for (size_t cut = 0; cut < size; cut++) {
            write_file(names[i], bytes, cut);
            ck_assert_int_ne(open_for("-1x3x-1x-1"), COPPICE_OK);
            ck_assert_ptr_nonnull(strstr(err.message, names[i]));
        }
        for (size_t at = 0; at < size; at++) {
            bytes[at] ^= 0xa5; /* anything but a crash */
            write_file(names[i], bytes, size);
            open_for("-1x3x-1x-1");
            bytes[at] ^= 0xa5;
        }
    }
}
END_TEST

START_TEST(files_of_another_kind_are_refused_as_images) {
    write_text("x.npy", "no array");
    options.images = "x.npy";
    refuse("-1x3x2x2", COPPICE_BAD_DATA, "neither a .npy nor an idx");
    write_array("x.npy", COPPICE_TYPE_INT64, "1x2x2x3", (int64_t[12]){0});
    refuse("-1x3x2x2", COPPICE_BAD_DATA, "images of type int64");
    write_array("x.npy", COPPICE_TYPE_UINT8, "4x3", "abcdefghijkl");
    refuse("-1x3x2x2", COPPICE_BAD_DATA, "2 dimensions");
    write_array("x.npy", COPPICE_TYPE_UINT8, "0x2x2x3", "");
    refuse("-1x3x2x2", COPPICE_BAD_DATA, "no samples");
    write_text("x.npy", "");
    refuse("-1x3x2x2", COPPICE_BAD_DATA, "empty");
    options.images = "absent";
    refuse("-1x3x2x2", COPPICE_NOT_FOUND, "absent");
}
END_TEST

/* ---- folders and labels ---- */

START_TEST(folder_images_come_in_order_of_their_names) {
    mkdir("f", 0700);
    write_png("f/b.PNG", 1, 2, 1);
    write_png("f/a.png", 1, 1, 1);
    write_jpeg("f/c.jpeg", 8, 8);
    write_text("f/notes.txt", "no image");
    write_text("f/.hidden.jpg", "no image");
    options.images = "f";
    accept("-1x1x-1x-1");
    ck_assert_int_eq(coppice_dataset_count(ds), 3);
    take(0, 1);
    ck_assert_int_eq(batch[0].dims[3], 1);
    take(1, 1);
    ck_assert_int_eq(batch[0].dims[3], 2);
    ck_assert_int_eq(coppice_dataset_batch(ds, 0, 2, batch, NULL, &err), COPPICE_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(err.message, "differ in size"));
}
END_TEST

START_TEST(folder_of_folders_labels_itself) {
    mkdir("f", 0700);
    mkdir("f/zebra", 0700);
    mkdir("f/ant", 0700);
    mkdir("f/ant-eater", 0700);
    write_png("f/zebra/1.png", 1, 1, 1);
    write_png("f/ant/2.png", 1, 1, 1);
    write_png("f/ant-eater/1.png", 1, 1, 1);
    write_png("f/ant/1.png", 1, 1, 1);
    options.images = "f";
    accept("-1x1x1x1");
    ck_assert(coppice_dataset_has_labels(ds));
    take(0, 4);
    ck_assert(labels[0] == 0 && labels[1] == 0 && labels[2] == 1 && labels[3] == 2);
    write_text("labels.txt", "ant/1.png 7\nant/2.png 8\nant-eater/1.png 9\nzebra/1.png 3\n");
    options.labels = "labels.txt";
    accept("-1x1x1x1");
    take(0, 4);
    ck_assert(labels[0] == 7 && labels[1] == 8 && labels[2] == 9 && labels[3] == 3);
    write_text("labels.txt", "x/1.png 7\ny/1.png 8\n2.png 1\n");
    refuse("-1x1x1x1", COPPICE_BAD_DATA, "several labels for image 'ant/1.png'");
}
END_TEST

START_TEST(folders_without_usable_images_are_refused) {
    mkdir("f", 0700);
    options.images = "f";
    refuse("-1x1x1x1", COPPICE_BAD_DATA, "no .jpg, .jpeg or .png image");
    write_text("f/a.webp", "x");
    refuse("-1x1x1x1", COPPICE_UNSUPPORTED, "f/a.webp: only JPEG and PNG");
    unlink("f/a.webp");
    write_png("f/a.png", 1, 1, 1);
    mkdir("f/sub", 0700);
    accept("-1x1x1x1");
    write_png("f/sub/a.png", 1, 1, 1);
    refuse("-1x1x1x1", COPPICE_BAD_DATA, "keep one kind");
}
END_TEST

START_TEST(text_labels_are_found_by_name_in_any_order) {
    mkdir("f", 0700);
    write_png("f/a.png", 1, 1, 1);
    write_png("f/b c.png", 1, 1, 1);
    options.images = "f";
    options.labels = "l.txt";
    write_text("l.txt", "z.png 9\r\nb c.png\t5\r\n\r\nval/a.png  3");
    accept("-1x1x1x1");
    take(0, 2);
    ck_assert(labels[0] == 3 && labels[1] == 5);
    write_text("l.txt", "4\n6\n");
    accept("-1x1x1x1");
    take(0, 2);
    ck_assert(labels[0] == 4 && labels[1] == 6);
}
END_TEST

START_TEST(label_files_that_do_not_fit_are_refused) {
    static const struct {
        const char *text, *words;
    } cases[] = {{"a.png 1\n", "no label for image 'b.png'"},
                 {"a.png 1\na.png 2\nb.png 1\n", "'a.png' has two labels, 1 and 2"},
                 {"a.png 1\nb.png\n", "line 2 does not end with a label"},
                 {"a.png 1\nb.png -1\n", "line 2 does not end with a label"},
                 {"a.png 1\n2\n", "line 2: some lines have names"},
                 {"a.png 99999999999999999999\n", "line 1 does not end with a label"},
                 {"1\n2\n3\n", "3 labels for 2 samples"},
                 {"", "0 labels for 2 samples"}};
    mkdir("f", 0700);
    write_png("f/a.png", 1, 1, 1);
    write_png("f/b.png", 1, 1, 1);
    options.images = "f";
    options.labels = "l.txt";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text("l.txt", cases[i].text);
        refuse("-1x1x1x1", COPPICE_BAD_DATA, cases[i].words);
        ck_assert_ptr_nonnull(strstr(err.message, "l.txt"));
    }
    write_file("l.txt", "a\0b", 3);
    refuse("-1x1x1x1", COPPICE_BAD_DATA, "neither text");
    write_array("l.txt", COPPICE_TYPE_INT32, "3", (int32_t[]){0, 1, 2});
    refuse("-1x1x1x1", COPPICE_BAD_DATA, "3 labels for 2 samples");
    write_array("l.txt", COPPICE_TYPE_FLOAT, "2", (float[]){0, 1});
    refuse("-1x1x1x1", COPPICE_BAD_DATA, "labels are of type float32");
    write_array("l.txt", COPPICE_TYPE_INT8, "2", (int8_t[]){0, -1});
    refuse("-1x1x1x1", COPPICE_BAD_DATA, "label 1 is not a class number");
    write_array("l.txt", COPPICE_TYPE_UINT8, "2x2", "abcd");
    refuse("-1x1x1x1", COPPICE_BAD_DATA, "one number per sample");
    options.labels = "absent";
    refuse("-1x1x1x1", COPPICE_NOT_FOUND, "absent");
}
END_TEST

START_TEST(limit_cuts_samples_but_labels_must_fit_all) {
    write_array("x.npy", COPPICE_TYPE_UINT8, "4x1x1", "abcd");
    write_array("y.npy", COPPICE_TYPE_UINT8, "4", "\1\2\3\4");
    options.images = "x.npy";
    options.labels = "y.npy";
    options.limit = 3;
    accept("-1x1x1x1");
    ck_assert_int_eq(coppice_dataset_count(ds), 3);
    take(2, 1);
    ck_assert(value(0) == 'c' && labels[0] == 3);
    ck_assert_int_eq(coppice_dataset_batch(ds, 2, 2, batch, NULL, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_int_eq(coppice_dataset_batch(ds, -1, 1, batch, NULL, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_int_eq(coppice_dataset_batch(ds, 0, 0, batch, NULL, &err), COPPICE_INVALID_ARGUMENT);
    coppice_interrupt();
    ck_assert_int_eq(coppice_dataset_batch(ds, 0, 1, batch, NULL, &err), COPPICE_INTERRUPTED);
    coppice_interrupt_clear();
}
END_TEST

/* ---- named arrays ---- */

START_TEST(named_arrays_fill_inputs_in_the_model_s_order) {
    write_array("a.npy", COPPICE_TYPE_INT32, "3x2", (int32_t[]){1, 2, 3, 4, 5, 6});
    static const char *const names[] = {"state"};
    coppice_tensor state = {.type = COPPICE_TYPE_DOUBLE,
                            .rank = 3,
                            .dims = {3, 2, 1},
                            .data = (double[]){1, 2, 3, 4, 5, 6}};
    ck_assert_int_eq(coppice_npz_write("s.npz", 1, names, &state, false, &err), COPPICE_OK);
    coppice_value_info inputs[] = {input_of("state", COPPICE_TYPE_FLOAT, "-1x2x1"),
                                   input_of("ids", COPPICE_TYPE_INT64, "-1x2")};
    static const char *const arguments[] = {"ids=a.npy", "s.npz"};
    options.inputs = arguments;
    options.input_count = 2;
    ck_assert_int_eq(coppice_dataset_open(&options, inputs, 2, &ds, &err), COPPICE_OK);
    take(1, 2);
    ck_assert(batch[0].type == COPPICE_TYPE_FLOAT && batch[0].rank == 3);
    ck_assert(value(0) == 3 && value(3) == 6);
    ck_assert(batch[1].type == COPPICE_TYPE_INT64 && batch[1].dims[0] == 2);
    ck_assert_int_eq(((int64_t *)batch[1].data)[2], 5);
}
END_TEST

START_TEST(images_may_stand_beside_named_arrays) {
    write_array("a.npy", COPPICE_TYPE_FLOAT, "2x1", (float[]){1, 2});
    write_array("x.npy", COPPICE_TYPE_UINT8, "2x1x1", "ab");
    coppice_value_info inputs[] = {input_of("scale", COPPICE_TYPE_FLOAT, "-1x1"),
                                   input_of("image", COPPICE_TYPE_FLOAT, "-1x1x1x1")};
    static const char *const arguments[] = {"scale=a.npy"};
    options.images = "x.npy";
    ck_assert_int_eq(coppice_dataset_open(&options, inputs, 2, &ds, &err),
                     COPPICE_INVALID_ARGUMENT);
    options.inputs = arguments;
    options.input_count = 1;
    ck_assert_int_eq(coppice_dataset_open(&options, inputs, 2, &ds, &err), COPPICE_OK);
    take(0, 2);
    ck_assert(value(1) == 2 && ((float *)batch[1].data)[1] == 'b');
}
END_TEST

START_TEST(arrays_that_do_not_fit_their_input_are_refused) {
    static const char *arguments[] = {"a.npy", "a.npy"};
    options.inputs = arguments;
    options.input_count = 1;
    write_array("a.npy", COPPICE_TYPE_FLOAT, "2x3", (float[6]){0});
    refuse("-1x4", COPPICE_BAD_DATA, "shape [2,3] does not fit input 'x' [?,4]");
    refuse("-1x3x3x3", COPPICE_BAD_DATA, "does not fit");
    options.input_count = 2;
    refuse("-1x3", COPPICE_INVALID_ARGUMENT, "has data already");
    options.input_count = 1;
    options.crop = 3;
    refuse("-1x3", COPPICE_INVALID_ARGUMENT, "are for --images");
    options.crop = 0;
    arguments[0] = "y=a.npy";
    refuse("-1x3", COPPICE_INVALID_ARGUMENT, "no input of that name");
    arguments[0] = "x=a.npy";
    write_array("a.npy", COPPICE_TYPE_UINT8, "2x3", "abcdef");
    refuse("-1x3", COPPICE_BAD_DATA, "type uint8 does not fit input 'x' of type float32");
    ck_assert_int_eq(coppice_npz_write("z.npz", 0, NULL, NULL, false, &err), COPPICE_OK);
    arguments[0] = "z.npz";
    refuse("-1x3", COPPICE_BAD_DATA, "no array is called 'x'");
}
END_TEST

START_TEST(numbers_that_do_not_fit_the_input_s_type_name_their_sample) {
    write_array("a.npy", COPPICE_TYPE_INT64, "3x1", (int64_t[]){1, 2, 256});
    static const char *const arguments[] = {"a.npy"};
    options.inputs = arguments;
    options.input_count = 1;
    coppice_value_info input = input_of("ids", COPPICE_TYPE_UINT8, "-1x1");
    ck_assert_int_eq(coppice_dataset_open(&options, &input, 1, &ds, &err), COPPICE_OK);
    take(0, 2);
    ck_assert_int_eq(coppice_dataset_batch(ds, 1, 2, batch, NULL, &err), COPPICE_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(err.message, "sample 2"));
}
END_TEST

START_TEST(fixed_batches_repeat_the_last_sample) {
    write_array("x.npy", COPPICE_TYPE_UINT8, "5x1x1", "abcde");
    options.images = "x.npy";
    accept("4x1x1x1");
    ck_assert_int_eq(coppice_dataset_max_batch(ds), 4);
    take(3, 2);
    ck_assert_int_eq(batch[0].dims[0], 4);
    ck_assert(value(0) == 'd' && value(1) == 'e' && value(2) == 'e' && value(3) == 'e');
    ck_assert_int_eq(coppice_dataset_batch(ds, 0, 5, batch, NULL, &err), COPPICE_INVALID_ARGUMENT);
    static const char *const arguments[] = {"a.npy"};
    write_array("a.npy", COPPICE_TYPE_FLOAT, "3x2", (float[]){1, 2, 3, 4, 5, 6});
    options = (coppice_dataset_options){.scale = 1, .inputs = arguments, .input_count = 1};
    accept("2x2");
    take(2, 1);
    ck_assert_mem_eq(batch[0].data, ((float[]){5, 6, 5, 6}), 16);
}
END_TEST

START_TEST(an_axis_more_than_the_input_gives_whole_inputs) {
    write_array("a.npy", COPPICE_TYPE_FLOAT, "3x2x1", (float[]){1, 2, 3, 4, 5, 6});
    static const char *const arguments[] = {"a.npy"};
    options.inputs = arguments;
    options.input_count = 1;
    accept("2x1");
    ck_assert_int_eq(coppice_dataset_max_batch(ds), 1);
    take(2, 1);
    ck_assert(batch[0].rank == 2 && batch[0].dims[0] == 2 && batch[0].dims[1] == 1);
    ck_assert(value(0) == 5 && value(1) == 6);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("data sets");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, images_become_planes_scaled_then_centred_then_divided);
    tcase_add_test(tests, bgr_turns_channels_before_the_mean);
    tcase_add_test(tests, crop_is_centred_and_rounds_down);
    tcase_add_test(tests, grey_serves_colour_models_and_colour_grey_ones);
    tcase_add_test(tests, layouts_of_model_and_data_are_independent);
    tcase_add_test(tests, float_images_are_taken_as_planes);
    tcase_add_test(tests, another_size_than_the_model_s_names_the_way_out);
    tcase_add_test(tests, options_out_of_range_are_refused);
    tcase_add_test(tests, damaged_images_are_refused_by_name);
    tcase_add_test(tests, files_of_another_kind_are_refused_as_images);
    tcase_add_test(tests, folder_images_come_in_order_of_their_names);
    tcase_add_test(tests, folder_of_folders_labels_itself);
    tcase_add_test(tests, folders_without_usable_images_are_refused);
    tcase_add_test(tests, text_labels_are_found_by_name_in_any_order);
    tcase_add_test(tests, label_files_that_do_not_fit_are_refused);
    tcase_add_test(tests, limit_cuts_samples_but_labels_must_fit_all);
    tcase_add_test(tests, named_arrays_fill_inputs_in_the_model_s_order);
    tcase_add_test(tests, images_may_stand_beside_named_arrays);
    tcase_add_test(tests, arrays_that_do_not_fit_their_input_are_refused);
    tcase_add_test(tests, numbers_that_do_not_fit_the_input_s_type_name_their_sample);
    tcase_add_test(tests, fixed_batches_repeat_the_last_sample);
    tcase_add_test(tests, an_axis_more_than_the_input_gives_whole_inputs);
    return unit_run("data sets", tests);
}
