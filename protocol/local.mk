# protocol: types, numbers and tables of the wire; knows no layer above include/
noinst_LIBRARIES += libprotocol.a
xdr_headers = protocol/net_protocol.h protocol/remote_protocol.h protocol/qemu_protocol.h protocol/lxc_protocol.h \
	protocol/keepalive_protocol.h protocol/admin_protocol.h protocol/berth_protocol.h
EXTRA_DIST += protocol/net_protocol.x protocol/remote_protocol.x protocol/qemu_protocol.x protocol/lxc_protocol.x \
	protocol/keepalive_protocol.x protocol/admin_protocol.x protocol/berth_protocol.x protocol/README.md

libprotocol_a_SOURCES = \
	protocol/wire_xdr.c protocol/wire_xdr.h protocol/wire_generated.h \
	protocol/wire_types.c protocol/wire_types.h \
	protocol/procs.c protocol/procs.h protocol/procs.def protocol/perms.def protocol/proc_columns.h protocol/flag_masks.h \
	protocol/admin_procs.c protocol/admin_procs.h protocol/admin_procs.def \
	protocol/events.c protocol/events.h protocol/events.def
nodist_libprotocol_a_SOURCES = $(xdr_headers) $(xdr_headers:.h=.c)

# BUILT_SOURCES serves `make` and `make check`; the second line serves `make libprotocol.a` alone.
BUILT_SOURCES += $(xdr_headers)
$(libprotocol_a_OBJECTS): $(xdr_headers)
CLEANFILES += $(xdr_headers) $(xdr_headers:.h=.c)

# -i 0: no unrolled fast path (it reads past checks it repeats less well, and is twice the code).  rpcgen does not overwrite its
# output and names the header after the path of its input, hence rm and cd.
RPCGEN_RUN = $(AM_V_GEN)$(MKDIR_P) protocol && rm -f $@ && out=`pwd`/$@ && cd $(srcdir)/protocol && $(RPCGEN) -i 0
SUFFIXES = .x
.x.h:
	$(RPCGEN_RUN) -h -o $$out $(*F).x
.x.c:
	$(RPCGEN_RUN) -c -o $$out $(*F).x
