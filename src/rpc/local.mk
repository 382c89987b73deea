# rpc: packets, connections, streams; knows no object and no procedure
noinst_LIBRARIES += librpc.a
librpc_a_SOURCES = \
	src/rpc/auth.h \
	src/rpc/conn.c src/rpc/conn.h \
	src/rpc/conn_info.c \
	src/rpc/conn_write.c \
	src/rpc/dispatch.c \
	src/rpc/forward.h \
	src/rpc/frame.c src/rpc/frame.h \
	src/rpc/internal.h \
	src/rpc/keepalive.c \
	src/rpc/msg.c src/rpc/msg.h \
	src/rpc/outq.c \
	src/rpc/peer.c src/rpc/peer.h \
	src/rpc/places.c \
	src/rpc/sasl.c src/rpc/sasl.h src/rpc/sasl_decoy.c src/rpc/sasl_decoy.h \
	src/rpc/server.c src/rpc/server.h \
	src/rpc/stream.c src/rpc/stream.h \
	src/rpc/stream_fd.c \
	src/rpc/stream_file.c \
	src/rpc/stream_internal.h \
	src/rpc/tls.c src/rpc/tls.h src/rpc/tls_internal.h \
	src/rpc/tls_handshake.c \
	src/rpc/tls_peer.c \
	src/rpc/transport.c src/rpc/transport.h \
	src/rpc/transport_sasl.c \
	src/rpc/transport_tls.c
