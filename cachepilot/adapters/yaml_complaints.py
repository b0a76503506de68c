"""The parser's complaints in plain words, each with a way out."""

from __future__ import annotations

TAB = ("a tab stands where only spaces may indent", "replace tabs by spaces")

# (what the parser says, what we say, the way out); the first match counts. {begun} is the line
# where the thing began that the parser could not finish.
_COMPLAINTS: tuple[tuple[str, str, str], ...] = (
    ("found a tab character that violates indentation", *TAB),
    (
        "found character that cannot start any token",
        "this character cannot begin a value",
        "quote a value that begins with @ ` or %",
    ),
    (
        "mapping values are not allowed in this context",
        'a second ": " follows where a plain value stands',
        "quote the value, or begin a new line; check the indentation",
    ),
    (
        "found unexpected ':'",
        'a value with ":" inside { } or [ ] must stand in quotes',
        'such as {image: "redis:8.0"}',
    ),
    (
        "found unexpected end of stream",
        "the quote that opens in line {begun} is never closed",
        "close the quote",
    ),
    (
        "found unexpected document indicator",
        "the quote that opens in line {begun} is not closed before the document ends",
        "close the quote",
    ),
    (
        "could not find expected ':'",
        'a key is not followed by ": "',
        "write key: value; check the indentation",
    ),
    (
        "did not find expected ',' or ']'",
        "the list that opens in line {begun} is not closed, or lacks a comma",
        "close it with ]",
    ),
    (
        "did not find expected ',' or '}'",
        "the mapping that opens in line {begun} is not closed, or lacks a comma",
        "close it with }",
    ),
    (
        "did not find expected key",
        "expected another key of the mapping that begins in line {begun}",
        "check the indentation of this line and the one before",
    ),
    (
        "did not find expected '-' indicator",
        'expected another "- " of the list that begins in line {begun}',
        "check the indentation of this line and the one before",
    ),
    (
        "did not find expected node content",
        "a value is missing here",
        "write a value, or quote what stands here",
    ),
    (
        "did not find expected <document start>",
        "something follows the end of the document",
        'check the indentation, or begin a further document with "---"',
    ),
    (
        "block sequence entries are not allowed in this context",
        'a list entry "- " cannot stand here',
        "begin the list on a new line; check the indentation",
    ),
    (
        "block mapping entries are not allowed in this context",
        "a mapping cannot begin here",
        "begin it on a new line; check the indentation",
    ),
    (
        "mapping keys are not allowed in this context",
        "a key cannot stand here",
        "begin it on a new line; check the indentation",
    ),
    ("found unknown escape character", "an unknown escape in a quoted text", "use single quotes"),
    (
        "found invalid Unicode character escape code",
        "an escape in a quoted text stands for no character",
        "correct the escape",
    ),
    (
        "did not find expected hexdecimal number",
        "an escape in a quoted text lacks its digits",
        "correct the escape, or use single quotes",
    ),
    ("found undefined tag handle", "a tag is not supported", "quote a value that begins with !"),
    ("%YAML directive", "the %YAML line is not supported", "remove it"),
    ("directive", "a line that begins with % is not supported", "remove it"),
    (
        "did not find expected alphabetic or numeric character",
        "an anchor or alias lacks its name",
        "quote a value that begins with & or *",
    ),
    (
        "found incompatible YAML document",
        "the document asks for another version of YAML",
        "remove the %YAML line",
    ),
)


def complaint(problem: str, context: str, begun: int) -> tuple[str, str]:
    """Return message and hint for the parser's *problem* with what began in line *begun*."""
    for said, message, hint in _COMPLAINTS:
        if said in problem:
            return message.replace("{begun}", str(begun)), hint
    if "tag" in context:
        return "a tag is not supported", "quote a value that begins with !"
    return "the YAML cannot be understood from here on", "check quotes, brackets and indentation"
