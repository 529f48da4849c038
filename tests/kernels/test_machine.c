/* Tests of what the runtime takes from the machine: threads, CPU quotas, instruction sets. */
#include <check.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <coppice/interrupt.h>

#include "base/interrupt.h"
#include "runtime/conv.h"
#include "runtime/cores.h"
#include "runtime/parallel.h"
#include "tests/unit/unit.h"

enum { ITEMS = 1000, GRAIN = 7 };

typedef struct visits {
    atomic_int count[ITEMS];
    atomic_int bad_ranges;
} visits;

static void visit(void *context, size_t begin, size_t end) {
    visits *v = context;
    if (begin % GRAIN != 0 || end - begin != (ITEMS - begin < GRAIN ? ITEMS - begin : GRAIN))
        atomic_fetch_add(&v->bad_ranges, 1);
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&v->count[i], 1);
}

START_TEST(parallel_for_visits_each_item_once_in_the_same_ranges_on_any_number_of_threads) {
    for (unsigned threads = 0; threads <= 3; threads++) {
        coppice_threadpool *pool = NULL;
        if (threads)
            ck_assert_int_eq(coppice_threadpool_create(threads, &pool, NULL), COPPICE_OK);
        ck_assert_uint_eq(coppice_threadpool_threads(pool), threads ? threads : 1);
        visits *v = calloc(1, sizeof *v);
        cop_parallel_for(pool, ITEMS, GRAIN, visit, v);
        cop_parallel_for(pool, 0, GRAIN, visit, v);
        ck_assert_int_eq(v->bad_ranges, 0);
        for (int i = 0; i < ITEMS; i++)
            ck_assert_int_eq(v->count[i], 1);
        free(v);
        coppice_threadpool_free(pool);
    }
}
END_TEST

static void halve_the_smallest(void *context, size_t begin, size_t end) {
    volatile float x = 1.17549435e-38f, half = 0.5f;
    for (size_t i = begin; i < end; i++)
        ((float *)context)[i] = x * half;
}

static atomic_int ranges;

static void interrupt_at_once(void *context, size_t begin, size_t end) {
    (void)context, (void)begin, (void)end;
    atomic_fetch_add(&ranges, 1);
    coppice_interrupt();
}

START_TEST(parallel_for_is_cut_short_by_an_interrupt_that_is_not_forgotten) {
    coppice_error err;
    for (unsigned threads = 1; threads <= 2; threads++) {
        coppice_threadpool *pool;
        ck_assert_int_eq(coppice_threadpool_create(threads, &pool, &err), COPPICE_OK);
        atomic_store(&ranges, 0);
        cop_parallel_for(pool, 100000, 10, interrupt_at_once, NULL);
        coppice_interrupt_clear();
        ck_assert_int_le(atomic_load(&ranges), (int)threads);
        ck_assert_int_eq(cop_check_interrupt(&err), COPPICE_INTERRUPTED);
        ck_assert_int_eq(cop_check_interrupt(&err), COPPICE_OK);
        coppice_threadpool_free(pool);
    }
}
END_TEST

START_TEST(denormals_are_zero_in_tasks_only) {
    coppice_threadpool *pool = NULL;
    float results[64];
    ck_assert_int_eq(coppice_threadpool_create(2, &pool, NULL), COPPICE_OK);
    for (int i = 0; i < 2; i++) {
        cop_parallel_for(i ? pool : NULL, 64, 1, halve_the_smallest, results);
        for (int j = 0; j < 64; j++)
            ck_assert(results[j] == 0);
    }
    halve_the_smallest(results, 0, 1);
    ck_assert(results[0] > 0);
    coppice_threadpool_free(pool);
}
END_TEST

START_TEST(the_default_is_no_more_threads_than_allowed_cpus) {
    cpu_set_t set;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    ck_assert_uint_ge(cop_default_threads(), 1);
    ck_assert_uint_le(cop_default_threads(), (unsigned)CPU_COUNT(&set));
    int first = 0;
    while (!CPU_ISSET(first, &set))
        first++;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_uint_eq(cop_default_threads(), 1);
}
END_TEST

START_TEST(too_many_threads_are_refused) {
    coppice_threadpool *pool = NULL;
    coppice_error err;
    ck_assert_int_eq(coppice_threadpool_create(1000000, &pool, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_ptr_null(pool);
    ck_assert_ptr_nonnull(strstr(err.message, "1000000"));
    coppice_threadpool_free(NULL);
}
END_TEST

/* A folder that looks like mounted cgroups. */
static char root[64];

static void put(const char *folder, const char *file, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s", root);
    for (const char *at = folder; *at;) { /* every folder on the way */
        size_t n = strcspn(at + 1, "/") + 1;
        snprintf(path + strlen(path), sizeof path - strlen(path), "%.*s", (int)n, at);
        mkdir(path, 0700);
        at += n;
    }
    snprintf(path + strlen(path), sizeof path - strlen(path), "/%s", file);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void make_root(void) {
    snprintf(root, sizeof root, "/tmp/coppice-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void remove_root(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(the_quota_of_a_cgroup_v2_limits_threads_also_from_above) {
    put("/a/b", "cpu.max", "max 100000\n");
    put("/a", "cpu.max", "250000 100000\n");
    ck_assert_uint_eq(cop_cgroup_cpus("0::/a/b\n", root), 3);
    put("/a/b", "cpu.max", "100000 100000\n");
    ck_assert_uint_eq(cop_cgroup_cpus("0::/a/b\n", root), 1);
}
END_TEST

START_TEST(the_quota_of_a_cgroup_v1_limits_threads) {
    put("/cpu,cpuacct/x", "cpu.cfs_quota_us", "400000\n");
    put("/cpu,cpuacct/x", "cpu.cfs_period_us", "100000\n");
    const char *lines = "5:memory:/y\n4:cpu,cpuacct:/x\n3:cpuset:/x\n";
    ck_assert_uint_eq(cop_cgroup_cpus(lines, root), 4);
    put("/cpu,cpuacct/x", "cpu.cfs_quota_us", "-1\n");
    ck_assert_uint_eq(cop_cgroup_cpus(lines, root), 0);
}
END_TEST

START_TEST(a_container_that_sees_its_cgroup_as_the_root_has_its_quota) {
    put("/", "cpu.max", "150000 100000\n");
    ck_assert_uint_eq(cop_cgroup_cpus("0::/docker/0123\n", root), 2);
}
END_TEST

START_TEST(cgroup_files_that_make_no_sense_limit_nothing) {
    put("/", "cpu.max", "lots of them\n");
    ck_assert_uint_eq(cop_cgroup_cpus("0::/\n", root), 0);
    put("/", "cpu.max", "1 0\n");
    ck_assert_uint_eq(cop_cgroup_cpus("0::/\n", root), 0);
    ck_assert_uint_eq(cop_cgroup_cpus("", root), 0);
    ck_assert_uint_eq(cop_cgroup_cpus("nonsense\n::\n:\n", root), 0);
}
END_TEST

START_TEST(instruction_sets_parse_by_name_and_form_a_ladder) {
    coppice_isa isa;
    coppice_error err;
    ck_assert_int_eq(coppice_isa_parse("scalar", &isa, &err), COPPICE_OK);
    ck_assert_int_eq(isa, COPPICE_ISA_SCALAR);
    ck_assert_int_eq(coppice_isa_parse("avx1024", &isa, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.message, "scalar"));
    ck_assert(cop_isa_allows(COPPICE_ISA_AVX512, COPPICE_ISA_AVX2));
    ck_assert(!cop_isa_allows(COPPICE_ISA_AVX2, COPPICE_ISA_AVX512));
    ck_assert(!cop_isa_allows(COPPICE_ISA_SCALAR, COPPICE_ISA_SSE2));
    ck_assert(cop_isa_allows(COPPICE_ISA_NEON, COPPICE_ISA_SCALAR));
    ck_assert(!cop_isa_allows(COPPICE_ISA_NEON, COPPICE_ISA_AVX2));
    ck_assert(cop_isa_available(coppice_isa_best()));
}
END_TEST

START_TEST(the_environment_chooses_the_instruction_set_unless_one_is_asked_for) {
    coppice_isa isa;
    coppice_error err;
    setenv("COPPICE_ISA", "scalar", 1);
    ck_assert_int_eq(cop_isa_resolve(COPPICE_ISA_BEST, &isa, &err), COPPICE_OK);
    ck_assert_int_eq(isa, COPPICE_ISA_SCALAR);
    ck_assert_int_eq(cop_isa_resolve(coppice_isa_best(), &isa, &err), COPPICE_OK);
    ck_assert_int_eq(isa, coppice_isa_best());
    setenv("COPPICE_ISA", "fast", 1);
    ck_assert_int_eq(cop_isa_resolve(COPPICE_ISA_BEST, &isa, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.message, "COPPICE_ISA"));
    unsetenv("COPPICE_ISA");
    ck_assert_int_eq(cop_isa_resolve(COPPICE_ISA_BEST, &isa, &err), COPPICE_OK);
    ck_assert_int_eq(isa, coppice_isa_best());
}
END_TEST

START_TEST(names_of_options_parse_and_unknown_ones_are_refused) {
    coppice_backend backend;
    coppice_sparse_use sparse;
    coppice_tune tune;
    coppice_error err;
    ck_assert_int_eq(coppice_backend_parse("native", &backend, &err), COPPICE_OK);
    ck_assert_str_eq(coppice_backend_name(backend), "native");
    ck_assert_int_eq(coppice_backend_parse("gpu", &backend, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.message, "xnnpack"));
    ck_assert_int_eq(coppice_sparse_use_parse("always", &sparse, &err), COPPICE_OK);
    ck_assert_int_eq(sparse, COPPICE_SPARSE_ALWAYS);
    ck_assert_int_eq(coppice_sparse_use_parse("", &sparse, &err), COPPICE_INVALID_ARGUMENT);
    ck_assert_int_eq(coppice_tune_parse("full", &tune, &err), COPPICE_OK);
    ck_assert_int_eq(tune, COPPICE_TUNE_FULL);
    ck_assert_int_eq(coppice_tune_parse("slow", &tune, &err), COPPICE_INVALID_ARGUMENT);
}
END_TEST

START_TEST(features_name_what_is_built_in) {
    bool isa = false, threads = false;
    for (const coppice_feature *f = coppice_features(); f->name; f++) {
        ck_assert_ptr_nonnull(f->value);
        isa = isa || strcmp(f->name, "isa") == 0;
        threads = threads || strcmp(f->name, "threads") == 0;
    }
    ck_assert(isa && threads);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("machine");
    TCase *tests = tcase_create("machine"), *groups = tcase_create("cgroups");
    tcase_add_test(tests,
                   parallel_for_visits_each_item_once_in_the_same_ranges_on_any_number_of_threads);
    tcase_add_test(tests, parallel_for_is_cut_short_by_an_interrupt_that_is_not_forgotten);
    tcase_add_test(tests, denormals_are_zero_in_tasks_only);
    tcase_add_test(tests, the_default_is_no_more_threads_than_allowed_cpus);
    tcase_add_test(tests, too_many_threads_are_refused);
    tcase_add_test(tests, instruction_sets_parse_by_name_and_form_a_ladder);
    tcase_add_test(tests, the_environment_chooses_the_instruction_set_unless_one_is_asked_for);
    tcase_add_test(tests, names_of_options_parse_and_unknown_ones_are_refused);
    tcase_add_test(tests, features_name_what_is_built_in);
    tcase_add_checked_fixture(groups, make_root, remove_root);
    tcase_add_test(groups, the_quota_of_a_cgroup_v2_limits_threads_also_from_above);
    tcase_add_test(groups, the_quota_of_a_cgroup_v1_limits_threads);
    tcase_add_test(groups, a_container_that_sees_its_cgroup_as_the_root_has_its_quota);
    tcase_add_test(groups, cgroup_files_that_make_no_sense_limit_nothing);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, groups);
    return unit_run_suite(suite);
}
