#!/bin/sh
# Replays the corpus of fuzz_args.  Run by make check in the build directory.
exec ./tests/fuzz/fuzz_args "${srcdir:-.}"/tests/fuzz/corpus/args/*
