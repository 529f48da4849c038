/* Tests of operators on strings and of regular expressions: bad patterns and lists are refused, no
 * pattern takes long, odd texts are defined. */
#include "runtime/ops/text/regex.h"
#include "runtime/ops/util.h"
#include "small_graph.h"
#include "unit.h"

static int strings(const char *name, uint32_t rank, const int64_t *dims, const char *const *texts) {
    coppice_string all[16];
    int64_t count = 1;
    for (uint32_t d = 0; d < rank; d++)
        count *= dims[d];
    for (int64_t i = 0; i < count; i++)
        all[i] = (coppice_string){texts[i], strlen(texts[i])};
    return small_constant(name, COPPICE_TYPE_STRING, rank, dims, all);
}

static void expect_strings(int value, int count, const char *const *want) {
    const coppice_string *got = small_tensor(value)->data;
    ck_assert_int_eq(coppice_tensor_count(small_tensor(value)), count);
    for (int i = 0; i < count; i++) {
        ck_assert_uint_eq(got[i].length, strlen(want[i]));
        ck_assert(got[i].length == 0 || !memcmp(got[i].data, want[i], got[i].length));
    }
}

static void attr_strings(const char *name, size_t count, const char *const *texts) {
    cop_string *all = cop_arena_array(&small_arena, count + 1, sizeof *all);
    for (size_t i = 0; i < count; i++)
        all[i] = (cop_string){texts[i], strlen(texts[i])};
    small_attr(name, 0);
    cop_attr *attr = &small_last()->attrs[small_last()->attr_count - 1];
    attr->kind = COP_ATTR_STRINGS;
    attr->count = count;
    attr->strings = all;
}

/* ---- regular expressions ---- */

static bool matches(const char *pattern, const char *text) {
    cop_regex *regex;
    bool result;
    coppice_error err = {0};
    ck_assert_msg(cop_regex_compile(pattern, strlen(pattern), &regex, &err) == COPPICE_OK, "%s",
                  err.message);
    ck_assert_int_eq(cop_regex_match(regex, text, strlen(text), &result, &err), COPPICE_OK);
    cop_regex_free(regex);
    return result;
}

START_TEST(patterns_match_all_of_a_text) {
    static const struct {
        const char *pattern, *text;
        bool match;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"a|b|", "", true},
        {"a|b|", "b", true},
        {"a|bc*", "bccc", true},
        {"(a|b)*c", "ababc", true},
        {"(a|b)+?c", "c", false},
        {"a{2}", "aaa", false},
        {"a{2,}", "aaaa", true},
        {"a{2,3}b", "aaab", true},
        {"a{2,3}b", "aaaab", false},
        {"a{,3}", "a{,3}", true},
        {"a{0}", "", true},
        {"(|a)*b", "aab", true},
        {".", "\n", false},
        {"(?s).", "\n", true},
        {"(?i)GruS\\d", "gRUs5", true},
        {"(?i:a)b", "AB", false},
        {"a(?i)b", "aB", true},
        {"[^a-c]", "b", false},
        {"[^a-c]", "d", true},
        {"[]a-]+", "]-a", true},
        {"[\\w.\\-]{0,25}@(yahoo|gmail)\\.com", "a.b-c@gmail.com", true},
        {"[[:digit:]x]+", "12x", true},
        {"[^[:space:]\\d]", "7", false},
        {"\\bab\\b cd\\B", "ab cd", false},
        {"\\bab\\b cd\\b", "ab cd", true},
        {"^a$", "a", true},
        {"a^b", "ab", false},
        {"(?m)a$\n^b", "a\nb", true},
        {"\\Aa\\z", "a", true},
        {"gr\xc3\xbc.e", "gr\xc3\xbc\xc3\x9f\x65", true},
        {"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true},
        {"\\x{e9}\\x41\\t",
         "\xc3\xa9"
         "A\t",
         true},
        {"\\Qa.b|c\\E+", "a.b|cc", true},
        {"\\Qa.b|c\\E", "a.b|c", true},
        {"(?P<name>a)(?:b)", "ab", true},
        {".", "\xff", true},
        {"\\W\\S\\D", " -x", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(matches(cases[i].pattern, cases[i].text) == cases[i].match, "%s on %s",
                      cases[i].pattern, cases[i].text);
}
END_TEST

START_TEST(bad_patterns_are_refused) {
    static const struct {
        const char *pattern, *message;
    } cases[] = {
        {"(a", "( without )"},
        {"a)", ") without ("},
        {"[a", "[ without ]"},
        {"*a", "nothing to repeat"},
        {"a|+", "nothing to repeat"},
        {"a**", "repetition of a"},
        {"a{3,2}", "ends before"},
        {"a{1001}", "larger than"},
        {"[z-a]", "ends before"},
        {"\\", "last \\"},
        {"\\p{L}", "escape"},
        {"\\1", "escape"},
        {"(?=a)", "group of a kind"},
        {"(?<=a)", "( without )"},
        {"\\x4", "\\x"},
        {"\\x{110000}", "\\x"},
        {"\\xzz", "\\x"},
    };
    coppice_error err = {0};
    cop_regex *regex;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *pattern = cases[i].pattern;
        ck_assert_msg(cop_regex_compile(pattern, strlen(pattern), &regex, &err) != COPPICE_OK, "%s",
                      pattern);
        ck_assert_msg(strstr(err.message, cases[i].message), "%s: %s", pattern, err.message);
    }
    static const char *const large[] = {"((a{1000}){1000}){1000}", "(((){1000}){1000}){1000}"};
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(cop_regex_compile(large[i], strlen(large[i]), &regex, &err),
                         COPPICE_LIMIT);
    char deep[1001];
    memset(deep, '(', 1000);
    deep[1000] = 0;
    ck_assert_int_eq(cop_regex_compile(deep, 1000, &regex, &err), COPPICE_BAD_MODEL);
    small_begin(20);
    small_node("RegexFullMatch", 1, small_input("x", COPPICE_TYPE_STRING, DIMS(2)));
    small_attr_string("pattern", "(");
    small_refused(COPPICE_BAD_MODEL, "( without )");
    small_begin(20);
    small_node("RegexFullMatch", 1, small_input("x", COPPICE_TYPE_STRING, DIMS(2)));
    small_refused(COPPICE_BAD_MODEL, "'pattern' is missing");
}
END_TEST

START_TEST(patterns_that_backtracking_cannot_do_are_quick) {
    static char text[20001];
    memset(text, 'a', 20000);
    ck_assert(!matches("(a*)*b", text));
    ck_assert(!matches("(a|aa)+b", text));
    ck_assert(matches("(a?){50}a*", text));
    ck_assert(!matches("(.*)(.*)(.*)(.*)(.*)[^a]", text));
}
END_TEST

/* ---- operators ---- */

START_TEST(strings_are_joined_by_numpys_rules) {
    small_begin(20);
    int x = strings("x", DIMS(2, 1), (const char *[]){"a", ""});
    int y =
        small_node("StringConcat", 2, x, strings("z", DIMS(3), (const char *[]){"", "b", "cc"}));
    small_inferred();
    small_has_shape(y, DIMS(2, 3));
    expect_strings(y, 6, (const char *[]){"a", "ab", "acc", "", "b", "cc"});
    small_end();
    small_begin(20);
    x = strings("x", DIMS(2), (const char *[]){"a", ""});
    small_node("StringConcat", 2, x, strings("z", DIMS(3), (const char *[]){"", "b", "cc"}));
    small_refused(COPPICE_BAD_MODEL, "do not broadcast");
    small_begin(20);
    x = strings("x", DIMS(2), (const char *[]){"a", ""});
    small_node("StringConcat", 2, x, small_ints("i", LIST(1, 2)));
    small_refused(COPPICE_BAD_MODEL, "'i') has type int64");
}
END_TEST

START_TEST(strings_are_split_as_python_does) {
    static const struct {
        const char *text, *delimiter;
        int64_t most;
        int count;
        const char *want[4];
    } cases[] = {
        {"  a b  c ", "", -1, 3, {"a", "b", "c"}},
        {"  a b  c ", "", 1, 2, {"a", "b  c "}},
        {"  a b ", "", 0, 1, {"a b "}},
        {" \t\n", "", -1, 0, {NULL}},
        {"", "", -1, 0, {NULL}},
        {"", ",", -1, 1, {""}},
        {",a,,", ",", -1, 4, {"", "a", "", ""}},
        {",a,,", ",", 2, 3, {"", "a", ","}},
        {"abab", "ab", -1, 3, {"", "", ""}},
        {"a", "aa", -1, 1, {"a"}},
        {"a,b", ",", 0, 1, {"a,b"}},
        {"a,b", ",", -7, 2, {"a", "b"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        small_begin(20);
        int y = small_node("StringSplit", 1, strings("x", SCALAR, &cases[i].text));
        small_attr_string("delimiter", cases[i].delimiter);
        small_attr("maxsplit", cases[i].most);
        small_inferred();
        expect_strings(y, cases[i].count, cases[i].want);
        small_end();
    }
}
END_TEST

START_TEST(letters_of_all_scripts_change_case) {
    small_begin(13);
    int x =
        strings("x", DIMS(1, 3), (const char *[]){"Gr\xc3\xbc\xc3\x9f\x65", "\xd0\x9c\xff", "THE"});
    int upper = small_node("StringNormalizer", 1, x), lower;
    small_attr_string("case_change_action", "UPPER");
    attr_strings("stopwords", 1, (const char *[]){"the"});
    lower = small_node("StringNormalizer", 1, x);
    small_attr_string("case_change_action", "LOWER");
    small_attr("is_case_sensitive", 1);
    attr_strings("stopwords", 1, (const char *[]){"the"});
    small_inferred();
    small_has_shape(upper, DIMS(1, 2));
    expect_strings(upper, 2, (const char *[]){"GR\xc3\x9c\xc3\x9f\x45", "\xd0\x9c\xff"});
    expect_strings(lower, 3, (const char *[]){"gr\xc3\xbc\xc3\x9f\x65", "\xd0\xbc\xff", "the"});
    small_end();
    small_begin(13);
    int y = small_node("StringNormalizer", 1, strings("x", DIMS(1), (const char *[]){"a"}));
    attr_strings("stopwords", 1, (const char *[]){"A"});
    small_inferred();
    expect_strings(y, 1, (const char *[]){""});
    small_end();
    small_begin(13);
    small_node("StringNormalizer", 1, strings("x", DIMS(2, 1), (const char *[]){"a", "b"}));
    small_refused(COPPICE_BAD_MODEL, "[2,1], expected [C] or [1,C]");
    small_begin(13);
    small_node("StringNormalizer", 1, strings("x", DIMS(1), (const char *[]){"a"}));
    small_attr_string("case_change_action", "TITLE");
    small_refused(COPPICE_BAD_MODEL, "'TITLE', expected NONE, LOWER or UPPER");
}
END_TEST

START_TEST(lists_of_n_grams_that_do_not_fit_are_refused) {
    static const struct {
        const char *mode;
        int64_t longest, counts[2], pool, indexes[3];
        const char *message;
    } cases[] = {
        {"TF", 2, {0, 1}, 3, {0, 1, -1}, "ngram_indexes has 3 entries for 2"},
        {"TF", 2, {0, 2}, 3, {0, 1, 2}, "the 2-grams are 2 to 3"},
        {"TF", 2, {0, 9}, 3, {0, 1, 2}, "the 1-grams are 0 to 9"},
        {"TF", 2, {-1, 0}, 3, {0, 1, 2}, "the 1-grams are -1 to 0"},
        {"TF", 0, {0, 2}, 4, {0, 1, 2}, "n-grams of 1 to 0"},
        {"XX", 2, {0, 2}, 4, {0, 1, 2}, "'XX', expected TF"},
        {"TF", 2, {0, 2}, 4, {0, 1, -2}, "ngram_indexes holds -2"},
        {"TF", 2, {0, 2}, 4, {0, 1, INT64_MAX}, "ngram_indexes holds"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t pool[4] = {1, 2, 3, 4};
        small_begin(9);
        small_node("TfIdfVectorizer", 1, small_ints("x", LIST(1, 2, 3)));
        small_attr_string("mode", cases[i].mode);
        small_attr("max_gram_length", cases[i].longest);
        small_attr_ints("ngram_counts", 2, cases[i].counts);
        small_attr_ints("ngram_indexes", 3, cases[i].indexes);
        small_attr_ints("pool_int64s", (int)cases[i].pool, pool);
        small_refused(COPPICE_BAD_MODEL, cases[i].message);
    }
}
END_TEST

/* ---- ai.onnx.ml ---- */

static void begin_ml(int64_t opset) {
    small_begin(20);
    cop_opset *sets = cop_arena_array(&small_arena, 2, sizeof *sets);
    sets[0] = (cop_opset){"", 20};
    sets[1] = (cop_opset){"ai.onnx.ml", opset};
    small_graph->opsets = sets;
    small_graph->opset_count = 2;
}

static int ml_node(const char *op, int count, int a, int b) {
    int y = count == 1 ? small_node(op, 1, a) : small_node(op, 2, a, b);
    small_last()->domain = "ai.onnx.ml";
    return y;
}

START_TEST(labels_are_encoded_and_bad_lists_refused) {
    begin_ml(2);
    int x = strings("x", DIMS(3), (const char *[]){"b", "c", "a"});
    int y = ml_node("LabelEncoder", 1, x, -1);
    attr_strings("keys_strings", 3, (const char *[]){"a", "b", "a"});
    small_attr_ints("values_int64s", LIST(1, 2, 3));
    small_inferred();
    static const int64_t want[] = {2, -1, 3};
    ck_assert_mem_eq(small_tensor(y)->data, want, sizeof want);
    small_end();
    begin_ml(2);
    x = strings("x", DIMS(1), (const char *[]){"b"});
    ml_node("LabelEncoder", 1, x, -1);
    attr_strings("keys_strings", 1, (const char *[]){"a"});
    small_attr_ints("values_int64s", LIST(1, 2));
    small_refused(COPPICE_BAD_MODEL, "1 keys for 2 values");
    begin_ml(2);
    ml_node("LabelEncoder", 1, small_ints("i", LIST(1)), -1);
    attr_strings("keys_strings", 1, (const char *[]){"a"});
    small_attr_ints("values_int64s", LIST(1));
    small_refused(COPPICE_BAD_MODEL, "input 'i' is int64, the keys are string");
    begin_ml(1);
    x = small_weights("x", DIMS(2, 3));
    ml_node("ArrayFeatureExtractor", 2, x, small_ints("i", LIST(0, 3)));
    small_refused(COPPICE_BAD_DATA, "index 3");
}
END_TEST

START_TEST(trees_that_make_no_sense_are_refused) {
    static const struct {
        int64_t feature, yes, leaf_target, root, targets, cycle;
        coppice_status status;
        const char *message;
    } cases[] = {
        {9, 0, 0, 0, 1, 0, COPPICE_BAD_MODEL, "the trees want 10 features"},
        {-1, 0, 0, 0, 1, 0, COPPICE_BAD_MODEL, "'nodes_featureids' holds -1"},
        {0, 7, 0, 0, 1, 0, COPPICE_BAD_MODEL, "'nodes_truenodeids' holds 7"},
        {0, 0, 5, 0, 1, 0, COPPICE_BAD_MODEL, "'leaf_targetids' holds 5"},
        {0, 0, 0, 2, 1, 0, COPPICE_BAD_MODEL, "'tree_roots' holds 2"},
        {0, 0, 0, 0, 0, 0, COPPICE_BAD_MODEL, "n_targets 0"},
        {0, 0, 0, 0, 1, 1, COPPICE_BAD_MODEL, "the branches of tree 0 go round"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float number = 1;
        uint8_t mode = 0;
        begin_ml(5);
        int x = small_weights("x", DIMS(2, 3));
        int s = small_constant("s", COPPICE_TYPE_FLOAT, DIMS(1), &number);
        int m = small_constant("m", COPPICE_TYPE_UINT8, DIMS(1), &mode);
        ml_node("TreeEnsemble", 1, x, -1);
        small_attr("n_targets", cases[i].targets);
        small_attr_ints("nodes_featureids", 1, &cases[i].feature);
        small_attr_ints("nodes_truenodeids", 1, &cases[i].yes);
        small_attr_ints("nodes_falsenodeids", LIST(0));
        small_attr_ints("nodes_trueleafs", LIST(cases[i].cycle ? 0 : 1));
        small_attr_ints("nodes_falseleafs", LIST(cases[i].cycle ? 0 : 1));
        small_attr_ints("leaf_targetids", 1, &cases[i].leaf_target);
        small_attr_ints("tree_roots", 1, &cases[i].root);
        const char *const names[] = {"nodes_splits", "leaf_weights", "nodes_modes"};
        for (int k = 0; k < 3; k++) {
            small_attr(names[k], 0);
            cop_attr *attr = &small_last()->attrs[small_last()->attr_count - 1];
            attr->kind = COP_ATTR_TENSOR;
            attr->tensor = small_graph->values[k == 2 ? m : s].constant;
        }
        small_refused(cases[i].status, cases[i].message);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("string");
    tcase_add_test(tests, patterns_match_all_of_a_text);
    tcase_add_test(tests, bad_patterns_are_refused);
    tcase_add_test(tests, patterns_that_backtracking_cannot_do_are_quick);
    tcase_add_test(tests, strings_are_joined_by_numpys_rules);
    tcase_add_test(tests, strings_are_split_as_python_does);
    tcase_add_test(tests, letters_of_all_scripts_change_case);
    tcase_add_test(tests, lists_of_n_grams_that_do_not_fit_are_refused);
    tcase_add_test(tests, labels_are_encoded_and_bad_lists_refused);
    tcase_add_test(tests, trees_that_make_no_sense_are_refused);
    return unit_run("string", tests);
}
