/* tests/unit/test_sysinfo.c - SMBIOS tables: one with everything, short ones, and the same cut and bent in every place
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "host/hostfs.h"
#include "host/sysinfo.h"
#include "tests/unit/fakeroot.h"

#define DMI "/sys/firmware/dmi/tables/DMI"

/* A table under construction. */
static GByteArray *table;

static void add(uint8_t type, const void *body, size_t len, const char *strings, size_t strings_len)
{
    uint8_t head[4] = {type, (uint8_t)(len + 4), 1, 0};
    g_byte_array_append(table, head, 4);
    g_byte_array_append(table, body, (guint)len);
    g_byte_array_append(table, (const uint8_t *)strings, (guint)strings_len);
    g_byte_array_append(table, (const uint8_t *)"\0\0", strings_len ? 1 : 2);
}

/* strings: "a\0b" as a literal; its own NUL ends the last */
#define ADD(type, strings, ...)                                                                                        \
    do {                                                                                                               \
        const uint8_t body_[] = {__VA_ARGS__};                                                                         \
        add(type, body_, sizeof(body_), strings, sizeof(strings) == 1 ? 0 : sizeof(strings));                          \
    } while (0)

static void put_table(void)
{
    fakeroot_bytes(table->data, table->len, DMI);
}

static int setup(void **state)
{
    fakeroot_init();
    table = g_byte_array_new();
    return 0;
}

static int teardown(void **state)
{
    g_byte_array_free(table, TRUE);
    fakeroot_done();
    return 0;
}

static void build_full(void)
{
    ADD(0,
        "Maker & Co\0v <1>\0"
        "04/01/2014",
        1, 2, 0, 0xe0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 11);
    ADD(1, "M\0P \0V\0S", 1, 2, 3, 4, 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc,
        0xdd, 0xee, 0xff, 6, 0, 9);
    ADD(2, "B\0X\001Y", 1, 2, 0, 9, 1, 0, 1);
    ADD(3, "C\0SKU", 1, 0x11, 0, 0, 1, 3, 3, 3, 2, 0, 0, 0, 0, 0, 1, 1, 3, 1, 2, 3, 2);
    ADD(4, "CPU 0\0Intel\0Xeon", 1, 3, 0xb3, 2, 0xf2, 6, 3, 0, 0, 0, 0, 0, 3, 0, 100, 0, 0xa0, 0x0f, 0, 0, 0x41, 1);
    ADD(17, "D0", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 9, 0, 1, 0, 0x1a, 0x80, 0, 0x60, 9);
    ADD(17, "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 0x1a, 0x80, 0, 0x60, 9); /* an empty slot */
    ADD(11, "one\0two", 3);
    ADD(127, "");
}

static const char full[] = "<sysinfo type='smbios'>\n"
                           "  <bios>\n"
                           "    <entry name='vendor'>Maker &amp; Co</entry>\n"
                           "    <entry name='version'>v &lt;1&gt;</entry>\n"
                           "    <entry name='date'>04/01/2014</entry>\n"
                           "    <entry name='release'>4.11</entry>\n"
                           "  </bios>\n"
                           "  <system>\n"
                           "    <entry name='manufacturer'>M</entry>\n"
                           "    <entry name='product'>P</entry>\n"
                           "    <entry name='version'>V</entry>\n"
                           "    <entry name='serial'>S</entry>\n"
                           "    <entry name='uuid'>00112233-4455-6677-8899-aabbccddeeff</entry>\n"
                           "    <entry name='sku'>Not Specified</entry>\n"
                           "  </system>\n"
                           "  <baseBoard>\n"
                           "    <entry name='manufacturer'>B</entry>\n"
                           "    <entry name='product'>X.Y</entry>\n"
                           "    <entry name='version'>Not Specified</entry>\n"
                           "    <entry name='asset'>B</entry>\n"
                           "    <entry name='location'>B</entry>\n"
                           "  </baseBoard>\n"
                           "  <chassis>\n"
                           "    <entry name='manufacturer'>C</entry>\n"
                           "    <entry name='version'>Not Specified</entry>\n"
                           "    <entry name='serial'>Not Specified</entry>\n"
                           "    <entry name='asset'>C</entry>\n"
                           "    <entry name='sku'>SKU</entry>\n"
                           "  </chassis>\n"
                           "  <processor>\n"
                           "    <entry name='socket_destination'>CPU 0</entry>\n"
                           "    <entry name='type'>Central Processor</entry>\n"
                           "    <entry name='family'>Xeon</entry>\n"
                           "    <entry name='manufacturer'>Intel</entry>\n"
                           "    <entry name='signature'>Type 0, Family 6, Model 63, Stepping 2</entry>\n"
                           "    <entry name='version'>Xeon</entry>\n"
                           "    <entry name='external_clock'>100 MHz</entry>\n"
                           "    <entry name='max_speed'>4000 MHz</entry>\n"
                           "    <entry name='status'>Populated, Enabled</entry>\n"
                           "  </processor>\n"
                           "  <memory_device>\n"
                           "    <entry name='size'>16 GB</entry>\n"
                           "    <entry name='form_factor'>DIMM</entry>\n"
                           "    <entry name='locator'>D0</entry>\n"
                           "    <entry name='bank_locator'>Not Specified</entry>\n"
                           "    <entry name='type'>DDR4</entry>\n"
                           "    <entry name='type_detail'>Synchronous</entry>\n"
                           "    <entry name='speed'>2400 MT/s</entry>\n"
                           "  </memory_device>\n"
                           "  <oemStrings>\n"
                           "    <entry>one</entry>\n"
                           "    <entry>two</entry>\n"
                           "  </oemStrings>\n"
                           "</sysinfo>\n";

static void test_full(void **state)
{
    build_full();
    put_table();
    g_autofree char *xml = sysinfo_host_xml(NULL);
    assert_string_equal(xml, full);
}

/* Before 2.6 the UUID's bytes are in the order they are written. */
static void test_old_uuid(void **state)
{
    build_full();
    put_table();
    const uint8_t entry[] = {'_', 'S', 'M', '_', 0, 0x1f, 2, 4};
    fakeroot_bytes(entry, sizeof(entry), "/sys/firmware/dmi/tables/smbios_entry_point");
    g_autofree char *xml = sysinfo_host_xml(NULL);
    assert_non_null(strstr(xml, ">33221100-5544-7766-8899-aabbccddeeff<"));
}

static void test_nothing(void **state)
{
    g_auto(Err) err = ERR_INIT;
    assert_null(sysinfo_host_xml(&err));
    assert_int_equal(err.code, VIR_ERR_CONFIG_UNSUPPORTED);
}

static void test_ids_stand_in(void **state)
{
    fakeroot_file("QEMU \n", "/sys/class/dmi/id/sys_vendor");
    fakeroot_file("\x01<\n", "/sys/class/dmi/id/board_name");
    fakeroot_file(" \n", "/sys/class/dmi/id/board_serial");
    g_autofree char *xml = sysinfo_host_xml(NULL);
    assert_string_equal(xml, "<sysinfo type='smbios'>\n"
                             "  <system>\n"
                             "    <entry name='manufacturer'>QEMU</entry>\n"
                             "  </system>\n"
                             "  <baseBoard>\n"
                             "    <entry name='product'>.&lt;</entry>\n"
                             "  </baseBoard>\n"
                             "</sysinfo>\n");
}

/* Nothing here may read outside the table (the sanitizer watches) or give text that is not well-formed. */
static void check_harmless(const uint8_t *data, size_t len)
{
    fakeroot_bytes(data, len, DMI);
    g_autofree char *xml = sysinfo_host_xml(NULL);
    if (!xml)
        return;
    for (const char *p = xml; *p; p++)
        assert_true(*p == '\n' || (*p >= ' ' && *p <= '~'));
    assert_true(g_str_has_suffix(xml, "</sysinfo>\n"));
}

static void test_cut_anywhere(void **state)
{
    build_full();
    for (size_t len = 0; len < table->len; len++)
        check_harmless(table->data, len);
}

static void test_bent_anywhere(void **state)
{
    static const uint8_t values[] = {0, 1, 3, 4, 0x7f, 0xff};
    build_full();
    for (size_t i = 0; i < table->len; i++) {
        uint8_t was = table->data[i];
        for (size_t k = 0; k < sizeof(values); k++) {
            table->data[i] = values[k];
            check_harmless(table->data, table->len);
        }
        table->data[i] = was;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_uuid, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_stand_in, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bent_anywhere, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
