"""Names that people give to rooms, tracks and participants: ordinary ones, and those that break careless software."""

from __future__ import annotations

ORDINARY = (
    "Weekly sync",
    "Consultation 14",
    "support-eu",
    "Interview, second round",
    "Jahresgespräch",
    "営業会議",
    "board meeting",
    "triage",
    "Kundenservice Köln",
    "onboarding",
)

HOSTILE = (
    "../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "a//b/./c",
    ".",
    "/absolute",
    " leading and trailing ",
    "evil\u202egnp.exe",  # right-to-left override
    "\U0001f469\u200d\U0001f680\U0001f3f3\ufe0f\u200d\U0001f308",
    "line one\r\nSet-Cookie: x=1\r\n\r\nbody",
    "\x1b[2J\x1b[31mred\x07",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}} ${7*7} %(name)s %s%n",
    "%0d%0aX-Injected: 1",
    "x" * 10_000,
    "before\x00after",
    "lone \ud800 surrogate",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "CON",
    "Robert'); DROP TABLE recordings;--",
    "nfc \u00e9",
    "nfc e\u0301",  # the same to the eye
    "UPPER lower",
    "upper LOWER",  # the same but for case
    "\ufeffbom",
    "\u2028separator\u2029",
    "",
)
