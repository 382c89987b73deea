# model: XML in and out
model_test_libs = libmodel.a libutil.a $(CMOCKA_LIBS) $(LIBXML_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
check_PROGRAMS += test_model_golden
TESTS += test_model_golden
test_model_golden_SOURCES = tests/unit/test_model_golden.c tests/unit/model_env.h
test_model_golden_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) -DGOLDEN_DIR='"$(abs_top_srcdir)/tests/golden"'
test_model_golden_LDADD = $(model_test_libs)
EXTRA_DIST += tests/golden
