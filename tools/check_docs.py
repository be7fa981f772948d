#!/usr/bin/env python3
"""Checks that the files the documentation names are there.

usage: tools/check_docs.py [ROOT]

Looks at what README.md, DESIGN.md, docs/*.md and the READMEs of examples/ put in backticks or link to. A name counts as a file of this
repository when it ends in a known extension or starts with one of its directories; it may be given from the root, from the
document's directory, or by its last parts (`host/abi.rs`). `*` and `{a,b}` must match something.
"""

import fnmatch
import os
import pathlib
import re
import sys

EXTENSIONS = (".rs", ".toml", ".md", ".py", ".sh", ".yaml", ".yml", ".lock", ".sql", ".html", ".proto")
IGNORED = re.compile(r"^(/|\.\./|~|dist/|target/|\.tools/|\w+://)|[<>$=\s:]")
SKIPPED_DIRECTORIES = {"target", "dist", "node_modules", ".git", ".tools"}
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
BACKTICKS = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def tree(root):
    for directory, below, files in os.walk(root):
        below[:] = [name for name in below if name not in SKIPPED_DIRECTORIES]
        here = pathlib.Path(directory).relative_to(root).as_posix()
        prefix = "" if here == "." else here + "/"
        for name in files + below:
            yield prefix + name


def alternatives(name):
    """`a/{b,c}.rs` as a/b.rs and a/c.rs."""
    group = re.search(r"\{([^{}]*)\}", name)
    if not group:
        return [name]
    return [one for part in group[1].split(",") for one in alternatives(name[: group.start()] + part.strip() + name[group.end() :])]


def exists(name, beside, paths):
    name = name.removeprefix("./").rstrip("/")
    for candidate in (name, f"{beside}/{name}", f"*/{name}"):
        if any(fnmatch.fnmatchcase(path, candidate) or fnmatch.fnmatchcase(path, candidate + ".rs") for path in paths):
            return True
    return False


def missing(document, root, paths):
    top = {path for path in paths if "/" not in path and (root / path).is_dir()}
    beside = document.parent.relative_to(root).as_posix()
    text = FENCE.sub(lambda fence: re.sub(r"[^\n]", " ", fence[0]), document.read_text(encoding="utf-8"))
    for pattern, is_link in ((BACKTICKS, False), (LINK, True)):
        for found in pattern.finditer(text):
            named = re.sub(r":\d+$", "", found[1])
            if IGNORED.search(named):
                continue
            for name in alternatives(named):
                is_file = name.endswith(EXTENSIONS) or ("/" in name and name.split("/")[0] in top)
                if (is_file or is_link) and not exists(name, beside, paths):
                    yield text.count("\n", 0, found.start()) + 1, name


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    paths = list(tree(root))
    documents = [root / "README.md", root / "DESIGN.md", *sorted(root.glob("docs/**/*.md")), *sorted(root.glob("examples/**/*.md"))]
    found = 0
    for document in filter(pathlib.Path.exists, documents):
        for line, name in missing(document, root, paths):
            print(f"{document.relative_to(root)}:{line}: names {name}, which is not in the tree")
            found += 1
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
