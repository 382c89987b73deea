# object: references, look-ups, events; knows no kind of object
noinst_LIBRARIES += libobject.a
libobject_a_SOURCES = \
	src/object/bus.c src/object/bus.h \
	src/object/object.c src/object/object.h \
	src/object/registry.c src/object/registry.h
