# The QMP stream, the QMP schema and the capabilities document.
check_PROGRAMS += tests/fuzz/fuzz_qmp
if !FUZZ
TESTS += tests/fuzz/run_qmp.sh
endif
EXTRA_DIST += tests/fuzz/run_qmp.sh tests/fuzz/corpus/qmp
tests_fuzz_fuzz_qmp_SOURCES = tests/fuzz/fuzz_qmp.c tests/fuzz/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_qmp_CPPFLAGS = $(AM_CPPFLAGS) -iquote $(top_srcdir)/tests/fuzz
tests_fuzz_fuzz_qmp_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_qmp_LDADD = libqemu.a libhost.a libqmp.a libmodel.a libevent.a libutil.a \
	$(SYSTEMD_LIBS) $(GLIB_LIBS) $(JANSSON_LIBS) $(LIBXML_LIBS)
