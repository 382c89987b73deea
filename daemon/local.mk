# daemon: the only place where all layers meet.  Handlers are weak references of proctable.c, so they are objects of the program, not of an archive.
sbin_PROGRAMS += berthd
daemon_sources = \
	daemon/access.c daemon/access.h \
	daemon/api.h \
	daemon/agent_calls.def daemon/api_agent.c \
	daemon/api_berth.c \
	daemon/api_caps.c \
	daemon/api_connect.c \
	daemon/api_domain_blockjob.c \
	daemon/api_domain_device.c \
	daemon/api_domain_info.c \
	daemon/api_domain_block.c daemon/api_domain_iotune.c \
	daemon/api_domain_life.c \
	daemon/api_domain_list.c \
	daemon/api_domain_snapshot.c \
	daemon/api_domain_allstats.c daemon/api_domain_messages.c daemon/api_domain_none.c daemon/api_domain_stats.c \
	daemon/api_event.c \
	daemon/api_native.c \
	daemon/api_node.c \
	daemon/call.h daemon/client.h \
	daemon/conf.c daemon/conf.h daemon/conf_libvirtd.c daemon/conf_berthd.c \
	daemon/console.c daemon/console.h \
	daemon/domain_filter.c daemon/domain_filter.h \
	daemon/event_encode.c \
	daemon/events.c daemon/events.h \
	daemon/gate.c daemon/gate.h \
	daemon/host.c daemon/host.h \
	daemon/idle.c daemon/idle.h \
	daemon/progress.c daemon/progress.h \
	daemon/tidy.c daemon/tidy.h \
	daemon/listen.c daemon/listen.h \
	daemon/options.c daemon/options.h \
	daemon/proctable.c daemon/proctable.h \
	daemon/server.h \
	daemon/wire.c daemon/wire.h
berthd_SOURCES = daemon/main.c $(daemon_sources)
berthd_LDADD = libdomain.a libqemu.a libqmp.a libhost.a librpc.a libstore.a libobject.a libmodel.a libprotocol.a libevent.a libutil.a \
	$(SYSTEMD_LIBS) $(TIRPC_LIBS) $(LIBXML_LIBS) $(JANSSON_LIBS) $(CAPNG_LIBS) $(LIBNL_LIBS) $(GLIB_LIBS)
