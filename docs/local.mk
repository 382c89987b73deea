
# docs/support.md says which calls have a handler.  The program that prints it is berthd with another main(), built only for this.
EXTRA_PROGRAMS += daemon/support_table
CLEANFILES += daemon/support_table$(EXEEXT)
daemon_support_table_SOURCES = daemon/support_table.c $(daemon_sources)
daemon_support_table_LDADD = $(berthd_LDADD)
# -u: fetches the table of XML elements out of its archive, if it is there; the reference to it is weak.
daemon_support_table_LDFLAGS = $(AM_LDFLAGS) -Wl,-u,model_support_print
EXTRA_DIST += docs/support.md
# Not a rule for the file itself: make dist would run it.
.PHONY: update-support
update-generated: update-support
update-support: daemon/support_table$(EXEEXT)
	$(AM_V_GEN)ASAN_OPTIONS=detect_leaks=0 ./daemon/support_table$(EXEEXT) > support.md.new && \
	mv support.md.new $(srcdir)/docs/support.md
dist_man_MANS += docs/berthd.8 docs/berthd.conf.5 docs/berth-jobs.1 docs/virt-ssh-helper.1 docs/berth-pki.1
EXTRA_DIST += docs/remote.md docs/security.md
EXTRA_DIST += docs/moving-from-libvirtd.md docs/differences.md
EXTRA_DIST += docs/differences-caps.md docs/performance.md
