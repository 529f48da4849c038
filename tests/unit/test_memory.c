/* Tests of runtime/memory.c: buffers that are alive together never overlap. */
#include <check.h>
#include <stdlib.h>

#include "runtime/memory.h"
#include "unit.h"

static void check_no_overlap(const cop_buffer *buffers, size_t count, const size_t *asked,
                             size_t total) {
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(buffers[i].offset % COP_MEMORY_ALIGNMENT, 0);
        ck_assert_uint_le(buffers[i].offset + asked[i] + COP_MEMORY_SLACK, total);
        for (size_t k = 0; k < i; k++) {
            bool together =
                buffers[i].first <= buffers[k].last && buffers[k].first <= buffers[i].last;
            bool apart = buffers[i].offset + asked[i] + COP_MEMORY_SLACK <= buffers[k].offset ||
                         buffers[k].offset + asked[k] + COP_MEMORY_SLACK <= buffers[i].offset;
            ck_assert(!together || apart);
        }
    }
}

START_TEST(buffers_alive_together_never_overlap) {
    enum { COUNT = 200 };
    cop_buffer buffers[COUNT];
    size_t asked[COUNT], total;
    srand(1);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < COUNT; i++) {
            asked[i] = (size_t)rand() % 5000;
            int first = rand() % 100;
            buffers[i] =
                (cop_buffer){.bytes = asked[i], .first = first, .last = first + rand() % 10};
        }
        ck_assert(cop_memory_plan(buffers, COUNT, &total));
        check_no_overlap(buffers, COUNT, asked, total);
    }
}
END_TEST

START_TEST(chain_of_equal_buffers_needs_two) {
    cop_buffer buffers[10];
    size_t total;
    for (int i = 0; i < 10; i++)
        buffers[i] = (cop_buffer){.bytes = 1000, .first = i, .last = i + 1};
    ck_assert(cop_memory_plan(buffers, 10, &total));
    ck_assert_uint_le(total, 2 * (1000 + 2 * COP_MEMORY_ALIGNMENT));
}
END_TEST

/* As of a long model; each is compared with those that begin soon after it. */
START_TEST(many_buffers_that_live_briefly_are_placed_tightly) {
    enum { COUNT = 100000, NEAR = 40 };
    cop_buffer *buffers = calloc(COUNT, sizeof *buffers);
    size_t total;
    srand(2);
    for (int i = 0; i < COUNT; i++)
        buffers[i] = (cop_buffer){
            .bytes = (size_t)(rand() % 4 + 1) * 1000, .first = i, .last = i + rand() % 8};
    ck_assert(cop_memory_plan(buffers, COUNT, &total));
    ck_assert_uint_le(total, 3 * 8 * 4000);
    size_t overlaps = 0;
    for (int i = 0; i < COUNT; i++) {
        for (int k = i + 1; k < COUNT && k < i + NEAR; k++) {
            bool apart = buffers[i].offset + buffers[i].bytes <= buffers[k].offset ||
                         buffers[k].offset + buffers[k].bytes <= buffers[i].offset;
            overlaps += buffers[k].first <= buffers[i].last && !apart;
        }
    }
    ck_assert_uint_eq(overlaps, 0);
    free(buffers);
}
END_TEST

START_TEST(sizes_that_overflow_are_refused) {
    cop_buffer buffers[2] = {{.bytes = SIZE_MAX - 10}, {.bytes = 100}};
    size_t total;
    ck_assert(!cop_memory_plan(buffers, 2, &total));
    buffers[0].bytes = buffers[1].bytes = SIZE_MAX / 2;
    ck_assert(!cop_memory_plan(buffers, 2, &total));
}
END_TEST

START_TEST(no_buffer_needs_no_memory) {
    size_t total = 1;
    ck_assert(cop_memory_plan(NULL, 0, &total));
    ck_assert_uint_eq(total, 0);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("memory");
    tcase_add_test(tests, buffers_alive_together_never_overlap);
    tcase_add_test(tests, chain_of_equal_buffers_needs_two);
    tcase_add_test(tests, many_buffers_that_live_briefly_are_placed_tightly);
    tcase_add_test(tests, sizes_that_overflow_are_refused);
    tcase_add_test(tests, no_buffer_needs_no_memory);
    return unit_run("memory", tests);
}
