#!/usr/bin/python3
"""Checks that no include points up, and the form of files: architecture rules that the linker cannot see.

usage: layers.py SRCDIR
"""
import os
import re
import sys

# A folder may include itself, include/ and what is listed.
BELOW = {
    "protocol": [],
    "src/util": [],
    "src/event": ["util"],
    "src/model": ["util"],
    "src/store": ["util", "model"],
    "src/object": ["util", "event", "model", "store"],
    "src/qmp": ["util", "event"],
    "src/host": ["util", "event"],
    "src/qemu": ["util", "event", "model", "qmp", "host"],
    "src/domain": ["util", "event", "model", "store", "object", "qmp", "host", "qemu"],
    "src/rpc": ["util", "event", "protocol"],
    "daemon": ["util", "event", "model", "store", "object", "qmp", "host", "qemu", "domain", "rpc", "protocol"],
}
LONGEST = 800  # lines of a file
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def sources(root, folder):
    for name in sorted(os.listdir(os.path.join(root, folder))):
        if name.endswith((".c", ".h", ".def", ".x")):
            yield os.path.join(folder, name)


def check_file(root, folder, path, problems):
    name = os.path.basename(folder)
    allowed = {name, *BELOW[folder]}
    with open(os.path.join(root, path), encoding="utf-8") as f:
        lines = f.read().splitlines()
    for nr, line in enumerate(lines, 1):
        m = INCLUDE.match(line.lstrip("%"))
        if not m:
            continue
        target = m.group(1)
        if "/" not in target:
            if not os.path.exists(os.path.join(root, "include", target)) and target != "config.h":
                problems.append(f'{path}:{nr}: "{target}" is not in include/; name the folder')
        elif target.split("/")[0] not in allowed:
            problems.append(f'{path}:{nr}: {folder} may not include "{target}"')
    if path.endswith(".h") and "#pragma once" not in lines:
        problems.append(f"{path}: no #pragma once")
    if path.endswith((".c", ".h")) and len(lines) > LONGEST:
        problems.append(f"{path}: {len(lines)} lines; look for the second noun in it")
    if path.endswith((".c", ".h")) and not "".join(lines[:1]).startswith("/* " + path.removeprefix("src/")):
        problems.append(f'{path}:1: does not open with "/* {path.removeprefix("src/")} - what it is"')


def main():
    root = sys.argv[1]
    problems = []
    for folder in BELOW:
        if os.path.isdir(os.path.join(root, folder)):
            for path in sources(root, folder):
                check_file(root, folder, path, problems)
    for folder in sorted(os.listdir(os.path.join(root, "src"))):
        if os.path.isdir(os.path.join(root, "src", folder)) and f"src/{folder}" not in BELOW:
            problems.append(f"src/{folder}: a folder without a place among the layers")
    print("\n".join(problems) or "layers: clean")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
