"""Builds documents from the parser's events, and refuses what a wish has no need for.

An alias is never followed and nothing recurses, so what is built is never larger than the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from cachepilot.adapters.yaml_scalars import DoubtfulWordError, resolve_plain
from cachepilot.spec.explain import is_sensitive
from cachepilot.spec.problem import Problem
from cachepilot.spec.tree import NOWHERE, Fault, Path, Place, Tree, Value, shorten

MAX_DEPTH = 20
MAX_DOCUMENTS = 100
MAX_VALUES = 10_000
MAX_FAULTS = 100

# A quoted escape can still make these; they would reach terminals and files.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class LimitError(Exception):
    """Reading on would not be safe."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is still open.

    Attributes:
        key: What the next value of a mapping belongs to.
        discard: Whether that value has no place, because its key was refused.
        is_key: Whether this mapping or list stands where a key should.
    """

    node: dict[str, Value] | list[Value]
    path: Path
    start: Place
    key: str | None = None
    discard: bool = False
    is_key: bool = False


@dataclass(slots=True)
class TreeBuilder:
    """Builds trees from events."""

    file: str
    trees: list[Tree] = field(default_factory=list)
    frames: list[_Frame] = field(default_factory=list)
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    root: Value = None
    start: Place = NOWHERE
    count: int = 0

    def take(self, event: Any) -> bool:  # noqa: ANN401 - the parser's own, untyped
        """Take one event; return whether there is another one to ask for."""
        match event:
            case ScalarEvent():
                self._scalar(event)
            case MappingStartEvent() | SequenceStartEvent():
                self._open(event)
            case MappingEndEvent() | SequenceEndEvent():
                self._close(event)
            case AliasEvent():
                message = f'the alias "*{shorten(event.anchor)}" is not supported'
                path = self._next_path()
                self._fault(path, _place(event), message, "write the value out")
                self._put(None, _place(event))
            case DocumentStartEvent():
                self._begin(event)
            case DocumentEndEvent():
                self._finish()
            case StreamEndEvent():
                return False
            case _:
                pass  # the begin of the stream
        return True

    def _begin(self, event: DocumentStartEvent) -> None:
        self.start = _place(event)
        if len(self.trees) == MAX_DOCUMENTS:
            self._stop(self.start, f"holds more than {MAX_DOCUMENTS} documents")
        self.keys, self.values, self.faults = {}, {}, []
        self.root, self.count = None, 0
        if event.tags or event.version not in (None, (1, 2)):
            hint = "documents are YAML 1.2 without tags; remove the line"
            self._fault((), self.start, "directives are not supported", hint)

    def _finish(self) -> None:
        tree = Tree(
            file=self.file,
            value=self.root,
            start=self.start,
            keys=self.keys,
            values=self.values,
            faults=tuple(self.faults),
        )
        self.trees.append(tree)

    def _scalar(self, event: ScalarEvent) -> None:
        place = _place(event)
        is_plain = event.style in ("", None) and event.implicit[0]
        frame = self.frames[-1] if self.frames else None
        if frame and isinstance(frame.node, dict) and frame.key is None:
            self._key(frame, event.value, place, is_plain=is_plain)
            self._refuse_decoration(event, (*frame.path, str(frame.key)), place)
            return
        path = self._next_path()
        self._refuse_decoration(event, path, place)
        value: Value = event.value
        if is_plain:
            try:
                value = resolve_plain(event.value)
            except ValueError as error:
                is_secret = is_sensitive(path)
                shown = "this value" if is_secret else f'"{shorten(event.value)}"'
                is_word = isinstance(error, DoubtfulWordError)
                hint = "write true or false, or quote it" if is_word else ""
                word = event.value if is_word and not is_secret else ""
                self._fault(path, place, f"{shown} {error}", hint, word=word)
        elif _CONTROL.search(event.value):
            self._fault(path, place, "holds a control character", "remove the escape")
        self._put(value, place)

    def _key(self, frame: _Frame, text: str, place: Place, *, is_plain: bool) -> None:
        path = (*frame.path, text)
        frame.key, frame.discard = text, False
        if is_plain and text == "<<":
            self._fault(path, place, "merge keys are not supported", "write the keys out")
            frame.discard = True
        elif text in frame.node:
            first = self.keys[path].line
            message = f'duplicate key "{shorten(text)}", first written in line {first}'
            self._fault(path, place, message, "keep one of them")
            frame.discard = True
        elif is_plain and not _is_text(text):
            message = f'the key "{shorten(text)}" is not text'
            self._fault(path, place, message, "put it in quotes")
        elif _CONTROL.search(text):
            self._fault(path, place, "the key holds a control character", "remove the escape")
        self.keys.setdefault(path, place)

    def _open(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        place = _place(event)
        if len(self.frames) == MAX_DEPTH:
            self._stop(place, f"is nested deeper than {MAX_DEPTH} levels")
        frame = self.frames[-1] if self.frames else None
        if frame and isinstance(frame.node, dict) and frame.key is None:
            # The key of a mapping cannot be a mapping; name it so that reading can go on.
            self._fault(frame.path, place, "a key must be text, not a mapping or list")
            frame.key, frame.discard = "", True
            self._refuse_decoration(event, frame.path, place)
            self.frames.append(_Frame(_empty(event), (*frame.path, ""), place, is_key=True))
            return
        path = self._next_path()
        self._refuse_decoration(event, path, place)
        self.frames.append(_Frame(_empty(event), path, place))

    def _close(self, event: MappingEndEvent | SequenceEndEvent) -> None:
        frame = self.frames.pop()
        if not frame.is_key:
            self._put(frame.node, frame.start._replace(end=event.end_mark.index))

    def _next_path(self) -> Path:
        if not self.frames:
            return ()
        frame = self.frames[-1]
        step = len(frame.node) if isinstance(frame.node, list) else frame.key or ""
        return (*frame.path, step)

    def _put(self, value: Value, place: Place) -> None:
        self.count += 1
        if self.count > MAX_VALUES:
            self._stop(place, f"holds more than {MAX_VALUES} values in one document")
        self.values.setdefault(self._next_path(), place)
        if not self.frames:
            self.root = value
            return
        frame = self.frames[-1]
        if isinstance(frame.node, list):
            frame.node.append(value)
            return
        if frame.key is None:
            # An alias where a key should be: its value has nowhere to go.
            frame.key, frame.discard = "", True
            return
        if not frame.discard:
            frame.node[frame.key] = value
        frame.key = None

    def _refuse_decoration(self, event: Any, path: Path, place: Place) -> None:  # noqa: ANN401 - as take
        if event.anchor is not None:
            message = f'the anchor "&{shorten(event.anchor)}" is not supported'
            self._fault(path, place, message, "write the value out where it is needed")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            message = f'the tag "{shorten(tag)}" is not supported'
            self._fault(path, place, message, "remove it")

    def _fault(
        self, path: Path, place: Place, message: str, hint: str = "", *, word: str = ""
    ) -> None:
        if len(self.faults) < MAX_FAULTS:
            fault = Fault(path=path, message=message, hint=hint, at=place, word=word)
            self.faults.append(fault)

    def _stop(self, place: Place, message: str) -> None:
        raise LimitError(
            Problem(file=self.file, line=place.line, column=place.column, message=message)
        )


def _place(event: Any) -> Place:  # noqa: ANN401 - the parser's own, untyped
    start, end = event.start_mark, event.end_mark
    return Place(start.line + 1, start.column + 1, start.index, end.index)


def _empty(event: MappingStartEvent | SequenceStartEvent) -> dict[str, Value] | list[Value]:
    return {} if isinstance(event, MappingStartEvent) else []


def _is_text(word: str) -> bool:
    try:
        return isinstance(resolve_plain(word), str)
    except ValueError:
        # A doubtful word such as `on` is harmless as a key: here it can only be text.
        return not word[0].isdigit()
