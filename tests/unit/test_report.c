/* HTML pages: whatever the texts hold, they stay texts; bars of nothing are none. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <coppice/report.h>

#include "base/file.h"
#include "folder.h"
#include "unit.h"

static coppice_error err;

/* The page as a string; free it. */
static char *written(coppice_html *page) {
    char path[128];
    cop_mapping file;
    snprintf(path, sizeof path, "%s/page.html", folder);
    ck_assert_int_eq(coppice_html_write(page, path, false, &err), COPPICE_OK);
    ck_assert_int_eq(coppice_html_write(page, path, false, &err), COPPICE_EXISTS);
    ck_assert_int_eq(cop_mapping_open(path, &file, &err), COPPICE_OK);
    char *text = strndup((const char *)file.data, file.bytes);
    cop_mapping_close(&file);
    coppice_html_free(page);
    return text;
}

START_TEST(texts_are_escaped_everywhere) {
    static const char evil[] = "</script><b onx='\"&\\\x01\xff\xe2\x80\xa8\xc3\xa9";
    const char *labels[] = {evil};
    const double values[] = {1};
    const coppice_html_series series = {evil, values};
    coppice_html *page;
    ck_assert_int_eq(coppice_html_create(evil, &page, &err), COPPICE_OK);
    coppice_html_fact(page, evil, evil);
    coppice_html_table(page, evil, labels, 1, labels, 1);
    coppice_html_bars(page, evil, evil, labels, 1, &series, 1);
    char *text = written(page);
    ck_assert_ptr_null(strstr(text, "<b onx"));
    ck_assert_ptr_null(strchr(text, 0x01));
    ck_assert_ptr_null(strchr(text, 0xff));
    ck_assert_ptr_nonnull(strstr(text, "&#60;/script&#62;&#60;b onx=&#39;&#34;&#38;&#92; "));
    ck_assert_ptr_nonnull(strstr(text, "\xc3\xa9"));
    free(text);
}
END_TEST

START_TEST(values_that_are_none_have_no_bar) {
    const char *labels[] = {"a", "b", "c", "d"};
    const double values[] = {NAN, -1, INFINITY, 2};
    const coppice_html_series series = {"s", values};
    coppice_html *page;
    ck_assert_int_eq(coppice_html_create("t", &page, &err), COPPICE_OK);
    coppice_html_bars(page, "b", "ms", labels, 4, &series, 1);
    coppice_html_bars(page, "none", "ms", labels, 0, &series, 1);
    char *text = written(page);
    const char *first = strstr(text, "<rect");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(strstr(first + 1, "<rect"));
    ck_assert_ptr_null(strstr(first, "nan"));
    free(text);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("report");
    tcase_add_checked_fixture(tests, make_folder, remove_folder);
    tcase_add_test(tests, texts_are_escaped_everywhere);
    tcase_add_test(tests, values_that_are_none_have_no_bar);
    return unit_run("report", tests);
}
