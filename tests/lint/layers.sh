#!/bin/sh
# Include directions and the form of files.
exec /usr/bin/python3 "${srcdir:-.}/tests/lint/layers.py" "${srcdir:-.}"
