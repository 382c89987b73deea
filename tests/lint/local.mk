# What neither compiler nor linker sees by itself.
TESTS += tests/lint/layers.sh
EXTRA_DIST += tests/lint/layers.sh tests/lint/layers.py

# Every header compiles alone.  A stamp, so that only changes of headers cost the time again.
lint_headers = $(wildcard $(top_srcdir)/include/*.h $(top_srcdir)/protocol/*.h $(top_srcdir)/src/*/*.h $(top_srcdir)/daemon/*.h)
check_DATA = tests/lint/headers.stamp
CLEANFILES += tests/lint/headers.stamp
tests/lint/headers.stamp: $(lint_headers) $(xdr_headers)
	$(AM_V_GEN)$(MKDIR_P) tests/lint; failed=; for h in $(lint_headers); do \
		echo "#include \"$$h\"" | $(CC) $(DEFS) $(AM_CPPFLAGS) $(CPPFLAGS) $(AM_CFLAGS) $(CFLAGS) -fsyntax-only -x c - || failed=yes; \
	done; test -z "$$failed" && touch $@

# The model of who applies the news of a block job.
TESTS += tests/model/check.sh
EXTRA_DIST += tests/model/check.sh tests/model/blockjob.pml
