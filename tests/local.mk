include tests/unit/dom.mk
