"""Patterns that stand for many sentences.

    {a|b|c}   one of them            [a]      a or nothing
    <name>    a shared word group    $name    a slot, filled from a dictionary by fill()

Patterns nest. sample() draws one sentence from a pattern; parsing is cached, so that drawing is quick.
"""
import functools
import re

GROUPS = {}


def group(name, pattern):
    GROUPS[name] = pattern


def _parse_alternatives(text, pos, closing):
    """Parses up to `closing` (or the end); returns ([sequence, ...], position after it)."""
    alternatives, sequence, literal = [], [], []

    def flush():
        if literal:
            sequence.append("".join(literal))
            literal.clear()

    while pos < len(text):
        char = text[pos]
        if char == closing:
            flush()
            alternatives.append(tuple(sequence))
            return tuple(alternatives), pos + 1
        if char == "|" and closing:
            flush()
            alternatives.append(tuple(sequence))
            sequence = []
            pos += 1
        elif char == "{":
            flush()
            inner, pos = _parse_alternatives(text, pos + 1, "}")
            sequence.append(inner)
        elif char == "[":
            flush()
            inner, pos = _parse_alternatives(text, pos + 1, "]")
            sequence.append(inner + ((),) * len(inner))
        elif char == "<" and re.match(r"<[a-z_0-9]+>", text[pos:]):
            flush()
            name = text[pos + 1:text.index(">", pos)]
            sequence.append(("<", name))
            pos += len(name) + 2
        else:
            literal.append(char)
            pos += 1
    if closing:
        raise ValueError(f"pattern lacks {closing!r}: {text!r}")
    flush()
    return (tuple(sequence),), pos


@functools.lru_cache(maxsize=None)
def parse(pattern):
    return _parse_alternatives(pattern, 0, "")[0]


def _draw(alternatives, rng):
    parts = []
    for node in alternatives[int(rng.random() * len(alternatives))]:
        if isinstance(node, str):
            parts.append(node)
        elif node[0] == "<":
            parts.append(_draw(parse(GROUPS[node[1]]), rng))
        else:
            parts.append(_draw(node, rng))
    return "".join(parts)


def sample(pattern, rng):
    """One sentence of the pattern, with single spaces; line breaks are kept."""
    text = re.sub(r" +", " ", _draw(parse(pattern), rng))
    return re.sub(r" ([?.,!])", r"\1", text).strip()


def fill(text, slots):
    """Replaces $name by slots[name]."""
    return re.sub(r"\$([a-z]+)", lambda match: str(slots[match.group(1)]), text)


def slots_in(text):
    return set(re.findall(r"\$([a-z]+)", text))
