"""Reads Rust well enough to ask what a file names: comments, strings and test modules blanked, lines kept."""

import re

# A character literal, not a lifetime: 'x', '\n', '\u{1f}'.
CHARACTER = re.compile(r"b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^\\'])'", re.S)
RAW_STRING = re.compile(r'(?:b|c)?r(#*)"')
STRING_START = re.compile(r'(?:b|c)?"')
TEST_ATTRIBUTE = re.compile(r"#\s*\[\s*cfg\s*\(\s*(?:test\b|all\s*\(\s*test\b)[^\]]*\]")
USE = re.compile(r"\buse\s+([^;]*);")


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments_and_strings(source):
    out, at, end = [], 0, len(source)
    while at < end:
        stop = at + 1
        previous = source[at - 1] if at else " "
        starts_word = not (previous.isalnum() or previous == "_")
        if source.startswith("//", at):
            newline = source.find("\n", at)
            stop = end if newline < 0 else newline
            out.append(blank(source[at:stop]))
        elif source.startswith("/*", at):
            depth = 0
            stop = at
            while stop < end:
                if source.startswith("/*", stop):
                    depth, stop = depth + 1, stop + 2
                elif source.startswith("*/", stop):
                    depth, stop = depth - 1, stop + 2
                    if depth == 0:
                        break
                else:
                    stop += 1
            out.append(blank(source[at:stop]))
        elif starts_word and (raw := RAW_STRING.match(source, at)):
            close = source.find('"' + raw[1], raw.end())
            stop = end if close < 0 else close + 1 + len(raw[1])
            out.append(blank(source[at:stop]))
        elif (starts_word or source[at] == '"') and (quote := STRING_START.match(source, at)):
            stop = quote.end()
            while stop < end and source[stop] != '"':
                stop += 2 if source[stop] == "\\" else 1
            stop = min(stop + 1, end)
            out.append(blank(source[at:stop]))
        elif character := CHARACTER.match(source, at):
            stop = character.end()
            out.append(blank(source[at:stop]))
        else:
            out.append(source[at])
        at = stop
    return "".join(out)


def without_tests(code):
    """Blanks items under #[cfg(test)]; takes the result of without_comments_and_strings."""
    at = 0
    while attribute := TEST_ATTRIBUTE.search(code, at):
        stop, depth = attribute.end(), 0
        while stop < len(code):
            letter = code[stop]
            stop += 1
            depth += (letter in "{([") - (letter in "})]")
            if depth == 0 and letter in ";}":
                break
        code = code[: attribute.start()] + blank(code[attribute.start() : stop]) + code[stop:]
        at = stop
    return code


def without_uses(code):
    return USE.sub(lambda use: blank(use[0]), code)


def used_paths(code):
    """Yields (offset, path) for each path a `use` item brings in, groups taken apart."""
    for use in USE.finditer(code):
        for offset, path in expand(use[1]):
            yield use.start(1) + offset, path


def expand(tree, prefix="", offset=0):
    brace = tree.find("{")
    if brace < 0:
        lead = len(tree) - len(tree.lstrip())
        path = re.sub(r"\s+as\s+\w+\s*$", "", tree)
        yield offset + lead, prefix + re.sub(r"\s", "", path)
        return
    head = prefix + re.sub(r"\s", "", tree[:brace])
    depth, start = 0, brace + 1
    for at in range(brace, len(tree)):
        depth += (tree[at] == "{") - (tree[at] == "}")
        if (tree[at] == "," and depth == 1) or (tree[at] == "}" and depth == 0):
            if tree[start:at].strip():
                yield from expand(tree[start:at], head, offset + start)
            start = at + 1
        if depth == 0 and at > brace:
            return
