/* test_err_text - each code has words of the shape clients expect of it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "util/err.h"

typedef enum { COLON, SPACE, BARE, PHRASE } Shape;

/* The shapes, code by code, written down apart from the table under test. */
static const Shape shapes[] = {
    [0] = COLON, /* no code: unknown error */
    COLON, COLON, COLON, SPACE, SPACE, SPACE, SPACE, COLON, COLON, COLON, COLON, SPACE, COLON, SPACE, SPACE,
    SPACE, COLON, SPACE, SPACE, SPACE, SPACE, SPACE, SPACE, SPACE, SPACE, COLON, PHRASE, PHRASE, PHRASE, SPACE,
    SPACE, SPACE, COLON, COLON, BARE, SPACE, PHRASE, BARE, BARE, BARE, COLON, COLON, COLON, COLON, COLON, SPACE,
    SPACE, COLON, COLON, COLON, COLON, SPACE, COLON, COLON, COLON, COLON, COLON, SPACE, COLON, COLON, COLON,
    COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, SPACE, COLON, COLON, COLON,
    COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, PHRASE, COLON,
    COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON, PHRASE,
    COLON, COLON, COLON, COLON, COLON, COLON, COLON, COLON,
};

static void every_code_has_its_shape(void **state)
{
    for (int code = 0; code < (int)N_ELEMENTS(shapes); code++) {
        const char *alone = err_code_template(code, false);
        const char *detail = err_code_template(code, true);
        char joined[256];

        assert_non_null(alone);
        assert_non_null(detail);
        assert_null(strchr(alone, '%'));
        assert_non_null(strstr(detail, "%s"));
        assert_ptr_equal(strchr(detail, '%'), strrchr(detail, '%'));
        switch (shapes[code]) {
        case COLON:
            g_snprintf(joined, sizeof(joined), "%s: %%s", alone);
            assert_string_equal(detail, joined);
            break;
        case SPACE:
            /* "pointer" alone, "pointer in %s" with a name: only the end is certain. */
            assert_memory_equal(detail, alone, strlen(alone));
            assert_string_equal(detail + strlen(detail) - 3, " %s");
            break;
        case BARE:
            assert_string_equal(detail, "%s");
            break;
        case PHRASE:
            assert_string_not_equal(detail, alone);
            break;
        }
    }
}

static void words_that_clients_match(void **state)
{
    static const struct {
        int code;
        const char *detail, *text;
    } cases[] = {
        {VIR_ERR_INTERNAL_ERROR, "boom", "internal error: boom"},
        {VIR_ERR_NO_SUPPORT, "virDomainX", "this function is not supported by the connection driver: virDomainX"},
        {VIR_ERR_INVALID_DOMAIN, "virDomainX", "invalid domain pointer in virDomainX"},
        {VIR_ERR_XML_ERROR, "no name", "XML error: no name"},
        {VIR_ERR_XML_ERROR, NULL, "XML description is invalid or not well formed"},
        {VIR_ERR_DOM_EXIST, "vm1", "domain vm1 exists already"},
        {VIR_ERR_OPERATION_DENIED, "read only access prevents virDomainX", "operation forbidden: read only access prevents virDomainX"},
        {VIR_ERR_OPERATION_DENIED, NULL, "operation forbidden for read only access"},
        {VIR_ERR_RPC, "unknown procedure: 9999", "unknown procedure: 9999"},
        {VIR_ERR_NO_DOMAIN, "no domain with matching name 'x'", "Domain not found: no domain with matching name 'x'"},
        {VIR_ERR_OPERATION_INVALID, "domain is not running", "Requested operation is not valid: domain is not running"},
        {VIR_ERR_CONFIG_UNSUPPORTED, "x", "unsupported configuration: x"},
        {9999, "x", "unknown error: x"},
        {-1, NULL, "unknown error"},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        char text[256];
        const char *tmpl = err_code_template(cases[i].code, cases[i].detail != NULL);
        const char *slot = strstr(tmpl, "%s");
        if (slot)
            g_snprintf(text, sizeof(text), "%.*s%s%s", (int)(slot - tmpl), tmpl, cases[i].detail, slot + 2);
        else
            g_strlcpy(text, tmpl, sizeof(text));
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_shape),
        cmocka_unit_test(words_that_clients_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
