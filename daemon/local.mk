# daemon: the only place where all layers meet.  Handlers are weak references of proctable.c, so they are objects of the program, not of an archive.
sbin_PROGRAMS += berthd
daemon_sources = \
	daemon/access.c daemon/access.h daemon/access_rules.c daemon/access_rules.h daemon/access_rules_private.h daemon/access_parse.c \
	daemon/admin.c daemon/admin.h daemon/api_admin_client.c daemon/api_admin_connect.c daemon/api_admin_server.c \
	daemon/api.h \
	daemon/agent_calls.def daemon/api_agent.c \
	daemon/audit.c daemon/audit.h daemon/audit_slots.c daemon/audit_slots.h \
	daemon/auth_polkit.c daemon/auth_polkit.h \
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
	daemon/auth_sasl.c daemon/auth_sasl.h \
	daemon/call.h daemon/client.h \
	daemon/conf.c daemon/conf.h daemon/conf_libvirtd.c daemon/conf_berthd.c \
	daemon/confine.c daemon/confine.h \
	daemon/console.c daemon/console.h \
	daemon/domain_filter.c daemon/domain_filter.h \
	daemon/event_encode.c \
	daemon/events.c daemon/events.h daemon/events_held.c daemon/events_held.h \
	daemon/gate.c daemon/gate.h \
	daemon/host.c daemon/host.h \
	daemon/idle.c daemon/idle.h \
	daemon/progress.c daemon/progress.h \
	daemon/tidy.c daemon/tidy.h \
	daemon/listen.c daemon/listen.h \
	daemon/listen_net.c daemon/listen_net.h daemon/listen_role.c daemon/listen_role.h \
	daemon/daemon.h daemon/reload.c \
	daemon/options.c daemon/options.h \
	daemon/polkit.c daemon/polkit.h daemon/polkit_check.c daemon/polkit_check.h \
	daemon/proctable.c daemon/proctable.h \
	daemon/server.h \
	daemon/watchdog.c daemon/watchdog.h \
	daemon/tls.c daemon/tls.h \
	daemon/wire.c daemon/wire.h
berthd_SOURCES = daemon/main.c $(daemon_sources)
berthd_LDADD = libdomain.a libqemu.a libqmp.a libhost.a librpc.a libstore.a libobject.a libmodel.a libprotocol.a libevent.a libutil.a \
	$(SYSTEMD_LIBS) $(TIRPC_LIBS) $(LIBXML_LIBS) $(JANSSON_LIBS) $(CAPNG_LIBS) $(LIBNL_LIBS) $(GNUTLS_LIBS) $(SASL_LIBS) $(GLIB_LIBS)
