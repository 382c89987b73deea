# Fuzz targets: libFuzzer programs with --enable-fuzz, else replayed over their corpus and seeds by `make check`.
fuzz_targets = tests/fuzz/fuzz_args
check_PROGRAMS += $(fuzz_targets)
if FUZZ
fuzz_main =
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_main = tests/fuzz/replay.c
fuzz_ldflags = $(AM_LDFLAGS)
TESTS += tests/fuzz/run_args.sh
endif
EXTRA_DIST += tests/fuzz/run_args.sh tests/fuzz/corpus/args

tests_fuzz_fuzz_args_SOURCES = tests/fuzz/fuzz_args.c tests/fuzz/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_args_CPPFLAGS = $(AM_CPPFLAGS) -iquote $(top_srcdir)/tests
tests_fuzz_fuzz_args_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_args_LDADD = libprotocol.a $(TIRPC_LIBS) $(GLIB_LIBS)

fuzz_frame = tests/fuzz/fuzz_frame
check_PROGRAMS += $(fuzz_frame)
if !FUZZ
TESTS += tests/fuzz/run_frame.sh
endif
EXTRA_DIST += tests/fuzz/run_frame.sh tests/fuzz/corpus/frame
tests_fuzz_fuzz_frame_SOURCES = tests/fuzz/fuzz_frame.c tests/fuzz/fuzz.h $(fuzz_main)
tests_fuzz_fuzz_frame_CPPFLAGS = $(AM_CPPFLAGS) -iquote $(top_srcdir)/tests/fuzz
tests_fuzz_fuzz_frame_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_frame_LDADD = librpc.a libevent.a libutil.a $(SYSTEMD_LIBS) $(GLIB_LIBS) $(TIRPC_LIBS)
