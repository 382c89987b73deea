# Fuzz targets: libFuzzer programs with --enable-fuzz (`make fuzz` runs each for FUZZ_SECONDS, FUZZ_JOBS at a time), else replayed over
# their files and seeds by `make check`.
fuzz_targets = tests/fuzz/fuzz_args tests/fuzz/fuzz_frame tests/fuzz/fuzz_domain_xml tests/fuzz/fuzz_qmp tests/fuzz/fuzz_status_file \
	tests/fuzz/fuzz_config tests/fuzz/fuzz_image tests/fuzz/fuzz_definition tests/fuzz/fuzz_cpu_xml \
	tests/fuzz/fuzz_snapshot tests/fuzz/fuzz_sasl tests/fuzz/fuzz_preauth
fuzz_common = tests/fuzz/fuzz.h tests/fuzz/inputs.c
check_PROGRAMS += $(fuzz_targets)
if FUZZ
fuzz_common += tests/fuzz/unpack.c
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_common += tests/fuzz/replay.c
fuzz_ldflags = $(AM_LDFLAGS)
TESTS += $(fuzz_targets)
endif
fuzz_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tests -iquote $(top_srcdir)/tests/fuzz -DTEST_SRCDIR='"$(abs_top_srcdir)"'
fuzz_model_libs = libmodel.a libutil.a $(LIBXML_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
fuzz_qemu_libs = libqemu.a libhost.a libqmp.a libmodel.a libevent.a libutil.a \
	$(JANSSON_LIBS) $(LIBXML_LIBS) $(CAPNG_LIBS) $(LIBNL_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/run.sh

FUZZ_SECONDS = 60
FUZZ_JOBS = 2
FUZZ_SEED = 0
.PHONY: fuzz
if FUZZ
fuzz: $(fuzz_targets)
	FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_JOBS=$(FUZZ_JOBS) FUZZ_SEED=$(FUZZ_SEED) $(srcdir)/tests/fuzz/run.sh fuzz-work $(fuzz_targets)
else
fuzz:
	@echo "make fuzz needs a build of its own: configure CC=clang-14 --enable-asan --enable-fuzz" >&2; exit 1
endif
clean-local:
	rm -rf fuzz-work

tests_fuzz_fuzz_args_SOURCES = tests/fuzz/fuzz_args.c tests/unit/xdr_sample.h $(fuzz_common)
tests_fuzz_fuzz_args_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_args_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_args_LDADD = libprotocol.a $(TIRPC_LIBS) $(GLIB_LIBS)

tests_fuzz_fuzz_frame_SOURCES = tests/fuzz/fuzz_frame.c $(fuzz_common)
tests_fuzz_fuzz_frame_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_frame_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_frame_LDADD = librpc.a libevent.a libutil.a $(SYSTEMD_LIBS) $(GLIB_LIBS) $(TIRPC_LIBS)

tests_fuzz_fuzz_domain_xml_SOURCES = tests/fuzz/fuzz_domain_xml.c tests/fuzz/fuzz_caps.h tests/fuzz/mutate_xml.c tests/unit/model_env.h $(fuzz_common)
tests_fuzz_fuzz_domain_xml_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_domain_xml_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_domain_xml_LDADD = $(fuzz_qemu_libs)

tests_fuzz_fuzz_definition_SOURCES = tests/fuzz/fuzz_definition.c tests/unit/model_env.h $(fuzz_common)
tests_fuzz_fuzz_definition_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_definition_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_definition_LDADD = $(fuzz_model_libs)

tests_fuzz_fuzz_status_file_SOURCES = tests/fuzz/fuzz_status_file.c $(fuzz_common)
tests_fuzz_fuzz_status_file_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_status_file_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_status_file_LDADD = libstore.a $(fuzz_model_libs)

tests_fuzz_fuzz_qmp_SOURCES = tests/fuzz/fuzz_qmp.c $(fuzz_common)
tests_fuzz_fuzz_qmp_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_qmp_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_qmp_LDADD = $(fuzz_qemu_libs)

tests_fuzz_fuzz_cpu_xml_SOURCES = tests/fuzz/fuzz_cpu_xml.c tests/fuzz/fuzz_caps.h $(fuzz_common)
tests_fuzz_fuzz_cpu_xml_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_cpu_xml_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_cpu_xml_LDADD = $(fuzz_qemu_libs)

tests_fuzz_fuzz_image_SOURCES = tests/fuzz/fuzz_image.c $(fuzz_common)
tests_fuzz_fuzz_image_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_image_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_image_LDADD = libhost.a libutil.a $(JANSSON_LIBS) $(LIBNL_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)

tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c daemon/conf.c daemon/conf_libvirtd.c daemon/conf_berthd.c $(fuzz_common)
tests_fuzz_fuzz_config_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_config_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_config_LDADD = libqemu.a libutil.a $(SYSTEMD_LIBS) $(GLIB_LIBS)

tests_fuzz_fuzz_snapshot_SOURCES = tests/fuzz/fuzz_snapshot.c $(fuzz_common)
tests_fuzz_fuzz_snapshot_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_snapshot_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_snapshot_LDADD = $(fuzz_model_libs)

tests_fuzz_fuzz_sasl_SOURCES = tests/fuzz/fuzz_sasl.c tests/rpc/sasl_env.h $(fuzz_common)
tests_fuzz_fuzz_sasl_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_sasl_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_sasl_LDADD = librpc.a libevent.a libutil.a $(SASL_LIBS) $(GNUTLS_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS) $(TIRPC_LIBS)

# The daemon's own objects, for its handlers are weak references: main.c alone is another.
fuzz_daemon_objects = $(patsubst %.c,%.$(OBJEXT),$(filter %.c,$(daemon_sources)))
tests_fuzz_fuzz_preauth_SOURCES = tests/fuzz/fuzz_preauth.c tests/rpc/sasl_env.h $(fuzz_common)
tests_fuzz_fuzz_preauth_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_preauth_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_preauth_DEPENDENCIES = $(fuzz_daemon_objects) $(berthd_DEPENDENCIES)
tests_fuzz_fuzz_preauth_LDADD = $(fuzz_daemon_objects) $(berthd_LDADD)
