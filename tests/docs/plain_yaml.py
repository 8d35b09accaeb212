"""The plain part of YAML that our deployment files keep to, read without a library; everything beyond it is refused.

Block mappings and sequences, quoted and plain scalars, `|` and `>-` texts, flow lists of scalars, several documents. No tabs, anchors,
tags, keys given twice or plain scalars that readers disagree about: a file that this reads, every YAML reader reads the same way.
"""

import json
import re

KEY = re.compile(r"(?P<key>[A-Za-z_][A-Za-z0-9_./-]*):(?: +(?P<rest>.*))?$")
AMBIGUOUS = {"yes", "no", "on", "off", "y", "n", "~", "null"}
INTEGER = re.compile(r"0|[1-9][0-9]*")
OCTAL = re.compile(r"0[0-7]+")  # of file modes, as Kubernetes documents them


class NotPlain(ValueError):
    """Something that this reader does not read."""


def documents(text):
    """Every document of a file."""
    return [_document(part) for part in re.split(r"^---$", text, flags=re.MULTILINE) if _lines(part)]


def _document(text):
    lines = _lines(text)
    value, rest = _block(lines, lines[0][0])
    if rest:
        raise NotPlain(f"not understood: {rest[0][1]!r}")
    return value


def _lines(text):
    """(indentation, content) of each line, comments left out; the lines of a block text stay whole behind its key."""
    found, block = [], None
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip(" "))
        if block is not None and (not line.strip() or indent > block[0]):
            block[1].append(line)
            continue
        block = None
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if "\t" in line:
            raise NotPlain(f"a tab in {line!r}")
        content = line.strip()
        if re.search(r"(^|[:\s])(\||>-)$", content):
            texts = []
            block = (indent, texts)
            found.append((indent, content, texts))
        else:
            found.append((indent, content, None))
    return found


def _block(lines, indent):
    if lines[0][1].startswith("- "):
        return _sequence(lines, indent)
    return _mapping(lines, indent)


def _sequence(lines, indent):
    found = []
    while lines and lines[0][0] == indent and lines[0][1].startswith("- "):
        _, content, texts = lines[0]
        inner = content[2:]
        if KEY.match(inner) and not inner.startswith('"'):
            value, lines = _mapping([(indent + 2, inner, texts), *lines[1:]], indent + 2)
        else:
            value, lines = _scalar(inner), lines[1:]
        found.append(value)
    return found, lines


def _mapping(lines, indent):
    found = {}
    while lines and lines[0][0] == indent:
        _, content, texts = lines[0]
        match = KEY.match(content)
        if match is None:
            raise NotPlain(f"no key in {content!r}")
        key, rest = match["key"], match["rest"] or ""
        if key in found:
            raise NotPlain(f"{key} stands there twice")
        lines = lines[1:]
        if texts is not None:
            found[key] = _text(rest, texts)
        elif rest:
            found[key] = _scalar(rest)
        elif lines and (lines[0][0] > indent or (lines[0][0] == indent and lines[0][1].startswith("- "))):
            found[key], lines = _block(lines, lines[0][0])
        else:
            raise NotPlain(f"{key} has no value")
    return found, lines


def _text(marker, texts):
    kept = [line for line in texts if line.strip()]
    margin = min(len(line) - len(line.lstrip(" ")) for line in kept)
    cut = [line[margin:] for line in texts]
    return "\n".join(cut).rstrip("\n") + "\n" if marker == "|" else " ".join(line.strip() for line in kept)


def _scalar(text):
    if text.startswith('"'):
        match = re.match(r'("(?:[^"\\]|\\.)*")\s*(#.*)?$', text)
        if match is None:
            raise NotPlain(f"a quoted text and more in {text!r}")
        return json.loads(match[1])
    text = re.sub(r"\s+#.*$", "", text)
    if text == "{}":
        return {}
    if text.startswith("["):
        return [_scalar(item.strip()) for item in text[1:-1].split(",") if item.strip()]
    if text in {"true", "false"}:
        return text == "true"
    if INTEGER.fullmatch(text):
        return int(text)
    if OCTAL.fullmatch(text):
        return int(text, 8)
    if text.lower() in AMBIGUOUS or text[0] in "&*!|>'%@`{}" or ": " in text:
        raise NotPlain(f"readers disagree about {text!r}; quote it")
    return text
