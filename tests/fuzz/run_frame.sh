#!/bin/sh
# Replays the corpus of fuzz_frame.  Run by make check in the build directory.
exec ./tests/fuzz/fuzz_frame "${srcdir:-.}"/tests/fuzz/corpus/frame/*
