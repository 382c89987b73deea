# unit tests of protocol/ and of the fixed words of errors
wire_tests = tests/unit/test_err_text tests/unit/test_wire_xdr tests/unit/test_procs
check_PROGRAMS += $(wire_tests)
TESTS += $(wire_tests)

tests_unit_test_err_text_SOURCES = tests/unit/test_err_text.c
tests_unit_test_err_text_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_err_text_LDADD = libutil.a $(SYSTEMD_LIBS) $(GLIB_LIBS) $(CMOCKA_LIBS)

# protocol links nothing of ours.
tests_unit_test_wire_xdr_SOURCES = tests/unit/test_wire_xdr.c tests/unit/xdr_sample.h
tests_unit_test_wire_xdr_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_wire_xdr_LDADD = libprotocol.a $(TIRPC_LIBS) $(GLIB_LIBS) $(CMOCKA_LIBS)

tests_unit_test_procs_SOURCES = tests/unit/test_procs.c tests/unit/xdr_sample.h
tests_unit_test_procs_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_procs_LDADD = libprotocol.a $(TIRPC_LIBS) $(GLIB_LIBS) $(CMOCKA_LIBS)
