"""Every reason that a condition can have, read from the code; what to do, written here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cachepilot.status.conditions import ConditionType

PACKAGE = Path("cachepilot")

# Which function of cachepilot/status states which condition.
_STATED_BY = {
    "_ready": ConditionType.READY,
    "_progress": ConditionType.RECONCILING,
    "_spec_valid": ConditionType.SPEC_VALID,
    "container_current": ConditionType.CONTAINER_CURRENT,
    "server_reachable": ConditionType.SERVER_REACHABLE,
    "config_applied": ConditionType.CONFIG_APPLIED,
    "credentials_applied": ConditionType.CREDENTIALS_APPLIED,
    "certificate_served": ConditionType.CERTIFICATE_SERVED,
    "client_certificates_issued": ConditionType.CLIENT_CERTIFICATES_ISSUED,
    "endpoints_reachable": ConditionType.ENDPOINTS_REACHABLE,
}

_OF_EVENTS = frozenset(
    {"CredentialsRevealed", "FailedLogins", "OrphanContainer", "RolloutTurn", "SpecProblem"}
)

MEANINGS = {
    ConditionType.READY: (
        "Clients are served as the spec says: all conditions below that apply are True.",
        "Otherwise Ready carries reason and message of the first that is not.",
        "While something waits for its time, or was changed by hand and is only reported, its",
        "message says so.",
    ),
    ConditionType.RECONCILING: (
        "Listed only while it is True: something is under way, is being tried again, or waits for",
        "its time.",
    ),
    ConditionType.SPEC_VALID: (
        "Whether the newest text of the document can be used.",
        "While it is False, the last good document stays in force.",
    ),
    ConditionType.CONTAINER_CURRENT: (
        "Whether the one right container runs, with the right shape and limits.",
        "For a tenant that should not serve: whether nothing runs.",
    ),
    ConditionType.SERVER_REACHABLE: (
        "Whether the server answered on its management socket, has loaded its data, and is the",
        "program that the image's name promises.",
    ),
    ConditionType.CONFIG_APPLIED: ("Whether every directive was read back as the spec wants it.",),
    ConditionType.CREDENTIALS_APPLIED: (
        "Whether the server has our users and no others, with their passwords and rules.",
    ),
    ConditionType.CERTIFICATE_SERVED: (
        "Whether a TLS handshake on every encrypted port met the newest certificate.",
        "Absent when the tenant has no encrypted port.",
    ),
    ConditionType.CLIENT_CERTIFICATES_ISSUED: (
        "Whether a good certificate lies ready for each client that the spec names.",
        "Absent when the spec names none and asks nobody for one.",
    ),
    ConditionType.ENDPOINTS_REACHABLE: (
        "Whether a login with the documented password succeeded at every published address.",
    ),
}

WAYS_OUT = {
    "UserRulesRefused": (
        "The server of the present or the wanted image does not know a rule of a user.",
        "The message has its place and the server's words; correct it, or choose an image that "
        "knows the rule. Until then the user keeps what it had, and the server its image.",
    ),
    "HandOverFailed": (
        "A new server could not take over, for the reason that is given; the old one serves on.",
        "Change the document: another image, the configuration before, or a new `restartedAt` to "
        "try again.",
    ),
    "HandOverNeedsMemory": (
        "The host lacks the memory for two servers of this tenant at once.",
        "Free as much as the message names, or let `upgrade.fallback` be `restart`.",
    ),
    "CannotStopSafely": (
        "A planned stop would lose data: the server cannot be asked to save, or loads.",
        "Wait, or mend what the message names; a stop or deletion that the document asks for goes "
        "on at the moment it names, unsaved. `docker kill` gives up what is not on disk.",
    ),
    "NetworkMissing": (
        "The bridge of the tenant is gone and its subnet is no longer in the settings.",
        "Put the subnet back into `network.subnets`.",
    ),
    "RecordMissing": (
        "A container of the tenant exists, but its record does not.",
        "Mount or restore `/var/lib/cachepilot`; remove the container if its data may be lost.",
    ),
    "AddressNotLocal": (
        "An address in `access.bind` is not one of this host.",
        "Correct `access.bind`, or give the address to an interface.",
    ),
    "AuthorityBroken": (
        "The key or certificate of the authority is lost, torn or foreign.",
        "Put `/var/lib/cachepilot/ca` back from a backup; a new one is never made silently.",
    ),
    "AuthorityRotationBroken": (
        "Of the host, in `host.json`: a root that comes or goes cannot be read, or a step failed.",
        "The message says which; see [replacing the root](../how-to/replace-the-root.md).",
    ),
    "BridgesFull": (
        "Every bridge holds `network.tenantsPerBridge` tenants.",
        "Add a subnet to `network.subnets`.",
    ),
    "ClientAuthorityBroken": (
        "The key or certificate of the tenant's authority for clients is lost or torn.",
        "Put `client-ca` of the tenant's folder back from a backup, or move it and `clients` "
        "away: then everything is made anew, and certificates from before are refused.",
    ),
    "DataMissing": (
        "The data folder is gone or belongs to another tenant.",
        "See [a data folder that is lost](../how-to/lost-data-folder.md).",
    ),
    "DataTooDeep": (
        "Folders in a data folder that must be given to its server are nested more than 16 deep.",
        "Nothing but a stranger makes such a tree; look at it, and remove it.",
    ),
    "DirectiveRefused": (
        "The server refused a directive.",
        "The message has the server's words; take the directive out or correct it.",
    ),
    "EngineMismatch": (
        "The image runs another program than its name says, or lacks the server.",
        "Correct `engine.image`: Valkey needs `valkey` in the name.",
    ),
    "EngineUnavailable": ("Docker does not answer.", "Start Docker; nothing else is needed."),
    "FolderMissing": (
        "A folder that the container mounts is missing.",
        "Wait for the next visit, which makes it; the data folder is never made anew.",
    ),
    "DataDiffers": (
        "After a restart the new server did not hold the keys of the one before, which serves "
        "again with all of them.",
        "Nothing is tried again until the spec or the image changes; `cachepilotctl restart` "
        "tries once more.",
    ),
    "DataFolderTaken": (
        "A new server cannot get a data folder: something of unknown origin lies there.",
        "Move away what lies in the folder that the message names.",
    ),
    "DataTooNew": (
        "The wanted image holds a server that cannot load the tenant's data; nothing was stopped.",
        "Choose an image that loads it; see [upgrade an engine](../how-to/upgrade-an-engine.md).",
    ),
    "DiskTooFull": (
        "A restart would have to save more than fits on the disk; nothing was stopped.",
        "Make room; the daemon goes on by itself.",
    ),
    "NoteFailed": (
        "Before or after a restart the server refused to be asked for its keys.",
        "Read the message; the daemon tries again.",
    ),
    "RestartFailed": (
        "A restarted server did not come up; the one before serves again with all its data.",
        "The message has the server's last words. Nothing is tried again until the spec changes.",
    ),
    "UpgradeFailed": (
        "A server of another image did not come up; the one before serves again with all its "
        "data.",
        "The message has the server's last words. Nothing is tried again until the spec or the "
        "image's content changes.",
    ),
    "ImageUnavailable": (
        "The image cannot be pulled.",
        "Correct `engine.image`, or make the image available to Docker.",
    ),
    "LedgerUnreadable": (
        "`ledger.json` cannot be read.",
        "Put it back from a backup, or remove it: it is rebuilt from the records.",
    ),
    "LoginRefused": (
        "The server refuses a password that it was told a moment before.",
        "Look at the server's log in `describe`; the password before stays documented and works.",
    ),
    "MassRemoval": (
        "Of the host, in `host.json`: too many files vanished at once.",
        "Put the files back; see [the folder's contract](../../tenants.d/README.md).",
    ),
    "MemoryDoesNotFit": (
        "`memory.max` cannot shrink below what is in use while nothing may be evicted.",
        "Delete keys, raise `memory.max`, or choose a policy that evicts.",
    ),
    "NameTaken": (
        "Another container has the name that this tenant's must have.",
        "Rename or remove that container.",
    ),
    "OrderRefused": (
        "The server refused an order of the daemon.",
        "The message has the server's words.",
    ),
    "PasswordFileUnusable": (
        "The file in `auth.passwordFile` cannot be used.",
        "The message says why; it must belong to root, mode 0600, 16 to 512 characters, and lie "
        "below a folder of `limits.passwordFiles`.",
    ),
    "PortConflict": (
        "Another tenant holds a pinned port.",
        "See [moving a port](../how-to/move-a-port.md).",
    ),
    "PortInUse": (
        "Another program listens on the port, or another container has it.",
        "Stop it, or pin another port. If nobody has it, Docker forgot to free it when it was "
        "killed: restart Docker.",
    ),
    "PortsExhausted": ("The range of ports is used up.", "Widen `ports` in the settings."),
    "RecordUnreadable": (
        "The tenant's `record.json` cannot be read.",
        "Put it back from a backup.",
    ),
    "RewriteFailed": (
        "The server could not write its append-only file.",
        "Look for a full disk; the server's log has the cause (`docker logs`).",
    ),
    "RolloutHalted": (
        "Of the host, in `host.json`: a tenant that took new defaults did not stay well.",
        "See [rolling out new defaults](../how-to/roll-out-defaults.md).",
    ),
    "RolloutUnreadable": (
        "Of the host, in `host.json`: how far new defaults have come cannot be read.",
        "Mend what the message names; nobody takes new defaults meanwhile.",
    ),
    "SaveFailed": (
        "The server could not save its data, so it was not stopped.",
        "Look for a full disk; the server's log has the cause (`docker logs`).",
    ),
    "ServerLost": (
        "A server runs on the tenant's data, but Docker lost track of it when it was killed.",
        "End the process that the message names, or restart the host.",
    ),
    "SpecInvalid": (
        "The newest text of the document is invalid.",
        "See [recovering from a broken file](../how-to/recover-from-a-broken-file.md).",
    ),
    "SubnetInUse": (
        "A network of Docker overlaps a subnet of the settings.",
        "Choose other `network.subnets`.",
    ),
    "UidsExhausted": ("The range of user ids is used up.", "Widen `uids` in the settings."),
    "UserRefused": (
        "The server refused the rules of a user.",
        "The message has the server's words.",
    ),
}


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One thing that a condition can say."""

    status: str
    reason: str
    message: str


def by_condition() -> dict[ConditionType, tuple[Row, ...]]:
    """Return what each condition can say, in the order of the code."""
    found: dict[ConditionType, list[Row]] = {}
    for path in (PACKAGE / "status/summarize.py", PACKAGE / "status/facts.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef) and function.name in _STATED_BY:
                rows = found.setdefault(_STATED_BY[function.name], [])
                rows += [row for row in _facts_of(function) if row not in rows]
    progress = found[ConditionType.RECONCILING]
    # The same function states Stalled, which has a table of its own.
    found[ConditionType.RECONCILING] = [
        *(row for row in progress if row.reason != "SpecInvalid"),
        *dict.fromkeys(_waits()),
    ]
    return {kind: tuple(found[kind]) for kind in ConditionType if kind in found}


def _facts_of(function: ast.FunctionDef) -> Iterator[Row]:
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda found: found.lineno):
        whose, _, which = ast.unparse(call.func).partition(".")
        if whose == "Fact":
            reason, message = (_text(argument, function) for argument in call.args)
            if reason != "…":
                message = message if message.strip("… :") else "…"
                yield Row(
                    which.capitalize(), reason.replace("Container…", "Container<State>"), message
                )


def stalled_reasons() -> frozenset[str]:
    """Return every reason that Stalled can have, wherever in the package it arises."""
    found = {"SpecInvalid"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and not _is_wait(node):
                found |= set(_reason_of(node))
            elif isinstance(node, ast.FunctionDef):
                found |= set(_usual_reason_of(node))
            elif isinstance(node, ast.AnnAssign) and "_FAILURES" in ast.unparse(node.target):
                found |= {row[1] for row in ast.literal_eval(node.value or ast.Tuple([]))}
    return frozenset(found) - _OF_EVENTS


def _is_wait(call: ast.Call) -> bool:
    """Return whether *call* makes something wait that no person has to mend."""
    return ast.unparse(call.func) == "Wait"


def _waits() -> Iterator[Row]:
    for path in sorted((PACKAGE / "plan").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _is_wait(node):
                yield from (Row("True", reason, "…") for reason in _reason_of(node))


def _reason_of(call: ast.Call) -> Iterator[str]:
    """Yield the reason of a StalledError, Blocked or Condition, or of what makes one."""
    for keyword in call.keywords:
        if keyword.arg == "reason" and isinstance(keyword.value, ast.Constant):
            yield keyword.value.value


def _usual_reason_of(function: ast.FunctionDef) -> Iterator[str]:
    """Yield the reason that a function gives unless it is told another one."""
    for argument, usual in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if argument.arg == "reason" and isinstance(usual, ast.Constant):
            yield usual.value


def _text(node: ast.expr, function: ast.FunctionDef) -> str:
    """Return what *node* says, with an ellipsis for what only a visit knows."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, function) for part in parts)
        case ast.BoolOp(values=[*_, last]):
            return f"… or: {_text(last, function)}"
        case ast.Name(id=name):
            said = [
                _text(each.value, function)
                for each in ast.walk(function)
                if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == name
            ]
            return said[0] if len(said) == 1 else "…"
        case _:
            return "…"
