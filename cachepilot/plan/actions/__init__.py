"""The closed set of things CachePilot can do to the world, and a plan that prints itself."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta

from cachepilot.observe.snapshot import Role
from cachepilot.plan.actions.base import (
    AclUser,
    BaseAction,
    Disruption,
    Workload,
)
from cachepilot.plan.actions.certificates import (
    CertificateAction,
    CreateAuthority,
    CreateClientAuthority,
    IssueCertificate,
    IssueClientCertificate,
    PruneCertificates,
    RemoveClientCertificate,
)
from cachepilot.plan.actions.containers import (
    ContainerAction,
    CreateContainer,
    EnsureImage,
    EnsureNetwork,
    RemoveContainer,
    RemoveUnused,
    RenameContainer,
    RestartContainer,
    StartContainer,
    StopContainer,
    StopUnsaved,
    StopUnused,
    UnpauseContainer,
    UpdateResources,
)
from cachepilot.plan.actions.files import (
    DiscardAppendOnly,
    DiscardDump,
    FileAction,
    PrepareFolders,
    WriteConfiguration,
    WriteUsers,
)
from cachepilot.plan.actions.memory import (
    AdoptPassword,
    BeginRestart,
    CredentialAction,
    ExpectDump,
    FinishRestart,
    ForgetCredentials,
    GenerateCredential,
    MemoryAction,
    PromoteCredential,
    RememberApplied,
    RememberDocument,
    RememberHandOver,
    RememberPersistence,
    RememberRules,
    RememberWait,
    Reserve,
    Retire,
)
from cachepilot.plan.actions.replacement import (
    AbandonReplacement,
    AcceptReplacement,
    BeginReplacement,
    CarryData,
    CompareData,
    CondemnReplacement,
    DiscardInstance,
    ExamineImage,
    ForgetHeldBack,
    NoteData,
    ReplacementFileAction,
    ReplacementMemoryAction,
    ReplacementServerAction,
    ReturnToFormer,
    RewriteAppendOnly,
    StageInstance,
    SwitchInstance,
)
from cachepilot.plan.actions.server import (
    AwaitRewrite,
    AwaitServer,
    AwaitSuccessor,
    DeleteUser,
    DrainServer,
    EndScript,
    FenceServer,
    FollowServer,
    HandOverAction,
    OpenSuccessor,
    ProveLogin,
    PurgeMemory,
    RestrictUser,
    ResumeWrites,
    SaveDataset,
    SaveInBackground,
    ServerAction,
    SetDirectives,
    SetUser,
)
from cachepilot.plan.actions.trials import TrialAction, TriedUser, TryRules, TryRulesApart
from cachepilot.spec.tenant import TenantSpec

__all__ = [
    "AbandonReplacement",
    "AcceptReplacement",
    "AclUser",
    "Action",
    "AdoptPassword",
    "AwaitRewrite",
    "AwaitServer",
    "AwaitSuccessor",
    "BaseAction",
    "BeginReplacement",
    "BeginRestart",
    "Blocked",
    "CarryData",
    "CertificateAction",
    "CompareData",
    "CondemnReplacement",
    "ContainerAction",
    "CreateAuthority",
    "CreateClientAuthority",
    "CreateContainer",
    "CredentialAction",
    "DeleteUser",
    "DiscardAppendOnly",
    "DiscardDump",
    "DiscardInstance",
    "Disruption",
    "DrainServer",
    "EndScript",
    "EnsureImage",
    "EnsureNetwork",
    "ExamineImage",
    "ExpectDump",
    "FenceServer",
    "FileAction",
    "FinishRestart",
    "FollowServer",
    "ForgetCredentials",
    "ForgetHeldBack",
    "GenerateCredential",
    "HandOverAction",
    "Held",
    "IssueCertificate",
    "IssueClientCertificate",
    "MemoryAction",
    "NoteData",
    "OpenSuccessor",
    "Plan",
    "PrepareFolders",
    "PromoteCredential",
    "ProveLogin",
    "PruneCertificates",
    "PurgeMemory",
    "RememberApplied",
    "RememberDocument",
    "RememberHandOver",
    "RememberPersistence",
    "RememberRules",
    "RememberWait",
    "RemoveClientCertificate",
    "RemoveContainer",
    "RemoveUnused",
    "RenameContainer",
    "ReplacementAction",
    "ReplacementFileAction",
    "ReplacementMemoryAction",
    "ReplacementServerAction",
    "Reserve",
    "RestartContainer",
    "RestrictUser",
    "ResumeWrites",
    "Retire",
    "ReturnToFormer",
    "RewriteAppendOnly",
    "SaveDataset",
    "SaveInBackground",
    "ServerAction",
    "SetDirectives",
    "SetUser",
    "StageInstance",
    "StartContainer",
    "StopContainer",
    "StopUnsaved",
    "StopUnused",
    "SwitchInstance",
    "TrialAction",
    "TriedUser",
    "TryRules",
    "TryRulesApart",
    "UnpauseContainer",
    "UpdateResources",
    "Workload",
    "WriteConfiguration",
    "WriteUsers",
    "describe",
    "interrupts",
]

_SEVERITY = tuple(Disruption)

ReplacementAction = (
    ReplacementMemoryAction | ReplacementFileAction | ReplacementServerAction | ExamineImage
)
Action = (
    MemoryAction
    | RememberHandOver
    | CertificateAction
    | FileAction
    | ContainerAction
    | ServerAction
    | TrialAction
    | ReplacementAction
    | HandOverAction
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Why nothing more can be done until a person or the world changes something.

    Attributes:
        reason: One CamelCase word for the condition.
        message: A sentence that names the thing and the way out.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What would disturb clients, and waits.

    Attributes:
        reason: One CamelCase word for the condition.
        message: A sentence that says what waits, and for what.
        until: When it goes on by itself, if that is known.
        spec: What is in force meanwhile.
        actions: What is done then, as far as can be told now.
        length: About how long clients will miss the server then, where they will.
    """

    reason: str
    message: str
    until: datetime | None
    spec: TenantSpec
    actions: tuple[Action, ...]
    length: timedelta | None = None

    @property
    def plan(self) -> Plan:
        """What is done then, as a plan."""
        return Plan(self.actions, length=self.length)


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in the order they must run; empty and not blocked means converged.

    Attributes:
        held: What has to be done besides, but not yet.
        length: About how long clients miss the server, where they do.
    """

    actions: tuple[Action, ...] = ()
    blocked: Blocked | None = None
    held: Held | None = None
    length: timedelta | None = None

    @property
    def notice(self) -> str:
        """What clients notice, in a word, and for how long: ``restart ≈ 3 s``."""
        if self.length is None:
            return self.disruption.value
        return f"{self.disruption} ≈ {self.length.total_seconds():.0f} s"

    @property
    def lines(self) -> tuple[str, ...]:
        """One line for each action; the first that disturbs clients says for how long."""
        found = [describe(action) for action in self.actions]
        for index, action in enumerate(self.actions):
            if action.disruption is self.disruption and self.length is not None:
                found[index] = describe(action, notice=self.notice)
                break
        return tuple(found)

    @property
    def disruption(self) -> Disruption:
        """The worst that clients notice of any action."""
        return max(
            (action.disruption for action in self.actions),
            key=_SEVERITY.index,
            default=Disruption.NONE,
        )

    @property
    def harmless(self) -> tuple[Action, ...]:
        """What comes before the first action that takes the server down or brings it up."""
        return tuple(itertools.takewhile(lambda action: not interrupts(action), self.actions))

    def __str__(self) -> str:
        lines = [f"{number}. {line}" for number, line in enumerate(self.lines, start=1)]
        if self.blocked:
            lines.append(f"blocked: {self.blocked.reason}: {self.blocked.message}")
        if self.held:
            lines.append(f"waits: {self.held.reason}: {self.held.message}")
            lines += [f"  then: {line}" for line in self.held.plan.lines]
        return "".join(f"{line}\n" for line in lines)


def interrupts(action: Action) -> bool:
    """Return whether *action* takes the server down or brings it up."""
    if isinstance(action, CreateContainer | StartContainer):
        made_for = action.workload.role if isinstance(action, CreateContainer) else action.role
        return made_for is not Role.SUCCESSOR
    return isinstance(
        action,
        NoteData | StopContainer | StopUnsaved | RestartContainer | UnpauseContainer,
    )


def describe(action: Action, *, notice: str = "") -> str:
    """Return one line: what is done, to whom, why, and what clients notice of it.

    Args:
        action: What is done.
        notice: What they notice, where more is known than the action alone tells.
    """
    detail = f" ({action.detail()})" if action.detail() else ""
    noticed = notice or action.disruption.value
    told = "" if noticed == Disruption.NONE.value else f" [{noticed}]"
    return f"{type(action).__name__} {action.tenant_name}{detail}: {action.cause}{told}"
