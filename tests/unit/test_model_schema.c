/* tests/unit/test_model_schema.c - what we write is valid by libvirt's own schema, where that is installed
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>

#include "model_env.h"

#define SCHEMA "/usr/share/libvirt/schemas/domain.rng"

static void say(void *ud, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void say(void *ud, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    print_error("%s: %s", (const char *)ud, text);
}

static bool valid(xmlRelaxNG *schema, char *name, const char *text)
{
    xmlDoc *doc = xmlReadMemory(text, (int)strlen(text), name, NULL, XML_PARSE_NONET);
    xmlRelaxNGValidCtxt *ctxt = xmlRelaxNGNewValidCtxt(schema);
    xmlRelaxNGSetValidErrors(ctxt, say, say, name);
    int rc = doc ? xmlRelaxNGValidateDoc(ctxt, doc) : -1;
    xmlRelaxNGFreeValidCtxt(ctxt);
    xmlFreeDoc(doc);
    return rc == 0;
}

static void test_schema(void **state)
{
    if (access(SCHEMA, R_OK) < 0) {
        print_message("no %s: skipped\n", SCHEMA);
        skip();
    }
    xmlRelaxNGParserCtxt *parser = xmlRelaxNGNewParserCtxt(SCHEMA);
    xmlRelaxNG *schema = xmlRelaxNGParse(parser);
    xmlRelaxNGFreeParserCtxt(parser);
    assert_non_null(schema);
    g_autofree char *dirname = g_build_filename(GOLDEN_DIR, "xml", NULL);
    GDir *dir = g_dir_open(dirname, 0, NULL);
    assert_non_null(dir);
    unsigned n = 0, bad = 0;
    for (const char *file; (file = g_dir_read_name(dir));) {
        bool live = g_str_has_suffix(file, ".live.xml");
        if (!live && (!g_str_has_suffix(file, ".xml") || g_str_has_suffix(file, ".out.xml") || g_str_has_suffix(file, ".mig.xml")))
            continue;
        g_autofree char *path = g_build_filename(dirname, file, NULL);
        g_autofree char *text = NULL;
        assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_auto(Err) err = ERR_INIT;
        g_autoptr(DomainDef) d = live ? domain_def_parse(text, PARSE_STATUS, NULL, &err) : model_define(text, 0, &err);
        if (!d)
            continue; /* a bad input: the golden test's business */
        g_autofree char *out = domain_def_format(d, FORMAT_SECURE | (live ? 0 : FORMAT_INACTIVE));
        g_autofree char *name = g_strdup(file);
        n++;
        bad += !valid(schema, name, out);
    }
    g_dir_close(dir);
    xmlRelaxNGFree(schema);
    print_message("%u documents, %u bad\n", n, bad);
    assert_true(n > 100);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
