# Domain and device documents.
check_PROGRAMS += tests/fuzz/fuzz_domain_xml
if !FUZZ
TESTS += tests/fuzz/run_domain_xml.sh
endif
EXTRA_DIST += tests/fuzz/run_domain_xml.sh
tests_fuzz_fuzz_domain_xml_SOURCES = tests/fuzz/fuzz_domain_xml.c tests/fuzz/fuzz.h tests/unit/model_env.h $(fuzz_main)
tests_fuzz_fuzz_domain_xml_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests -iquote $(top_srcdir)/tests/fuzz
tests_fuzz_fuzz_domain_xml_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_domain_xml_LDADD = libmodel.a libutil.a $(LIBXML_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
