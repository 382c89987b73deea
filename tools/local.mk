# tools: small commands beside the daemon; clients of its socket link the protocol only, berth-pki what is in util
bin_PROGRAMS += berth-jobs
berth_jobs_SOURCES = tools/berth_jobs.c tools/client.c tools/client.h
berth_jobs_LDADD = libprotocol.a $(TIRPC_LIBS) $(GLIB_LIBS)
$(berth_jobs_OBJECTS): $(xdr_headers)

bin_PROGRAMS += berth-pki
berth_pki_SOURCES = tools/berth_pki.c tools/pki.c tools/pki.h
berth_pki_LDADD = libutil.a $(GNUTLS_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)

bin_PROGRAMS += virt-ssh-helper
virt_ssh_helper_SOURCES = tools/virt_ssh_helper.c tools/relay.c tools/relay.h
virt_ssh_helper_CPPFLAGS = $(AM_CPPFLAGS) -DSBINDIR='"$(sbindir)"'
virt_ssh_helper_LDADD = $(GLIB_LIBS)
