# unit tests of protocol/ and of the fixed words of errors
wire_tests = tests/unit/test_err_text
check_PROGRAMS += $(wire_tests)
TESTS += $(wire_tests)

tests_unit_test_err_text_SOURCES = tests/unit/test_err_text.c
tests_unit_test_err_text_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_err_text_LDADD = libutil.a $(SYSTEMD_LIBS) $(GLIB_LIBS) $(CMOCKA_LIBS)
