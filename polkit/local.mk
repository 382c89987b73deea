# polkit: actions files, generated from the table of permissions and committed
EXTRA_PROGRAMS += polkit/generate
polkit_generate_SOURCES = polkit/generate.c
polkit_generate_LDADD = libprotocol.a $(TIRPC_LIBS) $(GLIB_LIBS)
CLEANFILES += polkit/generate$(EXEEXT)

polkit_actions = polkit/org.libvirt.api.policy polkit/org.libvirt.unix.policy
polkitactionsdir = $(datadir)/polkit-1/actions
dist_polkitactions_DATA = $(polkit_actions)

update-generated: update-polkit
.PHONY: update-polkit
update-polkit: polkit/generate$(EXEEXT)
	for what in api unix; do \
	    ./polkit/generate$(EXEEXT) $$what >$(srcdir)/polkit/org.libvirt.$$what.policy || exit 1; \
	done
