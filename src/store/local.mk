# store: definitions and status files on disk; may use util and model
noinst_LIBRARIES += libstore.a
libstore_a_SOURCES = \
	src/store/autostart.c src/store/autostart.h \
	src/store/defs.c src/store/defs.h src/store/defs_private.h \
	src/store/defs_index.c src/store/defs_index.h \
	src/store/defs_load.c \
	src/store/job_history.c src/store/job_history.h \
	src/store/snapshot_intent.c src/store/snapshot_intent.h \
	src/store/snapshots.c src/store/snapshots.h \
	src/store/status.c src/store/status.h
