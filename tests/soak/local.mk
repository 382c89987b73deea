# `make soak`: the long forms; build-aux/soak.sh builds what each needs.  The programs are made by `make soak-programs`.
soak_programs = tests/soak/load
EXTRA_PROGRAMS += $(soak_programs)
CLEANFILES += $(soak_programs) tests/soak/heap.so

tests_soak_load_SOURCES = tests/soak/load.c tests/soak/load_args.c tests/soak/load_wire.c tests/soak/load.h
tests_soak_load_LDADD = librpc.a libprotocol.a libevent.a libutil.a $(SYSTEMD_LIBS) $(TIRPC_LIBS) $(GLIB_LIBS)

# Preloaded into the daemon, so no part of this build's flags: a sanitizer has an allocator of its own.
tests/soak/heap.so: $(srcdir)/tests/soak/heap.c
	$(AM_V_GEN)$(MKDIR_P) tests/soak && $(CC) -O2 -Wall -Wextra -fPIC -shared -pthread -o $@ $(srcdir)/tests/soak/heap.c
EXTRA_DIST += tests/soak/heap.c

soak-programs: $(soak_programs) tests/soak/heap.so tests/bench/tls_load
soak:
	$(srcdir)/build-aux/soak.sh
.PHONY: soak-programs soak
EXTRA_DIST += build-aux/soak.sh
