"""Text that strangers chose, made harmless to look at: what cannot be seen is spelled out, what is too long is cut."""

from __future__ import annotations

import unicodedata

LINE = 200  # characters of a name in a table; the rest of the row's width is the browser's business
BLOCK = 64 * 1024  # characters of a provider's JSON

# Joiners make one emoji, or one word of Persian, of several characters: they are part of how a name looks.
_KEPT = frozenset("\u200c\u200d")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def line(text: str, *, most: int = LINE) -> str:
    """The text on one line: controls as their pictures (␛), other invisible ones as ⟨U+202E⟩, so also spaces without a word."""
    if text.isspace():
        return _cut("".join(_seen(char, of_spaces=True) for char in text[:most]), text, most)
    return _cut("".join(_seen(char) for char in text[:most]), text, most)


def block(text: str, *, most: int = BLOCK) -> str:
    """The same for a text of several lines."""
    return _cut("".join(char if char == "\n" else _seen(char) for char in text[:most]), text, most)


def _cut(shown: str, text: str, most: int) -> str:
    return shown if len(text) <= most else f"{shown}… ({len(text):,} characters)"


def _seen(char: str, *, of_spaces: bool = False) -> str:
    if char.isascii() and char.isprintable():
        return "␠" if of_spaces else char
    if char < " ":
        return chr(0x2400 + ord(char))
    if char == "\x7f":
        return "\u2421"
    unseen = of_spaces or (unicodedata.category(char) in _UNSEEN and char not in _KEPT)
    return f"⟨U+{ord(char):04X}⟩" if unseen else char
