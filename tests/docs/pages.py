"""The pages of the documentation, and what stands in them: code, commands, links, words."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path
    text: str

    @property
    def name(self):
        return str(self.path.relative_to(ROOT))

    def blocks(self, language=None):
        """The texts of fenced code."""
        return [found["text"] for found in _FENCE.finditer(self.text) if language in {None, found["language"]}]

    @property
    def outside(self):
        """The text without fenced code."""
        return _FENCE.sub("", self.text)

    def spans(self):
        """The texts of code between backticks in running text."""
        return _SPAN.findall(self.outside)

    def code(self):
        """Everything that is code."""
        return [*self.spans(), *self.blocks()]

    @property
    def prose(self):
        """The text without any code and without the targets of links."""
        return re.sub(r"\]\([^)]*\)", "]", _SPAN.sub("", self.outside))

    def links(self):
        """The targets of links and pictures."""
        return [found["target"] for found in _LINK.finditer(_SPAN.sub("", self.outside))]

    def anchors(self):
        """What may stand behind # in a link to this page, as GitHub makes it."""
        headings = re.findall(r"^#+ +(.+)$", self.outside, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def pages():
    """Every page we ship, by its path from the top."""
    paths = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {page.name: page for page in (Page(path, path.read_text()) for path in paths)}


def page(name):
    return pages()[name]


def rows(text):
    """The rows of all tables in a text, as lists of cells."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not re.fullmatch(r"[|:\- ]+", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def section(text, heading):
    """The text below a heading, up to the next of the same rank or a higher one."""
    match = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert match, f"no heading {heading!r}"
    rest = text[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest
