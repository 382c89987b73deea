# event: sd-event threads; may use util
noinst_LIBRARIES += libevent.a
libevent_a_SOURCES = \
	src/event/event.c src/event/event.h \
	src/event/timer.c src/event/timer.h
