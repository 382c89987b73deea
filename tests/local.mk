include tests/unit/qmp.mk
