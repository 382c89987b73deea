include tests/unit/launch.mk
include tests/unit/dom.mk
