# model: XML in and out
model_tests = tests/unit/test_model_golden tests/unit/test_model_errors tests/unit/test_model_live \
	tests/unit/test_model_schema tests/unit/test_model_def
check_PROGRAMS += $(model_tests)
TESTS += $(model_tests)
model_test_libs = libmodel.a libutil.a $(CMOCKA_LIBS) $(LIBXML_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
model_test_cppflags = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) -DGOLDEN_DIR='"$(abs_top_srcdir)/tests/golden"'
tests_unit_test_model_golden_SOURCES = tests/unit/test_model_golden.c tests/unit/model_env.h
tests_unit_test_model_golden_CPPFLAGS = $(model_test_cppflags)
tests_unit_test_model_golden_LDADD = $(model_test_libs)
tests_unit_test_model_errors_SOURCES = tests/unit/test_model_errors.c tests/unit/model_env.h
tests_unit_test_model_errors_CPPFLAGS = $(model_test_cppflags)
tests_unit_test_model_errors_LDADD = $(model_test_libs)
tests_unit_test_model_live_SOURCES = tests/unit/test_model_live.c tests/unit/model_env.h
tests_unit_test_model_live_CPPFLAGS = $(model_test_cppflags)
tests_unit_test_model_live_LDADD = $(model_test_libs)
tests_unit_test_model_schema_SOURCES = tests/unit/test_model_schema.c tests/unit/model_env.h
tests_unit_test_model_schema_CPPFLAGS = $(model_test_cppflags)
tests_unit_test_model_schema_LDADD = $(model_test_libs)
tests_unit_test_model_def_SOURCES = tests/unit/test_model_def.c tests/unit/model_env.h
tests_unit_test_model_def_CPPFLAGS = $(model_test_cppflags)
tests_unit_test_model_def_LDADD = $(model_test_libs)
EXTRA_DIST += tests/golden
