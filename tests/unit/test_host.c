/* Hosts: memory, log and progress of the program that uses the library. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <coppice/coppice.h>

#include "base/file.h"
#include "digits.h"
#include "folder.h"
#include "wire.h"

/* A heap that counts, and fails when it is told to. Blocks know their size. */
typedef struct counting_host {
    coppice_host host;
    int64_t live, bytes, calls;
    int64_t fail_at; /* this call and, with `fail_on`, all behind it fail; 0: none */
    bool fail_on;
    int64_t log_lines, progress_calls, stop_at; /* stop at this call of progress; 0: never */
    char line[1024], what[32];
    int64_t done, total;
} counting_host;

enum { HEADER = 16 };

static void *count_block(void *cookie, void *block, size_t bytes) {
    counting_host *h = cookie;
    unsigned char *start = block ? (unsigned char *)block - HEADER : NULL;
    size_t old = 0;
    if (start)
        memcpy(&old, start, sizeof old);
    if (bytes == 0) {
        h->live -= start != NULL;
        h->bytes -= (int64_t)old;
        free(start);
        return NULL;
    }
    h->calls++;
    if (h->fail_at && (h->fail_on ? h->calls >= h->fail_at : h->calls == h->fail_at))
        return NULL;
    unsigned char *grown = realloc(start, bytes + HEADER);
    if (!grown)
        return NULL;
    memcpy(grown, &bytes, sizeof bytes);
    h->live += start == NULL;
    h->bytes += (int64_t)bytes - (int64_t)old;
    return grown + HEADER;
}

static void keep_line(void *cookie, coppice_log_level level, const char *message) {
    counting_host *h = cookie;
    (void)level;
    h->log_lines++;
    snprintf(h->line, sizeof h->line, "%s", message);
}

static bool keep_progress(void *cookie, const char *what, int64_t done, int64_t total) {
    counting_host *h = cookie;
    ck_assert_int_gt(done, 0);
    ck_assert_int_le(done, total);
    snprintf(h->what, sizeof h->what, "%s", what);
    h->done = done;
    h->total = total;
    return ++h->progress_calls != h->stop_at;
}

static counting_host new_host(void) {
    return (counting_host){.host = {.allocate = count_block}};
}

static char source[512], target[128];
static coppice_error err;

static void setup(void) {
    make_folder();
    digits_path(source, sizeof source);
    snprintf(target, sizeof target, "%s/out.onnx", folder);
}

static void teardown(void) {
    remove_folder();
}

static coppice_status load(counting_host *h, coppice_model **out) {
    h->host.cookie = h;
    coppice_load_options options;
    coppice_load_options_init(&options);
    options.host = &h->host;
    return coppice_model_load(source, &options, out, &err);
}

static void must(coppice_status status) {
    ck_assert_msg(status == COPPICE_OK, "%s", err.message);
}

static coppice_status prune(coppice_model *model, coppice_prune_report **report) {
    coppice_prune_options options;
    coppice_prune_options_init(&options);
    options.sparsity = 0.5;
    return coppice_prune(model, &options, report, &err);
}

/* A session for one image of zeros, run once. */
static coppice_status run_once(coppice_model *model) {
    static float pixels[24 * 24];
    coppice_tensor image = {COPPICE_TYPE_FLOAT, 4, {1, 1, 24, 24}, pixels};
    const coppice_tensor *outputs;
    coppice_session_options options;
    coppice_session_options_init(&options);
    options.threads = 1;
    options.tune = COPPICE_TUNE_NONE;
    coppice_session *session;
    coppice_status status = coppice_session_create(model, &options, &session, &err);
    if (status == COPPICE_OK)
        status = coppice_session_run(session, &image, 1, &outputs, &err);
    coppice_session_free(session);
    return status;
}

static const char *in_folder(const char *name) {
    static char joined[128];
    snprintf(joined, sizeof joined, "%s/%s", folder, name);
    return joined;
}

/* Callers' own objects are no part of the model's host, not even those made in a hook. */
static coppice_status make_masks(void *cookie, coppice_model *model, const coppice_step *step,
                                 coppice_error *error) {
    (void)model;
    (void)step;
    return *(coppice_masks **)cookie ? COPPICE_OK : coppice_masks_new(cookie, error);
}

static void prune_in_steps(coppice_model *model) {
    coppice_masks *own = NULL;
    coppice_prune_options options;
    coppice_prune_options_init(&options);
    options.sparsity = 0.9;
    coppice_gradual_options gradual;
    coppice_gradual_options_init(&gradual);
    gradual.prune = &options;
    gradual.steps = 3;
    gradual.finetune = make_masks;
    gradual.cookie = &own;
    must(coppice_prune_gradually(model, &gradual, NULL, &err));
    coppice_masks_free(own);
}

static void compare_with_itself(const coppice_model *model) {
    char images[600];
    const char *root = getenv("COPPICE_SOURCE_ROOT");
    snprintf(images, sizeof images, "%s/models/digits_test_images.npy", root ? root : ".");
    coppice_dataset_options data;
    coppice_dataset_options_init(&data);
    data.images = images;
    data.limit = 8;
    coppice_compare_options options;
    coppice_compare_options_init(&options);
    options.latency_seconds = 0;
    coppice_compare_report *report;
    must(coppice_compare(model, model, &data, &options, &report, &err));
    ck_assert(report->agreement == 1);
    coppice_compare_report_free(report);
}

/* ---- memory ---- */

/* Did the last call allocate through the host, and is what it made released again? */
static void expect_balance(counting_host *h, int64_t live, int64_t *calls, const char *what) {
    ck_assert_msg(h->calls > *calls, "%s allocates through the host", what);
    ck_assert_msg(h->live == live, "%s keeps %lld blocks", what, (long long)(h->live - live));
    *calls = h->calls;
}

START_TEST(everything_from_a_model_comes_from_its_host_and_goes_back) {
    counting_host h = new_host();
    int64_t calls = 0;
    coppice_model *model;
    must(load(&h, &model));
    int64_t live = h.live;
    expect_balance(&h, live, &calls, "load");

    coppice_inspection *inspection;
    must(coppice_model_inspect(model, &inspection, &err));
    coppice_inspection_free(inspection);
    expect_balance(&h, live, &calls, "inspect");

    coppice_prune_report *report;
    must(prune(model, &report));
    int64_t pruned = h.live;
    static uint8_t bits[1 << 22]; /* more than an arena has left */
    coppice_tensor kept = {COPPICE_TYPE_UINT8, 1, {sizeof bits}, bits};
    calls = h.calls;
    must(coppice_masks_add(report->masks, "another", &kept, &err));
    ck_assert_msg(h.calls > calls, "masks of a report grow by the host");
    ck_assert_int_gt(pruned, live);
    calls = h.calls;
    must(coppice_masks_save(report->masks, in_folder("masks.npz"), false, &err));
    ck_assert_msg(h.calls > calls, "masks of a report are saved by the host");
    coppice_prune_report_free(report);
    expect_balance(&h, live, &calls, "prune");

    must(coppice_model_save(model, target, NULL, NULL, &err));
    expect_balance(&h, live, &calls, "save");

    coppice_masks *masks;
    coppice_match *match;
    must(coppice_masks_new(&masks, &err));
    must(coppice_masks_match(masks, model, NULL, 0, &match, &err));
    coppice_match_free(match);
    coppice_masks_free(masks);
    expect_balance(&h, live, &calls, "match");
    prune_in_steps(model);
    expect_balance(&h, live, &calls, "gradual pruning");
    must(run_once(model));
    expect_balance(&h, live, &calls, "a session");

    coppice_bench_options bench;
    coppice_bench_options_init(&bench);
    bench.seconds = 0;
    bench.runs = 3;
    bench.profile = true;
    coppice_bench_report *measured;
    must(coppice_bench(model, model, &bench, &measured, &err));
    coppice_bench_report_free(measured);
    expect_balance(&h, live, &calls, "bench");

    compare_with_itself(model);
    expect_balance(&h, live, &calls, "compare");

    coppice_model_free(model);
    ck_assert_int_eq(h.live, 0);
    ck_assert_int_eq(h.bytes, 0);
}
END_TEST

START_TEST(masks_without_a_model_come_from_the_c_library) {
    counting_host h = new_host();
    coppice_model *model;
    must(load(&h, &model));
    int64_t calls = h.calls;
    coppice_masks *masks;
    uint8_t bits[4] = {1, 0, 1, 0};
    coppice_tensor kept = {COPPICE_TYPE_UINT8, 1, {4}, bits};
    must(coppice_masks_new(&masks, &err));
    must(coppice_masks_add(masks, "w", &kept, &err));
    ck_assert_int_eq(h.calls, calls);
    coppice_model_free(model);
    coppice_masks_free(masks); /* outlives the host's last block */
}
END_TEST

/* Load, prune, save, whatever fails. */
static coppice_status prune_a_file(counting_host *h) {
    coppice_model *model = (coppice_model *)h;
    coppice_prune_report *report = NULL;
    coppice_status status = load(h, &model);
    ck_assert((status == COPPICE_OK) == (model != NULL));
    if (status == COPPICE_OK) {
        status = prune(model, &report);
        ck_assert((status == COPPICE_OK) == (report != NULL));
    }
    if (status == COPPICE_OK)
        status = coppice_model_save(model, target, NULL, NULL, &err);
    coppice_prune_report_free(report);
    coppice_model_free(model);
    return status;
}

static coppice_status run_a_file(counting_host *h) {
    coppice_model *model;
    coppice_status status = load(h, &model);
    if (status == COPPICE_OK)
        status = run_once(model);
    coppice_model_free(model);
    return status;
}

/* Works with every single allocation failing, or all behind it too. `may_do_without`: how many
 * allocations are not needed for success. */
static void fail_everywhere(coppice_status (*work)(counting_host *), bool fail_on,
                            int64_t may_do_without) {
    counting_host h = new_host();
    must(work(&h));
    int64_t calls = h.calls, unnoticed = 0;
    remove(target);
    for (int64_t n = 1; n <= calls; n++) {
        h = new_host();
        h.fail_at = n;
        h.fail_on = fail_on;
        err.message[0] = '\0';
        coppice_status status = work(&h);
        ck_assert_msg(h.live == 0, "allocation %lld: %lld blocks are lost", (long long)n,
                      (long long)h.live);
        if (status == COPPICE_OK && ++unnoticed <= may_do_without) {
            remove(target);
            continue;
        }
        ck_assert_msg(status == COPPICE_OUT_OF_MEMORY, "allocation %lld of %lld: status %d, %s",
                      (long long)n, (long long)calls, status, err.message);
        ck_assert_int_eq(err.status, status);
        ck_assert_ptr_nonnull(strstr(err.message, "out of memory"));
        ck_assert_uint_eq(files_in_folder(), 0);
    }
    h = new_host();
    must(work(&h));
}

/* One is not needed: a file is in place already when its folder is synced. */
START_TEST(every_allocation_may_fail) {
    fail_everywhere(prune_a_file, false, 1);
    ck_assert_uint_eq(files_in_folder(), 1);
}
END_TEST

START_TEST(memory_may_run_out_for_good) {
    fail_everywhere(prune_a_file, true, 1);
    ck_assert_uint_eq(files_in_folder(), 1);
}
END_TEST

/* Sessions keep first choices where there is no memory to weigh them, and blocks that are larger
 * than they need. */
START_TEST(a_session_may_run_out_of_memory) {
    fail_everywhere(run_a_file, false, 64);
}
END_TEST

static void *in_a_thread(void *host) {
    for (int i = 0; i < 5; i++) {
        coppice_model *model;
        coppice_prune_report *report;
        coppice_error error;
        counting_host *h = host;
        coppice_load_options options = {.host = &h->host};
        if (coppice_model_load(source, &options, &model, &error) != COPPICE_OK)
            return "load";
        coppice_prune_options prune_options;
        coppice_prune_options_init(&prune_options);
        prune_options.sparsity = 0.5;
        if (coppice_prune(model, &prune_options, &report, &error) != COPPICE_OK)
            return "prune";
        coppice_prune_report_free(report);
        coppice_model_free(model);
    }
    return NULL;
}

START_TEST(two_threads_have_two_hosts) {
    counting_host hosts[2] = {new_host(), new_host()};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        hosts[i].host.cookie = &hosts[i];
        ck_assert_int_eq(pthread_create(&threads[i], NULL, in_a_thread, &hosts[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        ck_assert_msg(!failed, "%s failed", failed ? (const char *)failed : "");
    }
    ck_assert_int_gt(hosts[0].calls, 0);
    ck_assert_int_eq(hosts[0].calls, hosts[1].calls); /* the same work, none of it shared */
    ck_assert_int_eq(hosts[0].live + hosts[1].live, 0);
}
END_TEST

/* ---- log ---- */

START_TEST(notes_of_a_file_are_logged) {
    counting_host h = {.host = {.cookie = &h, .log = keep_line}};
    wire w = {0}, from = wire_model_with(wire_raw_tensor("w", COPPICE_TYPE_FLOAT, 1, "0000", 4));
    wire_append(&w, from.data, from.bytes);
    wire_int(&w, MODEL_IR, 99);
    free(from.data);
    coppice_load_options options = {.host = &h.host};
    coppice_model *model;
    must(coppice_model_load_memory(w.data, w.bytes, &options, &model, &err));
    free(w.data);
    ck_assert_int_eq(h.log_lines, 1);
    ck_assert_ptr_nonnull(strstr(h.line, "<memory>: IR version 99 is newer"));
    coppice_model_free(model);
}
END_TEST

START_TEST(chosen_kernels_are_logged) {
    counting_host h = {.host = {.cookie = &h, .log = keep_line}};
    coppice_model *model;
    must(load(&h, &model));
    ck_assert_int_eq(h.log_lines, 0);
    must(run_once(model));
    ck_assert_int_gt(h.log_lines, 2);
    ck_assert_ptr_nonnull(strstr(h.line, "kernel"));
    coppice_model_free(model);
}
END_TEST

/* ---- progress ---- */

START_TEST(progress_ends_with_everything_done) {
    counting_host h = {.host = {.cookie = &h, .progress = keep_progress}};
    coppice_model *model;
    must(load(&h, &model));
    must(prune(model, NULL));
    ck_assert_int_gt(h.progress_calls, 0);
    ck_assert_int_le(h.progress_calls, 101);
    ck_assert_str_eq(h.what, "prune");
    ck_assert_int_eq(h.done, h.total);
    prune_in_steps(model);
    ck_assert_str_eq(h.what, "steps");
    ck_assert(h.done == 3 && h.total == 3);
    coppice_model_free(model);
}
END_TEST

static void stop_pruning(counting_host *h, coppice_model *model, coppice_scope scope) {
    coppice_prune_options options;
    coppice_prune_options_init(&options);
    options.sparsity = 0.5;
    options.scope = scope;
    coppice_prune_report *report;
    size_t index = (size_t)coppice_model_tensor_find(model, "blocks.0.reduce.weight");
    coppice_tensor info = coppice_model_tensor_info(model, index);
    float *before = calloc(2, (size_t)coppice_tensor_bytes(&info)),
          *after = before + coppice_tensor_count(&info);
    must(coppice_model_tensor_read(model, index, before, &err));
    int64_t live = h->live, stops = 0;
    for (;; stops++) {
        h->progress_calls = 0;
        h->stop_at = stops + 1;
        coppice_status status = coppice_prune(model, &options, &report, &err);
        must(coppice_model_tensor_read(model, index, after, &err));
        bool same = memcmp(before, after, (size_t)coppice_tensor_bytes(&info)) == 0;
        if (status == COPPICE_OK) {
            ck_assert(!same);
            break;
        }
        ck_assert_int_eq(status, COPPICE_INTERRUPTED);
        ck_assert_ptr_null(report);
        ck_assert_msg(same, "an interrupted pruning leaves the weights");
        ck_assert_int_eq(h->live, live);
    }
    ck_assert_int_gt(stops, 5);
    coppice_prune_report_free(report);
    free(before);
}

static void stop_saving(counting_host *h, coppice_model *model, const char *external) {
    coppice_save_options options;
    coppice_save_options_init(&options);
    options.overwrite = true;
    options.external_data = external;
    wire_write_file(target, "keep", 4);
    int64_t live = h->live, stops = 0;
    for (;; stops++) {
        h->progress_calls = 0;
        h->stop_at = stops + 1;
        coppice_status status = coppice_model_save(model, target, &options, NULL, &err);
        ck_assert_int_eq(h->live, live);
        if (status == COPPICE_OK)
            break;
        ck_assert_int_eq(status, COPPICE_INTERRUPTED);
        ck_assert_int_eq(cop_file_bytes(target), 4);
        ck_assert_uint_eq(files_in_folder(), 1);
    }
    ck_assert_int_gt(stops, 5);
    ck_assert_str_eq(h->what, "save");
    ck_assert_int_eq(h->done, h->total);
    remove(target);
    remove(in_folder("out.data"));
}

START_TEST(a_stopped_save_leaves_the_target) {
    counting_host h = {.host = {.allocate = count_block, .progress = keep_progress}};
    coppice_model *model;
    must(load(&h, &model));
    stop_saving(&h, model, NULL);
    stop_saving(&h, model, "out.data");
    coppice_model_free(model);
}
END_TEST

START_TEST(a_host_that_wants_to_stop_finds_everything_as_it_was) {
    for (int scope = COPPICE_SCOPE_LAYER; scope <= COPPICE_SCOPE_GLOBAL; scope++) {
        counting_host h = {.host = {.allocate = count_block, .progress = keep_progress}};
        coppice_model *model;
        must(load(&h, &model));
        stop_pruning(&h, model, (coppice_scope)scope);
        coppice_model_free(model);
        ck_assert_int_eq(h.live, 0);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("host");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, everything_from_a_model_comes_from_its_host_and_goes_back);
    tcase_add_test(tests, masks_without_a_model_come_from_the_c_library);
    tcase_add_test(tests, every_allocation_may_fail);
    tcase_add_test(tests, memory_may_run_out_for_good);
    tcase_add_test(tests, a_session_may_run_out_of_memory);
    tcase_add_test(tests, two_threads_have_two_hosts);
    tcase_add_test(tests, notes_of_a_file_are_logged);
    tcase_add_test(tests, chosen_kernels_are_logged);
    tcase_add_test(tests, progress_ends_with_everything_done);
    tcase_add_test(tests, a_host_that_wants_to_stop_finds_everything_as_it_was);
    tcase_add_test(tests, a_stopped_save_leaves_the_target);
    return unit_run("host", tests);
}
