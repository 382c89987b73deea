# rpc: packets, connections, streams; knows no object and no procedure
noinst_LIBRARIES += librpc.a
librpc_a_SOURCES = \
	src/rpc/auth.h \
	src/rpc/conn.h \
	src/rpc/forward.h \
	src/rpc/frame.c src/rpc/frame.h \
	src/rpc/msg.h \
	src/rpc/server.h \
	src/rpc/stream.h \
	src/rpc/transport.h
