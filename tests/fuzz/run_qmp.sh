#!/bin/sh
# Replays the corpus of fuzz_qmp.  Run by make check in the build directory.
exec ./tests/fuzz/fuzz_qmp "${srcdir:-.}"/tests/fuzz/corpus/qmp/*
