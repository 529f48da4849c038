/* Narrow types: every code has its value, and every value its code. */
#include <math.h>
#include <string.h>

#include "base/narrow.h"
#include "base/number.h"
#include "unit.h"

static const cop_narrowing to_infinity = {false, COP_ROUND_UP}, saturating = {true, COP_ROUND_UP};

START_TEST(every_code_survives_the_way_to_float_and_back) {
    for (int type = 1; type <= COPPICE_TYPE_INT2; type++) {
        if (!cop_is_narrow_type((coppice_type)type) || cop_wide_type((coppice_type)type) != 1)
            continue;
        unsigned codes = 1u << coppice_type_bits((coppice_type)type);
        for (unsigned code = 0; code < codes; code++) {
            float value = cop_float_from_narrow((coppice_type)type, code);
            unsigned back = cop_narrow_from_float((coppice_type)type, value, to_infinity);
            ck_assert_msg(back == code || isnan(value), "%s: %x is %g, which is %x",
                          coppice_type_name((coppice_type)type), code, (double)value, back);
            float rounded = value;
            cop_narrow_round((coppice_type)type, &rounded, 1, to_infinity);
            ck_assert(memcmp(&rounded, &value, sizeof value) == 0 || isnan(value));
        }
    }
}
END_TEST

/* Numbers of ml_dtypes 0.5. */
START_TEST(floats_round_to_nearest_even_and_saturate_when_they_should) {
    static const struct {
        coppice_type type;
        float value;
        cop_narrowing how;
        unsigned code;
    } cases[] = {
        {COPPICE_TYPE_FLOAT8E4M3FN, 0, {true, 0}, 0x00},
        {COPPICE_TYPE_FLOAT8E4M3FN, -0.0f, {true, 0}, 0x80},
        {COPPICE_TYPE_FLOAT8E4M3FN, 0.48f, {true, 0}, 0x2f},
        {COPPICE_TYPE_FLOAT8E4M3FN, 1e6f, {true, 0}, 0x7e},
        {COPPICE_TYPE_FLOAT8E4M3FN, 1e6f, {false, 0}, 0x7f},
        {COPPICE_TYPE_FLOAT8E4M3FN, -INFINITY, {false, 0}, 0xff},
        {COPPICE_TYPE_FLOAT8E4M3FNUZ, -0.0f, {true, 0}, 0x00},
        {COPPICE_TYPE_FLOAT8E4M3FNUZ, -1e-9f, {true, 0}, 0x00},
        {COPPICE_TYPE_FLOAT8E4M3FNUZ, -1e6f, {false, 0}, 0x80},
        {COPPICE_TYPE_FLOAT8E5M2, 1e6f, {false, 0}, 0x7c},
        {COPPICE_TYPE_FLOAT8E5M2, 1e6f, {true, 0}, 0x7b},
        {COPPICE_TYPE_FLOAT8E5M2, NAN, {true, 0}, 0x7e},
        {COPPICE_TYPE_FLOAT8E5M2FNUZ, 0.01f, {true, 0}, 0x25},
        {COPPICE_TYPE_FLOAT4E2M1, 0.25f, {true, 0}, 0x0},
        {COPPICE_TYPE_FLOAT4E2M1, -3.5f, {true, 0}, 0xe},
        {COPPICE_TYPE_FLOAT4E2M1, 1e6f, {false, 0}, 0x7},
        {COPPICE_TYPE_FLOAT8E8M0, 3, {true, COP_ROUND_UP}, 129},
        {COPPICE_TYPE_FLOAT8E8M0, 3, {true, COP_ROUND_DOWN}, 128},
        {COPPICE_TYPE_FLOAT8E8M0, 2.9f, {true, COP_ROUND_NEAREST}, 128},
        {COPPICE_TYPE_FLOAT8E8M0, 3, {true, COP_ROUND_NEAREST}, 129},
        {COPPICE_TYPE_FLOAT8E8M0, 0, {true, COP_ROUND_UP}, 0},
        {COPPICE_TYPE_FLOAT8E8M0, 0, {false, COP_ROUND_NEAREST}, 255},
        {COPPICE_TYPE_FLOAT8E8M0, INFINITY, {true, COP_ROUND_UP}, 254},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned got = cop_narrow_from_float(cases[i].type, cases[i].value, cases[i].how);
        ck_assert_msg(got == cases[i].code, "%s: %g is %x, expected %x",
                      coppice_type_name(cases[i].type), (double)cases[i].value, got, cases[i].code);
    }
}
END_TEST

START_TEST(doubles_are_rounded_once) {
    /* Half way between two float16 for a float, just above it for a double. */
    double value = 1.0 + 0x1p-11 + 0x1p-40;
    float near = (float)value, odd = cop_float_to_odd(value);
    ck_assert_uint_eq(cop_narrow_from_float(COPPICE_TYPE_FLOAT16, near, saturating), 0x3c00);
    ck_assert_uint_eq(cop_narrow_from_float(COPPICE_TYPE_FLOAT16, odd, saturating), 0x3c01);
}
END_TEST

START_TEST(elements_of_four_and_two_bits_are_packed_from_below) {
    int8_t wide[5] = {-8, 7, -1, 0, 3}, back[5];
    uint8_t packed[3];
    cop_narrow_pack(COPPICE_TYPE_INT4, wide, 0, 5, packed);
    ck_assert_mem_eq(packed, "\x78\x0f\x03", 3);
    cop_narrow_unpack(COPPICE_TYPE_INT4, packed, 0, 5, back);
    ck_assert_mem_eq(back, wide, 5);
    cop_narrow_unpack(COPPICE_TYPE_INT4, packed, 1, 2, back);
    ck_assert_int_eq(back[0], 7);
    ck_assert_int_eq(back[1], -1);
    uint8_t two[5] = {3, 0, 2, 1, 3};
    cop_narrow_pack(COPPICE_TYPE_UINT2, two, 0, 5, packed);
    ck_assert_mem_eq(packed, "\x63\x03", 2);
}
END_TEST

START_TEST(numbers_read_as_they_were_written) {
    static const struct {
        double value;
        bool single;
        const char *text;
    } cases[] = {{0.1, false, "0.1"},
                 {(double)0.1f, true, "0.1"},
                 {1, true, "1.0"},
                 {1e16, false, "1e+16"},
                 {(double)1e-7f, true, "1e-07"},
                 {-0.0, true, "-0.0"},
                 {(double)314.15926f, true, "314.15927"},
                 {NAN, true, "nan"},
                 {-INFINITY, true, "-inf"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[COP_NUMBER_TEXT];
        double back;
        size_t length = cop_number_format(cases[i].value, cases[i].single, text);
        ck_assert_str_eq(text, cases[i].text);
        ck_assert(cop_number_parse(text, length, &back));
    }
    double ignored;
    int64_t integer;
    ck_assert(!cop_number_parse("Hello World!", 12, &ignored));
    ck_assert(!cop_number_parse("", 0, &ignored));
    ck_assert(cop_integer_parse(" -9223372036854775808 ", 22, &integer) && integer == INT64_MIN);
    ck_assert(!cop_integer_parse("1.5", 3, &integer));
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("narrow");
    tcase_add_test(tests, every_code_survives_the_way_to_float_and_back);
    tcase_add_test(tests, floats_round_to_nearest_even_and_saturate_when_they_should);
    tcase_add_test(tests, doubles_are_rounded_once);
    tcase_add_test(tests, elements_of_four_and_two_bits_are_packed_from_below);
    tcase_add_test(tests, numbers_read_as_they_were_written);
    return unit_run("narrow", tests);
}
