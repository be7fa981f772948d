#!/usr/bin/env python3
"""Checks the dependency rules of DESIGN.md: who may see whom, and who may name what.

usage: tools/check_architecture.py [--self-test] [ROOT]

Prints each violation as `file:line: rule` and exits with 1 if there was one. Long files are only a warning.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from rust_source import blank, used_paths, without_comments_and_strings, without_tests, without_uses

# package: what else of the workspace it may depend on, in any section; None is everything.
MAY_DEPEND_ON = {
    "tollgate-core": set(),
    "tollgate-filter": {"tollgate-core"},
    "tollgate-server": {"tollgate-core"},
    "tollgate-noop": set(),
    "tollgate-tests": None,
    "tollgate-sim": {"tollgate-core", "tollgate-filter"},
    "tollgate-benches": None,
    "tollgate-fuzz": None,
}
LONG_FILE = 400
SKIPPED_DIRECTORIES = {"target", "dist", "node_modules"}


def crate(names):
    """A path that starts at one of these crates; `store::redis` does not."""
    return rf"(?<![\w:.])(?:::)?(?:{names})\s*::|\b(?:use|extern\s+crate)\s+(?:::)?(?:{names})\b"


# (where, where it is allowed, pattern over code, rule). Patterns also see each path of a `use`, groups taken apart.
NAMES = [
    ("src/", r"src/host(\.rs|/)", r"\bproxy_wasm\b", "only src/host names proxy_wasm"),
    ("src/", r"src/host/abi(\.rs|/|_)", r"\bunsafe\b", "only src/host/abi has unsafe"),
    ("crates/", None, r"\bunsafe\b", "only src/host/abi has unsafe"),
    ("crates/server/src/", r"crates/server/src/store(\.rs|/)", crate("sqlx|redis|rusqlite"), "only the server's store names a database"),
    ("crates/server/src/", r"crates/server/src/http(\.rs|/)", crate("axum") + r"|\bStatusCode\b", "only the server's http names axum or a status code"),
    ("crates/server/src/store", None, r"\bcrate::http\b", "http -> operations -> store: store does not name http"),
    ("crates/core/src/", None, r"\bstd::(fs|env|process|thread)\b", "core does no I/O"),
    ("crates/core/src/", None, r"\bstd::net\b(?!::(Ip\w*|SocketAddr\w*|AddrParseError)\b)", "core does no I/O: of std::net only addresses"),
    ("crates/core/src/", None, r"\b(println|eprintln|print|eprint)!", "core does no I/O"),
    ("crates/core/src/", None, r"\bstd::time::(Instant|SystemTime|UNIX_EPOCH)\b", "core reads no clock: time is an argument"),
    ("crates/core/src/", None, r"\btokio\b|\basync\s+(fn|move)\b|\basync\s*\{|\.await\b", "core is not async"),
    ("crates/core/src/", None, r"\bstatic\s+mut\b|\bthread_local!", "core has no mutable globals"),
]
# Tests of a module may use what its code may not; unsafe and the ABI stay where they are even there.
ALSO_IN_TESTS = {"only src/host names proxy_wasm", "only src/host/abi has unsafe"}


def rust_files(root):
    for directory, below, files in os.walk(root):
        below[:] = sorted(name for name in below if name not in SKIPPED_DIRECTORIES and not name.startswith("."))
        for name in sorted(files):
            if name.endswith(".rs"):
                yield (pathlib.Path(directory) / name).relative_to(root).as_posix()


def is_test_file(path):
    return bool(re.search(r"(^|/)(tests?|benches|examples)/|(^|/)tests?\.rs$|_tests?\.rs$", path))


def named(pattern, code):
    """Offsets where the pattern is found in the code, or in a path that a `use` brings in."""
    found = {match.start() for match in re.finditer(pattern, without_uses(code))}
    return found | {offset for offset, path in used_paths(code) if re.search(pattern, f"use {path}")}


def line_of(code, offset):
    return code.count("\n", 0, offset) + 1


def source_violations(root):
    for path in rust_files(root):
        if path.endswith("/mod.rs"):
            yield path, 1, "foo.rs beside foo/, never mod.rs"
        applicable = [rule for rule in NAMES if path.startswith(rule[0]) and not (rule[1] and re.match(rule[1], path))]
        if not applicable:
            continue
        whole = without_comments_and_strings((root / path).read_text(encoding="utf-8"))
        tested = blank(whole) if is_test_file(path) else without_tests(whole)
        for _, _, pattern, rule in applicable:
            code = whole if rule in ALSO_IN_TESTS else tested
            for line in sorted({line_of(code, offset) for offset in named(pattern, code)}):
                yield path, line, rule


def long_files(root):
    for path in rust_files(root):
        if is_test_file(path):
            continue
        source = (root / path).read_text(encoding="utf-8")
        lines = source.splitlines()
        code = without_comments_and_strings(source)
        untested = without_tests(code).splitlines()
        # A line counts unless it is one that leaving out the tests emptied.
        tests = sum(1 for before, after in zip(code.splitlines(), untested) if before.strip() and not after.strip())
        if len(lines) - tests > LONG_FILE:
            yield path, len(lines) - tests


def dependency_violations(root):
    answer = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"],
        cwd=root, stdout=subprocess.PIPE, check=True,
    )
    packages = json.loads(answer.stdout)["packages"]
    ours = {package["name"] for package in packages}
    for package in packages:
        name, manifest = package["name"], pathlib.Path(package["manifest_path"])
        path = manifest.relative_to(root.resolve()).as_posix()
        if name not in MAY_DEPEND_ON:
            yield path, 1, f"{name} is not in the rules of tools/check_architecture.py"
            continue
        allowed = MAY_DEPEND_ON[name]
        for dependency in package["dependencies"]:
            other = dependency["name"]
            if allowed is not None and other in ours and other not in allowed:
                text = manifest.read_text(encoding="utf-8")
                at = re.search(rf"^\s*{re.escape(other)}\b|^\[.*dependencies\.{re.escape(other)}\]", text, re.M)
                yield path, line_of(text, at.start()) if at else 1, f"{name} must not depend on {other}"


def check(root):
    found = sorted(set(dependency_violations(root)) | set(source_violations(root)))
    for path, line, rule in found:
        print(f"{path}:{line}: {rule}")
    for path, lines in long_files(root):
        print(f"{path}:1: warning: {lines} lines without tests: look again")
    return not found


# Each file, and the lines of it that break a rule. Everything not listed must pass.
SELF_TEST = {
    "src/lib.rs": ("//! unsafe proxy_wasm\n#![deny(unsafe_code)]\nuse proxy_wasm::types;\n", {3}),
    "src/limits.rs": ("const A: &str = \"unsafe\";\nlet b = r#\"unsafe \" proxy_wasm\"#;\nunsafe { f() }\n", {3}),
    "src/host/abi.rs": ("unsafe extern \"C\" { fn f(); }\n", set()),
    "src/host/root.rs": ("use proxy_wasm::types::Status;\n#[unsafe(no_mangle)]\n", {2}),
    "src/a/mod.rs": ("/* /* nested */ unsafe */\n", {1}),
    "crates/core/src/lib.rs": (
        "use std::{fmt, net::{IpAddr, TcpStream}};\nuse std::net::{IpAddr, Ipv6Addr}; use core::net::Ipv4Addr;\nuse std::time::{Duration, Instant};\nasync fn f() {}\n"
        "static mut X: u8 = 0;\nstatic Y: &'static str = \"static mut\";\nlet c = '\"'; tokio::spawn();\n"
        "println!();\n#[cfg(test)]\nmod tests { use std::fs; }\nstd::fs::read();\n",
        {1, 3, 4, 5, 7, 8, 11},
    ),
    "crates/core/src/a/tests.rs": ("use std::fs;\n", set()),
    "crates/server/src/store/redis.rs": ("use redis::Client;\nuse sqlx::Row;\nuse crate::http::x;\n", {3}),
    "crates/server/src/ledger.rs": ("use crate::store::redis::A;\nuse {redis::Client};\nfn f() -> sqlx::Result<()> {}\n", {2, 3}),
    "crates/server/src/keys.rs": ("struct S { redis: u8 }\nuse axum::Json;\nlet s = http::StatusCode::OK;\n", {2, 3}),
    "crates/server/src/http/keys.rs": ("use axum::{http::StatusCode, Json};\nuse sqlx;\n", {2}),
    "tests/src/lib.rs": ("use std::fs;\nunsafe {}\n", set()),
}
# Package, directory and dependencies; the lines of the manifest that break a rule.
SELF_TEST_PACKAGES = {
    "tollgate-core": ("crates/core", ["tollgate-noop"], 1),
    "tollgate-filter": (".", ["tollgate-core", "tollgate-server"], 1),
    "tollgate-noop": ("benches/noop", [], 0),
    "tollgate-server": ("crates/server", ["tollgate-core", "tollgate-noop"], 1),
    "tollgate-tests": ("tests", ["tollgate-core", "tollgate-filter", "tollgate-server"], 0),
    "tollgate-stray": ("stray", [], 1),
}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def self_test():
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory).resolve()
        for path, (text, _) in SELF_TEST.items():
            write(root / path, text)
        for place, _, _ in SELF_TEST_PACKAGES.values():
            if not (root / place / "src/lib.rs").exists():
                write(root / place / "src/lib.rs", "")
        write(root / "stray/src/lib.rs", "fn f() {}\n" * (LONG_FILE + 1))
        for name, (place, dependencies, _) in SELF_TEST_PACKAGES.items():
            up = pathlib.Path(*[".."] * len(pathlib.Path(place).parts))
            manifest = f"[package]\nname = \"{name}\"\nedition = \"2024\"\n[dependencies]\n"
            for other in dependencies:
                manifest += f'{other} = {{ path = "{(up / SELF_TEST_PACKAGES[other][0]).as_posix()}" }}\n'
            if place == ".":
                members = [at for at, _, _ in SELF_TEST_PACKAGES.values() if at != "."]
                manifest = f"[workspace]\nmembers = {json.dumps(members)}\n{manifest}"
            write(root / place / "Cargo.toml", manifest)

        expected = {(path, line) for path, (_, lines) in SELF_TEST.items() for line in lines}
        found = {(path, line) for path, line, _ in source_violations(root)}
        rules = {rule for _, _, rule in source_violations(root)}
        wrong = [f"not caught: {path}:{line}" for path, line in sorted(expected - found)]
        wrong += [f"caught without reason: {path}:{line}" for path, line in sorted(found - expected)]
        wrong += [f"never tried: {rule}" for _, _, _, rule in NAMES if rule not in rules]

        by_manifest = [path for path, _, _ in dependency_violations(root)]
        for place, _, count in SELF_TEST_PACKAGES.values():
            path = (pathlib.Path(place) / "Cargo.toml").as_posix()
            if by_manifest.count(path) != count:
                wrong.append(f"{path}: {by_manifest.count(path)} violations, {count} expected")
        if [path for path, _ in long_files(root)] != ["stray/src/lib.rs"]:
            wrong.append("the long file was not reported alone")
    for line in wrong:
        print(f"self-test: {line}")
    if not wrong:
        print(f"self-test: {len(expected) + sum(count for _, _, count in SELF_TEST_PACKAGES.values())} violations caught")
    return not wrong


def main():
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        sys.exit(not self_test())
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent)
    sys.exit(not check(root))


if __name__ == "__main__":
    main()
