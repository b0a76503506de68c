"""Actions that put one server in the place of another, and take it back if it fails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from cachepilot.observe.replacement import Replacement
from cachepilot.observe.snapshot import Engine
from cachepilot.plan.actions.base import BaseAction, Disruption


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginReplacement(BaseAction):
    """Remember what is to take whose place, before anything is made or stopped for it."""

    replacement: Replacement

    def detail(self) -> str:
        return f"instance {self.replacement.former} to {self.replacement.instance}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonReplacement(BaseAction):
    """Forget a replacement whose server was never started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchInstance(BaseAction):
    """Put the new instance in charge, on trial."""

    instance: int

    def detail(self) -> str:
        return f"instance {self.instance}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptReplacement(BaseAction):
    """Remember that the new server has all the data; from now on there is no way back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CondemnReplacement(BaseAction):
    """Remember why the new server failed, before it is taken away."""

    reason: str
    message: str
    image_id: str

    def detail(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnToFormer(BaseAction):
    """Put the former instance in charge again, and remember not to try the same once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetHeldBack(BaseAction):
    """Forget a change that failed, because something else is wanted now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageInstance(BaseAction):
    """Make the folders of another instance beside those in use, empty."""

    instance: int
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CarryData(BaseAction):
    """Give a staged instance the data of a stopped one, which keeps it.

    Attributes:
        dump: Whether the snapshot is what a start loads.
        append_only: Whether the append-only folder is.
    """

    source: int
    instance: int
    uid: int
    dump: bool
    append_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardInstance(BaseAction):
    """Delete the folders of an instance that nobody needs any more."""

    instance: int

    def detail(self) -> str:
        return f"instance {self.instance}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamineImage(BaseAction):
    """Ask an image which server it holds, and refuse one that cannot load the data.

    Attributes:
        engine: The program it is asked to run.
        data_format: Version of the format that the data is in; None where nobody can tell.
    """

    image: str
    engine: Engine
    data_format: int | None

    def detail(self) -> str:
        return self.image


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteAppendOnly(BaseAction):
    """Rewrite the append-only file beside running traffic, so that little has to be copied."""

    instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteData(BaseAction):
    """Pause writes, then count the keys and remember a sample of them."""

    disruption: ClassVar[Disruption] = Disruption.RESTART

    instance: int
    pause: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareData(BaseAction):
    """Compare what a server loaded with what was noted, before any client may write to it."""

    instance: int


ReplacementMemoryAction = (
    BeginReplacement
    | AbandonReplacement
    | SwitchInstance
    | AcceptReplacement
    | CondemnReplacement
    | ReturnToFormer
    | ForgetHeldBack
)
ReplacementFileAction = StageInstance | CarryData | DiscardInstance
ReplacementServerAction = RewriteAppendOnly | NoteData | CompareData
