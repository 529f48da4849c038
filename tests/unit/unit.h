/* What every unit test program ends with. */
#ifndef COP_TESTS_UNIT_H
#define COP_TESTS_UNIT_H

#include <check.h>

/* Runs one test case as a suite of the same name; what main returns. */
static inline int unit_run(const char *name, TCase *tests) {
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
