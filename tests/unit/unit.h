/* What every test program with Check ends with. */
#ifndef COP_TESTS_UNIT_H
#define COP_TESTS_UNIT_H

#include <check.h>

#include <coppice/status.h>

/* A call that has to succeed; it may name the error that it gets `error`. */
#define CK_OK(call)                                                                                \
    do {                                                                                           \
        coppice_error error;                                                                       \
        error.message[0] = '\0';                                                                   \
        ck_assert_msg((call) == COPPICE_OK, "%s", error.message);                                  \
    } while (0)

/* Runs a suite; what main returns. */
static inline int unit_run_suite(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* The same for one test case. */
static inline int unit_run(const char *name, TCase *tests) {
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, tests);
    return unit_run_suite(suite);
}

#endif
