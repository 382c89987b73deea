# tools: small commands beside the daemon, clients of its socket; link the protocol only
bin_PROGRAMS += berth-jobs
berth_jobs_SOURCES = tools/berth_jobs.c tools/client.c tools/client.h
berth_jobs_LDADD = libprotocol.a $(TIRPC_LIBS) $(GLIB_LIBS)
$(berth_jobs_OBJECTS): $(xdr_headers)
