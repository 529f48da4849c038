/* Tests of .npy, .npz and idx files: what is written is read again, what is damaged is refused. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>
#include <zlib.h>

#include <coppice/data.h>

#include "base/file.h"
#include "data/array.h"
#include "data/convert.h"
#include "unit.h"

static char folder[64], path[80];
static coppice_error err;

static void setup(void) {
    strcpy(folder, "/tmp/coppice-arrays-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    err = (coppice_error){0};
}

static void teardown(void) {
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0); /* fails when a temporary file was left behind */
}

static void write_file(const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static unsigned char *read_file(size_t *size) {
    int64_t bytes = cop_file_bytes(path);
    ck_assert_int_ge(bytes, 0);
    unsigned char *data = malloc((size_t)bytes + 1);
    FILE *file = fopen(path, "rb");
    ck_assert_uint_eq(fread(data, 1, (size_t)bytes, file), (size_t)bytes);
    fclose(file);
    *size = (size_t)bytes;
    return data;
}

/* A .npy of format `version` with this header text and `size` bytes of data. */
static void write_npy(int version, const char *text, const void *data, size_t size) {
    unsigned char bytes[4096] = {0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)version, 0};
    size_t prefix = version == 1 ? 10 : 12, length = strlen(text);
    bytes[8] = (unsigned char)(length & 255);
    bytes[9] = (unsigned char)(length >> 8);
    memcpy(bytes + prefix, text, length);
    if (size)
        memcpy(bytes + prefix + length, data, size);
    write_file(bytes, prefix + length + size);
}

static coppice_status try_npy(void) {
    coppice_tensor t;
    coppice_status status = coppice_npy_read(path, &t, &err);
    coppice_tensor_release(&t);
    return status;
}

START_TEST(npy_keeps_type_shape_and_bits) {
    static const coppice_type types[] = {
        COPPICE_TYPE_BOOL,      COPPICE_TYPE_UINT8,     COPPICE_TYPE_INT8,  COPPICE_TYPE_UINT16,
        COPPICE_TYPE_INT16,     COPPICE_TYPE_UINT32,    COPPICE_TYPE_INT32, COPPICE_TYPE_UINT64,
        COPPICE_TYPE_INT64,     COPPICE_TYPE_FLOAT16,   COPPICE_TYPE_FLOAT, COPPICE_TYPE_DOUBLE,
        COPPICE_TYPE_COMPLEX64, COPPICE_TYPE_COMPLEX128};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        for (uint32_t rank = 0; rank <= COPPICE_MAX_RANK; rank++) {
            unsigned char data[16 * 6];
            for (size_t k = 0; k < sizeof data; k++)
                data[k] = types[i] == COPPICE_TYPE_BOOL ? k & 1 : (unsigned char)(k * 37);
            coppice_tensor t = {.type = types[i], .rank = rank, .data = data}, back;
            for (uint32_t d = 0; d < rank; d++)
                t.dims[d] = d == 0 ? 2 : d == 2 ? 3 : 1;
            ck_assert_int_eq(coppice_npy_write(path, &t, true, &err), COPPICE_OK);
            ck_assert_int_eq(coppice_npy_read(path, &back, &err), COPPICE_OK);
            ck_assert_int_eq(back.type, t.type);
            ck_assert_uint_eq(back.rank, t.rank);
            ck_assert_mem_eq(back.dims, t.dims, sizeof t.dims);
            ck_assert_mem_eq(back.data, data, (size_t)coppice_tensor_bytes(&t));
            coppice_tensor_release(&back);
        }
    }
}
END_TEST

START_TEST(npy_fortran_order_and_big_endian_become_plain) {
    /* [[1,2,3],[4,5,6]] by columns, big-endian */
    static const unsigned char data[] = {0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6};
    for (int version = 1; version <= 3; version++) {
        write_npy(version, "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n", data,
                  sizeof data);
        coppice_tensor t;
        ck_assert_int_eq(coppice_npy_read(path, &t, &err), COPPICE_OK);
        for (int i = 0; i < 6; i++)
            ck_assert_int_eq(((int16_t *)t.data)[i], i + 1);
        coppice_tensor_release(&t);
    }
}
END_TEST

START_TEST(npy_header_may_have_other_order_quotes_and_python_2_numbers) {
    write_npy(1, "{\"shape\":(2L,),\"fortran_order\":False,\"descr\":\"=u1\"}", "ab", 2);
    ck_assert_int_eq(try_npy(), COPPICE_OK);
}
END_TEST

START_TEST(npy_bad_headers_are_refused_with_a_reason) {
    static const struct {
        const char *text, *reason;
        coppice_status status;
    } cases[] = {
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "Python objects",
         COPPICE_UNSUPPORTED},
        {"{'descr': '<V4', 'fortran_order': False, 'shape': (2,), }", "'<V4'", COPPICE_UNSUPPORTED},
        {"{'descr': '<Ux', 'fortran_order': False, 'shape': (2,), }", "'<Ux'", COPPICE_UNSUPPORTED},
        {"{'descr': '<U4', 'fortran_order': False, 'shape': (2,), }", "needs 32 bytes",
         COPPICE_BAD_DATA},
        {"{'descr': '|S0', 'fortran_order': False, 'shape': (9999999999,), }", "no characters",
         COPPICE_BAD_DATA},
        {"{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (2,), }", "structures",
         COPPICE_UNSUPPORTED},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }", "needs 3 bytes",
         COPPICE_BAD_DATA},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }", "needs 1 bytes",
         COPPICE_BAD_DATA},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
         "overflows", COPPICE_BAD_DATA},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,), }", "'shape'",
         COPPICE_BAD_DATA},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (-2,), }", "'shape'", COPPICE_BAD_DATA},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (2 2), }", "'shape'", COPPICE_BAD_DATA},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': 2, }", "'shape'", COPPICE_BAD_DATA},
        {"{'descr': '|u1', 'fortran_order': 0, 'shape': (2,), }", "fortran", COPPICE_BAD_DATA},
        {"{'descr': '|u1', 'shape': (2,), }", "lacks 'fortran_order'", COPPICE_BAD_DATA},
        {"{'descr': '|u1', 'descr': '|u1', 'shape': (2,), }", "keys", COPPICE_BAD_DATA},
        {"{'descr': '|u1', 'other': 3, 'shape': (2,), }", "keys", COPPICE_BAD_DATA},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (2,)", "dictionary", COPPICE_BAD_DATA},
        {"{'descr': '|u1", "'descr'", COPPICE_BAD_DATA},
        {"", "dictionary", COPPICE_BAD_DATA},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2), }",
         "more than 16", COPPICE_LIMIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_npy(1, cases[i].text, "ab", 2);
        ck_assert_msg(try_npy() == cases[i].status && strstr(err.message, cases[i].reason),
                      "%s: %s", cases[i].text, err.message);
        ck_assert_str_eq(err.file, path);
    }
}
END_TEST

START_TEST(npy_cut_at_any_byte_is_refused) {
    int32_t values[] = {1, 2, 3};
    coppice_tensor t = {.type = COPPICE_TYPE_INT32, .rank = 1, .dims = {3}, .data = values};
    ck_assert_int_eq(coppice_npy_write(path, &t, false, &err), COPPICE_OK);
    size_t size;
    unsigned char *bytes = read_file(&size);
    ck_assert_uint_eq(size, 128 + sizeof values);
    for (size_t cut = 0; cut < size; cut++) {
        write_file(bytes, cut);
        ck_assert_int_eq(try_npy(), COPPICE_BAD_DATA);
    }
    free(bytes);
}
END_TEST

START_TEST(npy_write_leaves_an_existing_file_alone) {
    write_file("precious", 8);
    coppice_tensor t = {.type = COPPICE_TYPE_UINT8, .rank = 1, .dims = {1}, .data = "x"};
    ck_assert_int_eq(coppice_npy_write(path, &t, false, &err), COPPICE_EXISTS);
    t.type = COPPICE_TYPE_UNDEFINED;
    ck_assert_int_ne(coppice_npy_write(path, &t, true, &err), COPPICE_OK);
    t.type = COPPICE_TYPE_UINT8;
    t.dims[0] = -1;
    ck_assert_int_eq(coppice_npy_write(path, &t, true, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_int_eq(cop_file_bytes(path), 8);
}
END_TEST

START_TEST(npy_widens_bfloat16) {
    uint16_t values[] = {0x3f80, 0xc000};
    coppice_tensor t = {.type = COPPICE_TYPE_BFLOAT16, .rank = 1, .dims = {2}, .data = values},
                   back;
    ck_assert_int_eq(coppice_npy_write(path, &t, false, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_npy_read(path, &back, &err), COPPICE_OK);
    ck_assert_int_eq(back.type, COPPICE_TYPE_FLOAT);
    ck_assert(((float *)back.data)[0] == 1 && ((float *)back.data)[1] == -2);
    coppice_tensor_release(&back);
}
END_TEST

START_TEST(halves_survive_widening_and_round_to_nearest_even) {
    for (unsigned bits = 0; bits < 65536; bits++) {
        uint16_t half = (uint16_t)bits, back;
        float wide;
        cop_convert(COPPICE_TYPE_FLOAT16, &half, COPPICE_TYPE_FLOAT, &wide, 1);
        cop_convert(COPPICE_TYPE_FLOAT, &wide, COPPICE_TYPE_FLOAT16, &back, 1);
        bool nan = (half & 0x7c00) == 0x7c00 && (half & 0x3ff);
        ck_assert(nan ? isnan(wide) && back == (half | 0x200) : back == half); /* NaNs: quiet */
    }
    static const struct {
        double value;
        uint16_t half;
    } cases[] = {{65519.99, 0x7bff},    {65520, 0x7c00},      {1e300, 0x7c00}, {2049, 0x6800},
                 {2051, 0x6802},        {0x1p-25, 0},         {0x1.8p-25, 1},  {-0x1p-14, 0x8400},
                 {0x1.ffbp-15, 0x03ff}, {0x1.ffcp-15, 0x0400}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint16_t half;
        cop_convert(COPPICE_TYPE_DOUBLE, &cases[i].value, COPPICE_TYPE_FLOAT16, &half, 1);
        ck_assert_uint_eq(half, cases[i].half);
    }
}
END_TEST

START_TEST(integers_convert_only_when_they_fit) {
    int64_t wide[] = {0, 255, -1};
    uint64_t huge = UINT64_MAX;
    unsigned char out[64];
    ck_assert_int_eq(cop_convert(COPPICE_TYPE_INT64, wide, COPPICE_TYPE_UINT8, out, 2), -1);
    ck_assert_int_eq(cop_convert(COPPICE_TYPE_INT64, wide, COPPICE_TYPE_UINT8, out, 3), 2);
    ck_assert_int_eq(cop_convert(COPPICE_TYPE_INT64, wide, COPPICE_TYPE_BOOL, out, 3), 1);
    ck_assert_int_eq(cop_convert(COPPICE_TYPE_UINT64, &huge, COPPICE_TYPE_INT64, out, 1), 0);
    ck_assert_int_eq(cop_convert(COPPICE_TYPE_UINT64, &huge, COPPICE_TYPE_UINT64, out, 1), -1);
    ck_assert(!cop_can_convert(COPPICE_TYPE_INT32, COPPICE_TYPE_FLOAT));
}
END_TEST

/* ---- .npz ---- */

static unsigned char mask[1000];
static float weights[] = {1, 2, 3, 4};
static const char *const names[] = {"conv1.weight", "/a/b::c/../../d", "onnx::MatMul_1.npy",
                                    "\xff"};
static const coppice_tensor arrays[] = {
    {.type = COPPICE_TYPE_UINT8, .rank = 2, .dims = {10, 100}, .data = mask},
    {.type = COPPICE_TYPE_FLOAT, .rank = 1, .dims = {4}, .data = weights},
    {.type = COPPICE_TYPE_FLOAT, .rank = 0, .data = weights},
    {.type = COPPICE_TYPE_UINT8, .rank = 2, .dims = {0, 3}, .data = NULL}};

enum { ARRAYS = 4 };

/* The first failure of opening and reading everything. */
static coppice_status read_all(void) {
    coppice_npz *npz;
    coppice_status status = coppice_npz_open(path, &npz, &err);
    size_t count = status == COPPICE_OK ? coppice_npz_count(npz) : 0;
    for (size_t i = 0; i < count && status == COPPICE_OK; i++) {
        coppice_tensor t;
        status = coppice_npz_read(npz, i, &t, &err);
        coppice_tensor_release(&t);
    }
    coppice_npz_free(npz);
    return status;
}

START_TEST(npz_finds_arrays_under_any_name) {
    for (size_t i = 0; i < sizeof mask; i++)
        mask[i] = i % 3 == 0;
    ck_assert_int_eq(coppice_npz_write(path, ARRAYS, names, arrays, false, &err), COPPICE_OK);
    coppice_npz *npz;
    ck_assert_int_eq(coppice_npz_open(path, &npz, &err), COPPICE_OK);
    ck_assert_uint_eq(coppice_npz_count(npz), ARRAYS);
    for (size_t i = 0; i < ARRAYS; i++) {
        coppice_tensor t, shape;
        ck_assert_int_eq(coppice_npz_find(npz, names[i]), (int64_t)i);
        ck_assert_str_eq(coppice_npz_name(npz, i), names[i]);
        ck_assert_int_eq(coppice_npz_describe(npz, i, &shape, &err), COPPICE_OK);
        ck_assert_int_eq(coppice_npz_read(npz, i, &t, &err), COPPICE_OK);
        ck_assert_int_eq(shape.type, arrays[i].type);
        ck_assert_mem_eq(shape.dims, arrays[i].dims, sizeof shape.dims);
        ck_assert_mem_eq(t.dims, arrays[i].dims, sizeof t.dims);
        if (arrays[i].data)
            ck_assert_mem_eq(t.data, arrays[i].data, (size_t)coppice_tensor_bytes(&t));
        coppice_tensor_release(&t);
    }
    ck_assert_int_eq(coppice_npz_find(npz, "conv1"), -1);
    coppice_npz_free(npz);
    ck_assert_int_eq(coppice_npz_write(path, ARRAYS, names, arrays, false, &err), COPPICE_EXISTS);
}
END_TEST

START_TEST(npz_cut_at_any_byte_is_refused) {
    ck_assert_int_eq(coppice_npz_write(path, ARRAYS, names, arrays, false, &err), COPPICE_OK);
    size_t size;
    unsigned char *bytes = read_file(&size);
    for (size_t cut = 0; cut < size; cut++) {
        write_file(bytes, cut);
        ck_assert_int_eq(read_all(), COPPICE_BAD_DATA);
    }
    free(bytes);
}
END_TEST

START_TEST(npz_with_any_byte_changed_never_crashes) {
    ck_assert_int_eq(coppice_npz_write(path, ARRAYS, names, arrays, false, &err), COPPICE_OK);
    size_t size;
    unsigned char *bytes = read_file(&size);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x5a;
        write_file(bytes, size);
        read_all();
        bytes[i] ^= 0x5a;
    }
    free(bytes);
}
END_TEST

/* Makes an archive with one entry of these bytes. */
static void write_zip(const char *name, const char *bytes, size_t size, int method) {
    int code;
    unlink(path);
    zip_t *zip = zip_open(path, ZIP_CREATE, &code);
    ck_assert_ptr_nonnull(zip);
    zip_int64_t index = zip_file_add(zip, name, zip_source_buffer(zip, bytes, size, 0), 0);
    ck_assert_int_ge(index, 0);
    ck_assert_int_eq(zip_set_file_compression(zip, (zip_uint64_t)index, method, 0), 0);
    ck_assert_int_eq(zip_close(zip), 0);
}

START_TEST(npz_entries_must_be_what_their_header_says) {
    char entry[128 + 4] = "\x93NUMPY\1\0\x76\0";
    snprintf(entry + 10, sizeof entry - 10, "%-118s",
             "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }");
    memcpy(entry + 128, "abcd", 4);
    write_zip("a.npy", entry, 131, ZIP_CM_STORE);
    ck_assert_int_eq(read_all(), COPPICE_OK);
    write_zip("a.npy", entry, 132, ZIP_CM_DEFLATE);
    ck_assert_int_eq(read_all(), COPPICE_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(err.message, "array 'a'"));
    write_zip("a.npy", entry, 130, ZIP_CM_DEFLATE);
    ck_assert_int_eq(read_all(), COPPICE_BAD_DATA);
    write_zip("a.npy", "no array", 8, ZIP_CM_STORE);
    ck_assert_int_eq(read_all(), COPPICE_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(err.message, "not a .npy"));
}
END_TEST

START_TEST(npz_data_with_a_wrong_checksum_are_refused) {
    ck_assert_int_eq(coppice_npz_write(path, ARRAYS, names, arrays, false, &err), COPPICE_OK);
    size_t size;
    unsigned char *bytes = read_file(&size);
    unsigned char *central = memmem(bytes, size, "PK\1\2", 4);
    ck_assert_ptr_nonnull(central);
    central[16] ^= 1;
    write_file(bytes, size);
    ck_assert_int_eq(read_all(), COPPICE_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(err.message, "CRC"));
    free(bytes);
}
END_TEST

START_TEST(npz_sizes_that_lie_are_refused_before_memory_is_taken) {
    static char zeros[2000];
    write_zip("a.npy", zeros, sizeof zeros, ZIP_CM_DEFLATE);
    size_t size;
    unsigned char *bytes = read_file(&size);
    unsigned char *central = memmem(bytes, size, "PK\1\2", 4);
    ck_assert_ptr_nonnull(central);
    memcpy(central + 24, "\0\0\0\x7f", 4); /* the inflated size: 2 GB */
    write_file(bytes, size);
    ck_assert_int_eq(read_all(), COPPICE_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(err.message, "claims"));
    free(bytes);
}
END_TEST

START_TEST(npz_refuses_repeated_and_empty_names) {
    static const char *const twice[] = {"a", "a"}, *const empty[] = {"a", ""};
    ck_assert_int_eq(coppice_npz_write(path, 2, twice, arrays, false, &err),
                     COPPICE_INVALID_ARGUMENT);
    ck_assert_int_eq(coppice_npz_write(path, 2, empty, arrays, false, &err),
                     COPPICE_INVALID_ARGUMENT);
    ck_assert_int_eq(cop_file_bytes(path), -1);
    ck_assert_int_eq(coppice_npz_write(path, 0, NULL, NULL, false, &err), COPPICE_OK);
    ck_assert_int_eq(read_all(), COPPICE_OK);
}
END_TEST

START_TEST(npz_of_another_kind_is_refused) {
    coppice_npz *npz;
    ck_assert_int_eq(coppice_npz_open(path, &npz, &err), COPPICE_NOT_FOUND);
    ck_assert_ptr_null(npz);
    ck_assert_int_eq(coppice_npz_open(folder, &npz, &err), COPPICE_IO);
    write_file("\x93NUMPY", 6);
    ck_assert_int_eq(coppice_npz_open(path, &npz, &err), COPPICE_BAD_DATA);
    coppice_npz_free(NULL);
}
END_TEST

/* ---- idx ---- */

static coppice_status try_array(coppice_tensor *shape) {
    cop_array array = {0};
    coppice_status status = cop_array_open(path, &array, &err);
    *shape = array.tensor;
    cop_array_close(&array);
    return status;
}

static size_t gzip(const void *bytes, size_t size, unsigned char *out, size_t room) {
    z_stream stream = {0};
    ck_assert_int_eq(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY),
                     Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)size;
    stream.next_out = out;
    stream.avail_out = (uInt)room;
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return room - stream.avail_out;
}

static const unsigned char idx[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0,
                                    1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6};

START_TEST(idx_is_read_plain_and_compressed_and_cut_files_are_refused) {
    unsigned char packed[256];
    size_t packed_size = gzip(idx, sizeof idx, packed, sizeof packed);
    const struct {
        const unsigned char *bytes;
        size_t size;
    } forms[] = {{idx, sizeof idx}, {packed, packed_size}};
    for (int i = 0; i < 2; i++) {
        coppice_tensor t;
        write_file(forms[i].bytes, forms[i].size);
        ck_assert_int_eq(try_array(&t), COPPICE_OK);
        ck_assert(t.type == COPPICE_TYPE_UINT8 && t.rank == 3);
        ck_assert(t.dims[0] == 2 && t.dims[1] == 1 && t.dims[2] == 3);
        for (size_t cut = 0; cut < forms[i].size; cut++) {
            write_file(forms[i].bytes, cut);
            ck_assert_int_eq(try_array(&t), COPPICE_BAD_DATA);
        }
    }
}
END_TEST

START_TEST(idx_with_more_data_than_its_shape_is_refused) {
    unsigned char longer[sizeof idx + 1] = {0}, packed[256];
    coppice_tensor t;
    memcpy(longer, idx, sizeof idx);
    write_file(longer, sizeof longer);
    ck_assert_int_eq(try_array(&t), COPPICE_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(err.message, "more data"));
    write_file(packed, gzip(longer, sizeof longer, packed, sizeof packed));
    ck_assert_int_eq(try_array(&t), COPPICE_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(err.message, "more data"));
}
END_TEST

START_TEST(idx_headers_that_lie_are_refused_before_memory_is_taken) {
    static const unsigned char bad[][12] = {
        {0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255}, /* 16 EB */
        {0, 0, 8, 2, 127, 255, 255, 255, 0, 0, 0, 100},
        {0, 0, 8, 0},
        {0, 0, 8, 200},
        {0, 0, 10, 1, 0, 0, 0, 8}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        unsigned char packed[256];
        coppice_tensor t;
        write_file(bad[i], sizeof bad[i]);
        ck_assert_int_eq(try_array(&t), COPPICE_BAD_DATA);
        write_file(packed, gzip(bad[i], sizeof bad[i], packed, sizeof packed));
        ck_assert_int_eq(try_array(&t), COPPICE_BAD_DATA);
    }
}
END_TEST

START_TEST(idx_numbers_are_big_endian) {
    static const unsigned char bytes[] = {0, 0, 12, 1, 0, 0, 0, 1, 0, 0, 1, 2};
    write_file(bytes, sizeof bytes);
    cop_array array = {0};
    ck_assert_int_eq(cop_array_open(path, &array, &err), COPPICE_OK);
    ck_assert_int_eq(*(int32_t *)array.tensor.data, 258);
    cop_array_close(&array);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("array files");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, npy_keeps_type_shape_and_bits);
    tcase_add_test(tests, npy_fortran_order_and_big_endian_become_plain);
    tcase_add_test(tests, npy_header_may_have_other_order_quotes_and_python_2_numbers);
    tcase_add_test(tests, npy_bad_headers_are_refused_with_a_reason);
    tcase_add_test(tests, npy_cut_at_any_byte_is_refused);
    tcase_add_test(tests, npy_write_leaves_an_existing_file_alone);
    tcase_add_test(tests, npy_widens_bfloat16);
    tcase_add_test(tests, halves_survive_widening_and_round_to_nearest_even);
    tcase_add_test(tests, integers_convert_only_when_they_fit);
    tcase_add_test(tests, npz_finds_arrays_under_any_name);
    tcase_add_test(tests, npz_cut_at_any_byte_is_refused);
    tcase_add_test(tests, npz_with_any_byte_changed_never_crashes);
    tcase_add_test(tests, npz_entries_must_be_what_their_header_says);
    tcase_add_test(tests, npz_data_with_a_wrong_checksum_are_refused);
    tcase_add_test(tests, npz_sizes_that_lie_are_refused_before_memory_is_taken);
    tcase_add_test(tests, npz_refuses_repeated_and_empty_names);
    tcase_add_test(tests, npz_of_another_kind_is_refused);
    tcase_add_test(tests, idx_is_read_plain_and_compressed_and_cut_files_are_refused);
    tcase_add_test(tests, idx_with_more_data_than_its_shape_is_refused);
    tcase_add_test(tests, idx_headers_that_lie_are_refused_before_memory_is_taken);
    tcase_add_test(tests, idx_numbers_are_big_endian);
    return unit_run("array files", tests);
}
