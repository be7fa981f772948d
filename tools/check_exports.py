#!/usr/bin/env python3
"""Checks that a module exports what a proxy-wasm host calls, and nothing else.

usage: tools/check_exports.py MODULE.wasm

A name that ends in `.command_export` means that the linker wrapped every export as a command: each call would
then run the constructors again.
"""

import re
import sys

ALLOWED = re.compile(r"memory|_initialize|malloc|proxy_abi_version_0_2_1|proxy_on_[a-z_]+")
REQUIRED = ("memory", "_initialize", "proxy_abi_version_0_2_1", "proxy_on_request_headers")
ALLOCATORS = ("malloc", "proxy_on_memory_allocate")
EXPORT_SECTION = 7


def leb128(module, at):
    value = shift = 0
    while True:
        byte = module[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def exports(module):
    if module[:8] != b"\0asm\1\0\0\0":
        raise ValueError("not a WebAssembly module of version 1")
    at = 8
    while at < len(module):
        section = module[at]
        size, at = leb128(module, at + 1)
        if section == EXPORT_SECTION:
            count, entry = leb128(module, at)
            names = []
            for _ in range(count):
                length, entry = leb128(module, entry)
                names.append(module[entry : entry + length].decode())
                _, entry = leb128(module, entry + length + 1)
            return names
        at += size
    return []


def complaints(names):
    for name in names:
        if name.endswith(".command_export"):
            yield f"{name}: wrapped as a command; the module must export _initialize and not call constructors itself"
        elif not ALLOWED.fullmatch(name):
            yield f"{name}: not part of the proxy-wasm ABI"
    for name in REQUIRED:
        if name not in names:
            yield f"{name}: missing"
    if not any(name in names for name in ALLOCATORS):
        yield f"one of {' and '.join(ALLOCATORS)}: missing"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as file:
        names = exports(file.read())
    found = list(complaints(names))
    for complaint in found:
        print(f"{sys.argv[1]}: {complaint}")
    if found:
        sys.exit(1)
    print(f"{sys.argv[1]}: {len(names)} exports, all of the proxy-wasm ABI")


if __name__ == "__main__":
    main()
