/* A model and its data file replace others: at every step the model's name leads to a complete
 * pair, and a step that fails is taken back. */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "saving.h"

/* ---- the system calls of this program, which watch and fail ---- */

enum { NEVER = 1000 };
static int calls, fail_at, without_exchange, without_links;
static void (*before_call)(void);

/* Is it the turn of this call to fail? */
static bool fails_now(void) {
    if (before_call)
        before_call();
    errno = EIO;
    return calls++ == fail_at;
}

int renameat2(int old_folder, const char *from, int new_folder, const char *to,
              unsigned int flags) {
    if (flags && without_exchange) {
        errno = EINVAL;
        return -1;
    }
    return fails_now() ? -1 : (int)syscall(SYS_renameat2, old_folder, from, new_folder, to, flags);
}

int rename(const char *from, const char *to) {
    return fails_now() ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int link(const char *from, const char *to) {
    if (without_links) {
        errno = EPERM;
        return -1;
    }
    return fails_now() ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static void setup_calls(void) {
    setup();
    calls = without_exchange = without_links = 0;
    fail_at = NEVER;
    before_call = NULL;
}

/* ---- the pair ---- */

/* The first weight of the pair at `path`, which must be complete: 0 is the old one, 1 the new one.
 */
static double version_on_disk(void) {
    coppice_model *found;
    ck_assert_msg(coppice_model_load(path, NULL, &found, &err) == COPPICE_OK, "call %d: %s", calls,
                  err.message);
    double first = cop_tensor_get(&wire_constant(found, "w")->tensor, 0);
    double last = cop_tensor_get(&wire_constant(found, "w")->tensor, 999);
    ck_assert(first == 0 || first == 1);
    ck_assert_msg(last == 999, "call %d: the model and its data are no pair", calls);
    coppice_model_free(found);
    return first;
}

static void expect_complete(void) {
    version_on_disk();
}

static coppice_status replace(void) {
    coppice_save_options options;
    coppice_save_options_init(&options);
    options.overwrite = true;
    options.external_data = "net.data";
    return coppice_model_save(model, path, &options, NULL, &err);
}

/* An old pair, and the new model in memory. In its file another tensor comes first. */
static void prepare(void) {
    wire g = wire_graph();
    wire_message(&g, GRAPH_INITIALIZER, ramp("w", 1000));
    load_wire(wire_model(g));
    ck_assert_int_eq(replace(), COPPICE_OK);
    g = wire_graph();
    float sevens[5000];
    for (int i = 0; i < 5000; i++)
        sevens[i] = 7;
    wire_message(&g, GRAPH_INITIALIZER,
                 wire_raw_tensor("before", COPPICE_TYPE_FLOAT, 5000, sevens, sizeof sevens));
    wire_message(&g, GRAPH_INITIALIZER, ramp("w", 1000));
    coppice_model_free(model);
    model = wire_load(wire_model(g));
    set("w", 0, 1);
    calls = 0;
}

START_TEST(the_pair_on_the_disk_is_complete_before_every_step) {
    prepare();
    before_call = expect_complete;
    ck_assert_msg(replace() == COPPICE_OK, "%s", err.message);
    before_call = NULL;
    ck_assert_int_ge(calls, 4); /* a link and three names */
    ck_assert(version_on_disk() == 1);
    ck_assert_uint_eq(files_in_folder(), 2);
    load(path);
    ck_assert(get("before", 4999) == 7);
}
END_TEST

START_TEST(a_step_that_fails_is_taken_back) {
    for (fail_at = 1; fail_at < 4; fail_at++) {
        int failing = fail_at;
        fail_at = NEVER;
        prepare();
        fail_at = failing;
        before_call = expect_complete;
        ck_assert_int_eq(replace(), COPPICE_IO);
        before_call = NULL;
        ck_assert_msg(version_on_disk() == 0, "call %d failed", failing);
        ck_assert_ptr_nonnull(strstr(err.message, "cannot write"));
        ck_assert_uint_eq(files_in_folder(), 2);
    }
}
END_TEST

/* Without links the data file comes first, and comes back when the model fails. */
START_TEST(without_links_a_failure_is_taken_back_too) {
    prepare();
    without_links = 1;
    fail_at = 1;
    ck_assert_int_eq(replace(), COPPICE_IO);
    ck_assert(version_on_disk() == 0);
    ck_assert_uint_eq(files_in_folder(), 2);
    fail_at = NEVER;
    ck_assert_int_eq(replace(), COPPICE_OK);
    ck_assert(version_on_disk() == 1);
    ck_assert_uint_eq(files_in_folder(), 2);
}
END_TEST

START_TEST(file_systems_without_exchange_get_complete_pairs_all_the_same) {
    prepare();
    without_exchange = 1;
    before_call = expect_complete;
    ck_assert_int_eq(replace(), COPPICE_OK);
    before_call = NULL;
    ck_assert(version_on_disk() == 1);
    ck_assert_uint_eq(files_in_folder(), 2);
}
END_TEST

START_TEST(a_new_data_file_goes_again_when_the_model_fails) {
    load_wire(wire_model_with(ramp("w", 1000)));
    ck_assert_int_eq(replace(), COPPICE_OK);
    ck_assert_int_eq(remove(in_folder("net.data")), 0);
    save(path, NULL);
    calls = 0;
    fail_at = 2; /* the exchange that finds nothing, the data file, the model */
    ck_assert_int_eq(replace(), COPPICE_IO);
    ck_assert_uint_eq(files_in_folder(), 1);
    ck_assert(version_on_disk() == 0);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("file pair");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup_calls, teardown);
    tcase_add_test(tests, the_pair_on_the_disk_is_complete_before_every_step);
    tcase_add_test(tests, a_step_that_fails_is_taken_back);
    tcase_add_test(tests, without_links_a_failure_is_taken_back_too);
    tcase_add_test(tests, file_systems_without_exchange_get_complete_pairs_all_the_same);
    tcase_add_test(tests, a_new_data_file_goes_again_when_the_model_fails);
    return unit_run("file pair", tests);
}
