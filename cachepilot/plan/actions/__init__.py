"""The closed set of things CachePilot can do to the world, and a plan that prints itself."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime

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
    RenameContainer,
    RestartContainer,
    StartContainer,
    StopContainer,
    StopUnsaved,
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
    RememberPersistence,
    RememberWait,
    Reserve,
    Retire,
)
from cachepilot.plan.actions.server import (
    AwaitRewrite,
    AwaitServer,
    DeleteUser,
    EndScript,
    ProveLogin,
    PurgeMemory,
    ResumeWrites,
    SaveDataset,
    SaveInBackground,
    ServerAction,
    SetDirectives,
    SetUser,
)
from cachepilot.spec.tenant import TenantSpec

__all__ = [
    "AclUser",
    "Action",
    "AdoptPassword",
    "AwaitRewrite",
    "AwaitServer",
    "BaseAction",
    "BeginRestart",
    "Blocked",
    "CertificateAction",
    "ContainerAction",
    "CreateAuthority",
    "CreateClientAuthority",
    "CreateContainer",
    "CredentialAction",
    "DeleteUser",
    "DiscardAppendOnly",
    "DiscardDump",
    "Disruption",
    "EndScript",
    "EnsureImage",
    "EnsureNetwork",
    "ExpectDump",
    "FileAction",
    "FinishRestart",
    "ForgetCredentials",
    "GenerateCredential",
    "Held",
    "IssueCertificate",
    "IssueClientCertificate",
    "MemoryAction",
    "Plan",
    "PrepareFolders",
    "PromoteCredential",
    "ProveLogin",
    "PruneCertificates",
    "PurgeMemory",
    "RememberApplied",
    "RememberDocument",
    "RememberPersistence",
    "RememberWait",
    "RemoveClientCertificate",
    "RemoveContainer",
    "RenameContainer",
    "Reserve",
    "RestartContainer",
    "ResumeWrites",
    "Retire",
    "SaveDataset",
    "SaveInBackground",
    "ServerAction",
    "SetDirectives",
    "SetUser",
    "StartContainer",
    "StopContainer",
    "StopUnsaved",
    "UnpauseContainer",
    "UpdateResources",
    "Workload",
    "WriteConfiguration",
    "WriteUsers",
    "describe",
    "interrupts",
]

_SEVERITY = tuple(Disruption)

Action = MemoryAction | CertificateAction | FileAction | ContainerAction | ServerAction


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
    """

    reason: str
    message: str
    until: datetime | None
    spec: TenantSpec
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in the order they must run; empty and not blocked means converged.

    Attributes:
        held: What has to be done besides, but not yet.
    """

    actions: tuple[Action, ...] = ()
    blocked: Blocked | None = None
    held: Held | None = None

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
        lines = [
            f"{number}. {describe(action)}" for number, action in enumerate(self.actions, start=1)
        ]
        if self.blocked:
            lines.append(f"blocked: {self.blocked.reason}: {self.blocked.message}")
        if self.held:
            lines.append(f"waits: {self.held.reason}: {self.held.message}")
            lines += [f"  then: {describe(action)}" for action in self.held.actions]
        return "".join(f"{line}\n" for line in lines)


def interrupts(action: Action) -> bool:
    """Return whether *action* takes the server down or brings it up."""
    return isinstance(
        action,
        CreateContainer
        | StartContainer
        | StopContainer
        | StopUnsaved
        | RestartContainer
        | UnpauseContainer,
    )


def describe(action: Action) -> str:
    """Return one line: what is done, to whom, why, and what clients notice of it."""
    detail = f" ({action.detail()})" if action.detail() else ""
    notice = "" if action.disruption is Disruption.NONE else f" [{action.disruption}]"
    return f"{type(action).__name__} {action.tenant_name}{detail}: {action.cause}{notice}"
