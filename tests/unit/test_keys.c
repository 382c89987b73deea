/* tests/unit/test_keys.c - the sets of key codes
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api_enums.h"
#include "domain/keys.h"

static int number(unsigned set, unsigned code)
{
    bool known;
    int q = key_to_qnum(set, code, &known);
    assert_true(known);
    return q;
}

/* The same key in every set, read off a keyboard's documentation. */
static void test_known_keys(void **state)
{
    static const struct {
        unsigned set, a, delete;
    } codes[] = {
        {VIR_KEYCODE_SET_LINUX, 30, 111},      {VIR_KEYCODE_SET_XT, 0x1e, 0xe053},   {VIR_KEYCODE_SET_ATSET1, 0x1e, 0xe053},
        {VIR_KEYCODE_SET_ATSET2, 0x1c, 0xe071}, {VIR_KEYCODE_SET_ATSET3, 0x1c, 0x64}, {VIR_KEYCODE_SET_OSX, 0, 0x75},
        {VIR_KEYCODE_SET_USB, 4, 76},         {VIR_KEYCODE_SET_WIN32, 'A', 0x2e},
        {VIR_KEYCODE_SET_QNUM, 0x1e, 0xd3},
    };
    for (size_t i = 0; i < N_ELEMENTS(codes); i++) {
        assert_int_equal(number(codes[i].set, codes[i].a), 0x1e);
        assert_int_equal(number(codes[i].set, codes[i].delete), 0xd3);
        assert_int_equal(number(codes[i].set, 0xffff), -1);
        assert_int_equal(number(codes[i].set, 0x12345678), -1);
    }
    assert_int_equal(number(VIR_KEYCODE_SET_WIN32, 0xa2), number(VIR_KEYCODE_SET_WIN32, 0x11)); /* left control, twice */
    assert_int_equal(number(VIR_KEYCODE_SET_USB, 0x32), number(VIR_KEYCODE_SET_USB, 0x31));
    assert_int_equal(number(VIR_KEYCODE_SET_XT_KBD, 0x1e), 0x1e);
    assert_int_equal(number(VIR_KEYCODE_SET_XT_KBD, 0x59), -1);
    bool known = true;
    assert_int_equal(key_to_qnum(10, 30, &known), -1);
    assert_false(known);
}

static unsigned cell(const KeyRow *r, unsigned column)
{
    const unsigned cells[] = {r->linux_code, r->qnum, r->set2, r->set3, r->macos, r->usb, r->win32};
    return cells[column];
}

/* A code that two rows had would press the wrong key for one of them. */
static void test_codes_are_unique(void **state)
{
    for (unsigned column = 0; column < 7; column++) {
        for (unsigned i = 0; i < n_key_rows; i++) {
            for (unsigned k = 0; k < i; k++) {
                if (cell(&key_rows[i], column) != KEY_NONE)
                    assert_int_not_equal(cell(&key_rows[i], column), cell(&key_rows[k], column));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_keys),
        cmocka_unit_test(test_codes_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
