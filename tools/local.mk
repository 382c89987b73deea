# tools: small commands beside the daemon; clients of its socket link the protocol only, berth-pki what is in util
bin_PROGRAMS += berth-jobs
berth_jobs_SOURCES = tools/berth_jobs.c tools/client.c tools/client.h
berth_jobs_LDADD = libprotocol.a $(TIRPC_LIBS) $(GLIB_LIBS)
$(berth_jobs_OBJECTS): $(xdr_headers)

bin_PROGRAMS += berth-pki
berth_pki_SOURCES = tools/berth_pki.c tools/pki.c tools/pki.h
berth_pki_LDADD = libutil.a $(GNUTLS_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
