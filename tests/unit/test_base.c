/* Tests of src/base: arena, map, sizes, files that appear complete or not at all. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <coppice/tensor.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "base/map.h"
#include "unit.h"

static char folder[] = "/tmp/coppice-base-XXXXXX";
static char target[64];

static void setup(void) {
    strcpy(folder, "/tmp/coppice-base-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(target, sizeof target, "%s/file", folder);
}

static void teardown(void) {
    unlink(target);
    ck_assert_int_eq(rmdir(folder), 0); /* fails when a temporary file was left behind */
}

START_TEST(arena_blocks_are_zeroed_and_aligned) {
    cop_arena arena = {0};
    for (size_t bytes = 1; bytes < 200000; bytes *= 3) {
        unsigned char *p = cop_arena_alloc(&arena, bytes);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < bytes; i++)
            ck_assert_uint_eq(p[i], 0);
        memset(p, 0xff, bytes);
    }
    ck_assert_ptr_null(cop_arena_array(&arena, SIZE_MAX / 2, 4));
    cop_arena_free(&arena);
}
END_TEST

START_TEST(map_finds_every_key_after_growing) {
    cop_map map = {0};
    static char keys[1000][16];
    for (int i = 0; i < 1000; i++) {
        snprintf(keys[i], sizeof keys[i], "key%d", i);
        ck_assert(cop_map_set(&map, keys[i], i));
    }
    ck_assert(cop_map_set(&map, "key7", 77));
    ck_assert_int_eq(cop_map_get(&map, "key7", -1), 77);
    for (int i = 8; i < 1000; i++)
        ck_assert_int_eq(cop_map_get(&map, keys[i], -1), i);
    ck_assert_int_eq(cop_map_get(&map, "other", -1), -1);
    cop_map_free(&map);
}
END_TEST

START_TEST(tensor_sizes_refuse_overflow_and_negative_dims) {
    coppice_tensor t = {.type = COPPICE_TYPE_FLOAT, .rank = 2, .dims = {3, 4}};
    ck_assert_int_eq(coppice_tensor_bytes(&t), 48);
    t.dims[0] = INT64_MAX;
    ck_assert_int_eq(coppice_tensor_count(&t), -1);
    t.dims[0] = -1;
    ck_assert_int_eq(coppice_tensor_count(&t), -1);
    t.dims[0] = 0;
    ck_assert_int_eq(coppice_tensor_count(&t), 0);
    t = (coppice_tensor){.type = COPPICE_TYPE_INT4, .rank = 1, .dims = {3}};
    ck_assert_int_eq(coppice_tensor_bytes(&t), 2);
}
END_TEST

START_TEST(written_file_appears_only_at_the_commit) {
    cop_writer writer = {0};
    ck_assert_int_eq(cop_writer_open(&writer, target, false, NULL), COPPICE_OK);
    cop_writer_write(&writer, "hello", 5);
    ck_assert_int_eq(cop_file_bytes(target), -1);
    ck_assert_int_eq(cop_writer_commit(&writer, NULL), COPPICE_OK);
    ck_assert_int_eq(cop_file_bytes(target), 5);
}
END_TEST

START_TEST(existing_target_is_kept_without_overwrite) {
    cop_writer first = {0}, second = {0};
    coppice_error err;
    ck_assert_int_eq(cop_writer_open(&first, target, false, NULL), COPPICE_OK);
    ck_assert_int_eq(cop_writer_open(&second, target, false, NULL), COPPICE_OK);
    cop_writer_write(&first, "one", 3);
    cop_writer_write(&second, "second", 6);
    ck_assert_int_eq(cop_writer_commit(&first, NULL), COPPICE_OK);
    ck_assert_int_eq(cop_writer_commit(&second, &err), COPPICE_EXISTS);
    ck_assert_int_eq(cop_file_bytes(target), 3);
    ck_assert_int_eq(cop_writer_open(&second, target, false, &err), COPPICE_EXISTS);
    ck_assert_ptr_nonnull(strstr(err.message, "--force"));
}
END_TEST

START_TEST(aborted_writer_leaves_the_old_file) {
    cop_writer writer = {0};
    ck_assert_int_eq(cop_writer_open(&writer, target, true, NULL), COPPICE_OK);
    cop_writer_write(&writer, "old", 3);
    ck_assert_int_eq(cop_writer_commit(&writer, NULL), COPPICE_OK);
    ck_assert_int_eq(cop_writer_open(&writer, target, true, NULL), COPPICE_OK);
    cop_writer_write(&writer, "longer", 6);
    cop_writer_abort(&writer);
    ck_assert_int_eq(cop_file_bytes(target), 3);
}
END_TEST

START_TEST(a_writer_that_got_descriptor_0_is_cleaned_up_too) {
    cop_writer writer = {0};
    close(STDIN_FILENO);
    ck_assert_int_eq(cop_writer_open(&writer, target, true, NULL), COPPICE_OK);
    cop_writer_abort(&writer); /* the temporary file is gone: teardown looks */
    ck_assert_int_eq(cop_file_bytes(target), -1);
}
END_TEST

START_TEST(a_new_file_has_the_mode_of_the_umask_and_a_replaced_one_keeps_its_own) {
    cop_writer writer = {0};
    struct stat info;
    umask(027);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(cop_writer_open(&writer, target, true, NULL), COPPICE_OK);
        ck_assert_int_eq(cop_writer_commit(&writer, NULL), COPPICE_OK);
        ck_assert_int_eq(stat(target, &info), 0);
        ck_assert_uint_eq(info.st_mode & 0777, i ? 0604 : 0640);
        ck_assert_int_eq(chmod(target, 0604), 0);
    }
}
END_TEST

START_TEST(full_disk_is_an_error_and_leaves_nothing) {
    cop_writer writer = {0};
    coppice_error err;
    ck_assert_int_eq(cop_writer_open(&writer, target, true, NULL), COPPICE_OK);
    writer.error = ENOSPC; /* what write(2) reports on a full disk */
    ck_assert_int_eq(cop_writer_commit(&writer, &err), COPPICE_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "No space left"));
    ck_assert_int_eq(cop_file_bytes(target), -1);
}
END_TEST

START_TEST(error_messages_never_hold_control_characters) {
    coppice_error err;
    cop_fail(&err, COPPICE_BAD_MODEL, "node '%s'", "a\n\x1b[31mb");
    cop_error_prefix(&err, "%s", "f\r.onnx");
    ck_assert_str_eq(err.message, "f?.onnx: node 'a??[31mb'");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("base");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, arena_blocks_are_zeroed_and_aligned);
    tcase_add_test(tests, map_finds_every_key_after_growing);
    tcase_add_test(tests, tensor_sizes_refuse_overflow_and_negative_dims);
    tcase_add_test(tests, written_file_appears_only_at_the_commit);
    tcase_add_test(tests, existing_target_is_kept_without_overwrite);
    tcase_add_test(tests, aborted_writer_leaves_the_old_file);
    tcase_add_test(tests, a_writer_that_got_descriptor_0_is_cleaned_up_too);
    tcase_add_test(tests, a_new_file_has_the_mode_of_the_umask_and_a_replaced_one_keeps_its_own);
    tcase_add_test(tests, full_disk_is_an_error_and_leaves_nothing);
    tcase_add_test(tests, error_messages_never_hold_control_characters);
    return unit_run("base", tests);
}
