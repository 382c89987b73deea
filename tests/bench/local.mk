# `make bench`: numbers, not verdicts; build without sanitizers for them.
# Load generators in C, which the benches run; a bench finds them below $BERTH_BUILD.
bench_programs = tests/bench/bench_rpc tests/bench/vm_bare tests/lib/stub_qemu tests/bench/defs_load tests/bench/load tests/bench/blockjob_wait \
	tests/bench/tls_load
EXTRA_PROGRAMS += $(bench_programs)
CLEANFILES += $(bench_programs)
BENCHFLAGS =
bench: $(sbin_PROGRAMS) $(bench_programs)
	BERTHD=$(abs_top_builddir)/berthd BERTH_BUILD=$(abs_top_builddir) /usr/bin/python3 $(srcdir)/tests/bench/run.py $(BENCHFLAGS)
.PHONY: bench

tests_bench_bench_rpc_SOURCES = tests/bench/bench_rpc.c
tests_bench_bench_rpc_LDADD = librpc.a libevent.a libutil.a $(SYSTEMD_LIBS) $(GLIB_LIBS) $(TIRPC_LIBS)

# driven by bench_defs.py
tests_bench_defs_load_SOURCES = tests/bench/defs_load.c
tests_bench_defs_load_LDADD = $(GLIB_LIBS) -lpthread
tests_bench_vm_bare_SOURCES = tests/bench/vm_bare.c
tests_bench_vm_bare_LDADD = $(GLIB_LIBS)

tests_lib_stub_qemu_SOURCES = tests/lib/stub_qemu.c
tests_lib_stub_qemu_LDADD = $(JANSSON_LIBS)

# driven by bench_clients.py and bench_rpc.py
tests_bench_load_SOURCES = tests/bench/load.c
tests_bench_load_LDADD = $(GLIB_LIBS)

# driven by bench_blockjob.py
tests_bench_blockjob_wait_SOURCES = tests/bench/blockjob_wait.c $(world_sources)
tests_bench_blockjob_wait_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_bench_blockjob_wait_LDADD = $(tests_unit_test_domain_LDADD)

# driven by bench_transport.py
tests_bench_tls_load_SOURCES = tests/bench/tls_load.c tests/bench/sasl_client.c tests/bench/sasl_client.h
tests_bench_tls_load_LDADD = librpc.a libevent.a libutil.a $(SYSTEMD_LIBS) $(GNUTLS_LIBS) $(SASL_LIBS) $(GLIB_LIBS) $(TIRPC_LIBS)
