/* The cache of measured kernels: what was added is found by the next one, whatever happens to the
 * file, and nothing that is wrong with it is an error. */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <coppice/host.h>

#include "base/memory.h"
#include "folder.h"
#include "runtime/tune_cache.h"
#include "unit.h"

static char path[128];
static int notes;
static char last_note[512];

static void count_note(void *cookie, coppice_log_level level, const char *message) {
    (void)cookie;
    notes += level >= COPPICE_LOG_NOTE;
    snprintf(last_note, sizeof last_note, "%s", message);
}

static const coppice_host host = {.log = count_note};

static void setup(void) {
    make_folder();
    snprintf(path, sizeof path, "%s/tuning", folder);
    setenv("COPPICE_CACHE", folder, 1);
    notes = 0;
    cop_memory_enter(&host);
}

static void teardown(void) {
    cop_memory_enter(NULL);
    remove_folder();
}

static cop_tune_key key_of(uint64_t number) {
    cop_tune_key key = cop_tune_key_start();
    cop_tune_key_number(&key, number);
    return key;
}

static void add(cop_tune_cache *cache, uint64_t number, unsigned effort, float ms) {
    cop_tune_times times = {.effort = (uint8_t)effort, .count = 2, .measured = 1, .ms = {ms, -1}};
    cop_tune_cache_add(cache, key_of(number), &times);
}

/* Opens, adds records [from, to) with ms = number, and closes. */
static void store(uint64_t from, uint64_t to) {
    cop_tune_cache *cache = cop_tune_cache_open(true);
    for (uint64_t i = from; i < to; i++)
        add(cache, i, 0, (float)i);
    cop_tune_cache_close(cache);
}

/* The first time of a record of the file; NaN: there is none. */
static float look_up(uint64_t number, unsigned effort) {
    cop_tune_cache *cache = cop_tune_cache_open(true);
    cop_tune_times times;
    bool found = cop_tune_cache_find(cache, key_of(number), effort, &times);
    cop_tune_cache_close(cache);
    return found ? times.ms[0] : NAN;
}

static long file_bytes(void) {
    struct stat info;
    return stat(path, &info) == 0 ? (long)info.st_size : -1;
}

static void overwrite(long at, const char *bytes) {
    int fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, bytes, strlen(bytes), at), (ssize_t)strlen(bytes));
    close(fd);
}

START_TEST(what_was_added_is_found_by_the_next) {
    cop_tune_cache *cache = cop_tune_cache_open(true);
    cop_tune_times times = {.effort = 1, .count = 3, .measured = 5, .ms = {0.5f, 2, -1}}, found;
    cop_tune_cache_add(cache, key_of(7), &times);
    ck_assert(cop_tune_cache_find(cache, key_of(7), 1, &found));
    cop_tune_cache_close(cache);
    cache = cop_tune_cache_open(true);
    ck_assert(cop_tune_cache_find(cache, key_of(7), 0, &found));
    ck_assert_mem_eq(&found, &times, sizeof times);
    ck_assert(!cop_tune_cache_find(cache, key_of(8), 0, &found));
    cop_tune_cache_close(cache);
    ck_assert_int_eq(notes, 0);
}
END_TEST

START_TEST(more_effort_counts_more) {
    cop_tune_cache *cache = cop_tune_cache_open(true);
    add(cache, 1, 0, 1);
    cop_tune_cache_close(cache);
    ck_assert(isnan(look_up(1, 1)));
    cache = cop_tune_cache_open(true);
    add(cache, 1, 1, 2);
    add(cache, 1, 0, 3);
    cop_tune_cache_close(cache);
    ck_assert_float_eq(look_up(1, 0), 2);
    ck_assert_float_eq(look_up(1, 1), 2);
}
END_TEST

START_TEST(a_damaged_record_alone_is_lost) {
    store(0, 10);
    overwrite(16 + 4 * 128 + 40, "X");
    ck_assert_float_eq(look_up(3, 0), 3); /* and writes the file anew */
    ck_assert_int_eq(notes, 1);
    ck_assert(isnan(look_up(4, 0)));
    ck_assert_float_eq(look_up(9, 0), 9);
    ck_assert_int_eq(notes, 1);
    ck_assert_int_eq(file_bytes(), 16 + 9 * 128);
}
END_TEST

START_TEST(a_torn_end_is_cut) {
    store(0, 10);
    ck_assert_int_eq(truncate(path, 16 + 9 * 128 + 77), 0);
    ck_assert_float_eq(look_up(8, 0), 8);
    ck_assert_int_eq(notes, 1);
    ck_assert(isnan(look_up(9, 0)));
    ck_assert_int_eq(notes, 1);
    ck_assert_int_eq(file_bytes(), 16 + 9 * 128);
}
END_TEST

START_TEST(another_file_is_ignored_and_replaced) {
    store(0, 2);
    overwrite(0, "#!/bin/sh");
    ck_assert(isnan(look_up(1, 0)));
    ck_assert_int_eq(notes, 1);
    store(5, 6);
    ck_assert_float_eq(look_up(5, 0), 5);
    ck_assert_int_eq(notes, 1);
}
END_TEST

START_TEST(the_file_is_bounded_and_the_oldest_go) {
    for (uint64_t i = 0; i < 10; i++)
        store(1000 * i, 1000 * (i + 1));
    ck_assert_int_le(file_bytes(), 1 << 20 | 16);
    ck_assert(isnan(look_up(0, 0)));
    ck_assert_float_eq(look_up(9999, 0), 9999);
    ck_assert_float_eq(look_up(9000, 0), 9000);
    ck_assert_int_eq(notes, 0);
    ck_assert_uint_eq(files_in_folder(), 1);
}
END_TEST

START_TEST(more_than_a_file_takes_is_no_cache) {
    store(0, 1);
    ck_assert_int_eq(truncate(path, 100 << 20), 0);
    ck_assert(isnan(look_up(0, 0)));
    ck_assert_int_lt(file_bytes(), 1000);
}
END_TEST

START_TEST(several_processes_at_once_lose_nothing) {
    enum { PROCESSES = 4, ROUNDS = 20, EACH = 10 };
    pid_t children[PROCESSES];
    for (uint64_t p = 0; p < PROCESSES; p++) {
        children[p] = fork();
        for (uint64_t r = 0; children[p] == 0 && r < ROUNDS; r++)
            store(p * 1000 + r * EACH, p * 1000 + (r + 1) * EACH);
        if (children[p] == 0)
            _exit(notes);
    }
    for (int p = 0; p < PROCESSES; p++) {
        int state;
        ck_assert_int_eq(waitpid(children[p], &state, 0), children[p]);
        ck_assert_int_eq(state, 0);
    }
    for (uint64_t p = 0; p < PROCESSES; p++) {
        for (uint64_t i = 0; i < ROUNDS * EACH; i += 37)
            ck_assert_float_eq(look_up(p * 1000 + i, 0), (float)(p * 1000 + i));
    }
    ck_assert_int_eq(file_bytes(), 16 + PROCESSES * ROUNDS * EACH * 128);
    ck_assert_int_eq(notes, 0);
}
END_TEST

START_TEST(no_file_is_no_error) {
    static const char *const places[] = {"", "off", "/proc/nowhere", "/dev/null", "/dev/zero/x"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        setenv("COPPICE_CACHE", places[i], 1);
        cop_tune_cache *cache = cop_tune_cache_open(true);
        cop_tune_times times;
        add(cache, 1, 0, 1);
        ck_assert(cop_tune_cache_find(cache, key_of(1), 0, &times));
        cop_tune_cache_close(cache);
        ck_assert_int_eq(notes, i < 2 ? 0 : (int)i - 1); /* where it was to be, and cannot */
    }
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    setenv("COPPICE_CACHE", folder, 1);
    store(0, 1);
    ck_assert(!cop_tune_cache_find(NULL, key_of(1), 0, NULL));
}
END_TEST

START_TEST(a_folder_in_its_place_is_left_alone_and_said) {
    struct stat info;
    ck_assert_int_eq(mkdir(path, 0700), 0);
    setenv("COPPICE_CACHE", folder, 1);
    cop_tune_cache *cache = cop_tune_cache_open(true);
    ck_assert_int_eq(notes, 1);
    ck_assert_ptr_nonnull(strstr(last_note, "is a folder, not a file"));
    add(cache, 1, 0, 1);
    cop_tune_cache_close(cache);
    ck_assert_int_eq(notes, 1);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert(S_ISDIR(info.st_mode));
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(a_full_disk_is_a_note_and_leaves_no_torn_end) {
    store(0, 1);
    const long before = file_bytes();
    const struct rlimit most = {.rlim_cur = (rlim_t)before + 20, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &most), 0);
    store(1, 3);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}), 0);
    ck_assert_int_eq(notes, 1);
    ck_assert_int_eq(file_bytes(), before);
    ck_assert_float_eq(look_up(0, 0), 0);
}
END_TEST

START_TEST(the_place_follows_the_environment) {
    unsetenv("COPPICE_CACHE");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    store(0, 1);
    setenv("XDG_CACHE_HOME", "relative", 1);
    store(0, 1);
    ck_assert_uint_eq(files_in_folder(), 0);
    setenv("HOME", folder, 1);
    store(0, 1);
    snprintf(path, sizeof path, "%s/.cache/coppice/tuning", folder);
    ck_assert_int_gt(file_bytes(), 0);
    char xdg[128];
    snprintf(xdg, sizeof xdg, "%s/a/b", folder);
    setenv("XDG_CACHE_HOME", xdg, 1);
    store(0, 1);
    snprintf(path, sizeof path, "%s/a/b/coppice/tuning", folder);
    ck_assert_int_gt(file_bytes(), 0);
    cop_tune_cache_close(cop_tune_cache_open(false));
}
END_TEST

START_TEST(keys_tell_texts_and_numbers_apart) {
    cop_tune_key x = cop_tune_key_start(), y = x;
    ck_assert(x.a || x.b);
    cop_tune_key_text(&x, "ab");
    cop_tune_key_text(&x, "c");
    cop_tune_key_text(&y, "a");
    cop_tune_key_text(&y, "bc");
    ck_assert(x.a != y.a && x.b != y.b);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("tune cache");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_was_added_is_found_by_the_next);
    tcase_add_test(tests, more_effort_counts_more);
    tcase_add_test(tests, a_damaged_record_alone_is_lost);
    tcase_add_test(tests, a_torn_end_is_cut);
    tcase_add_test(tests, another_file_is_ignored_and_replaced);
    tcase_add_test(tests, the_file_is_bounded_and_the_oldest_go);
    tcase_add_test(tests, more_than_a_file_takes_is_no_cache);
    tcase_add_test(tests, several_processes_at_once_lose_nothing);
    tcase_add_test(tests, no_file_is_no_error);
    tcase_add_test(tests, a_folder_in_its_place_is_left_alone_and_said);
    tcase_add_test(tests, a_full_disk_is_a_note_and_leaves_no_torn_end);
    tcase_add_test(tests, the_place_follows_the_environment);
    tcase_add_test(tests, keys_tell_texts_and_numbers_apart);
    return unit_run("tune_cache", tests);
}
