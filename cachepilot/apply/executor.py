"""Do; never decide."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, assert_never

from cachepilot.apply.outcome import Done, Failed, Outcome, Stalled, Waiting
from cachepilot.apply.ports import Writers
from cachepilot.apply.replacing import replace_server
from cachepilot.errors import StalledError, UnavailableError, WaitingError
from cachepilot.plan import actions as a


def perform(action: a.Action, writers: Writers, *, now: datetime) -> Outcome:
    """Carry out one action with exactly one call, and say how it ended."""
    try:
        _call(action, writers, now=now)
    except WaitingError as error:
        return Waiting(action=action, message=str(error), retry_after=error.retry_after)
    except StalledError as error:
        return Stalled(action=action, reason=error.reason, message=str(error))
    except UnavailableError as error:
        return Failed(action=action, message=str(error))
    return Done(action=action)


class Onlooker(Protocol):
    """Somebody who is told of effects as they happen."""

    def before(self, action: a.Action) -> None:
        """Hear that *action* is about to be carried out."""

    def after(self, outcome: Outcome) -> None:
        """Hear how an action ended."""


def perform_all(
    actions: tuple[a.Action, ...], writers: Writers, *, now: datetime, onlooker: Onlooker
) -> tuple[Outcome, ...]:
    """Carry out *actions* in order and stop at the first that is not Done."""
    outcomes: list[Outcome] = []
    for action in actions:
        onlooker.before(action)
        outcomes.append(perform(action, writers, now=now))
        onlooker.after(outcomes[-1])
        if not isinstance(outcomes[-1], Done):
            break
    return tuple(outcomes)


def _call(action: a.Action, writers: Writers, *, now: datetime) -> None:
    """Dispatch by chapter of the outside; each arm below is one call."""
    if isinstance(action, a.RememberHandOver):
        writers.memory.remember_hand_over(action.tenant_name, hand_over=action.hand_over)
    elif isinstance(action, a.MemoryAction):
        _remember(action, writers, now=now)
    elif isinstance(action, a.CertificateAction):
        _certify(action, writers, now=now)
    elif isinstance(action, a.FileAction):
        _write(action, writers)
    elif isinstance(action, a.ContainerAction):
        _contain(action, writers)
    elif isinstance(action, a.HandOverAction):
        _hand_over(action, writers)
    elif isinstance(action, a.ServerAction):
        _tell(action, writers)
    elif isinstance(action, a.TrialAction):
        _try(action, writers)
    elif isinstance(action, a.ReplacementAction):
        replace_server(action, writers)
    else:
        assert_never(action)


def _remember(action: a.MemoryAction, writers: Writers, *, now: datetime) -> None:
    name, memory = action.tenant_name, writers.memory
    match action:
        case (
            a.GenerateCredential()
            | a.AdoptPassword()
            | a.PromoteCredential()
            | a.ForgetCredentials()
        ):
            _change_credentials(action, writers, now=now)
        case a.RememberDocument(generation=n, digest=digest, source=source, document=document):
            memory.remember_document(
                name, generation=n, digest=digest, source=source, document=document
            )
        case a.Retire():
            memory.retire(name)
        case a.Reserve(reservation=reservation):
            memory.reserve(name, reservation)
        case a.BeginRestart(wish=wish, at=at):
            memory.begin_restart(name, wish=wish, at=at)
        case a.FinishRestart(wish=wish):
            memory.finish_restart(name, wish=wish)
        case a.ExpectDump(expected=expected):
            memory.expect_dump(name, expected=expected)
        case a.RememberPersistence(mode=mode):
            memory.remember_persistence(name, mode=mode)
        case a.RememberWait(wait=wait):
            memory.remember_wait(name, wait=wait)
        case a.RememberRules(rules=rules):
            memory.remember_rules(name, rules=rules)
        case a.RememberApplied(fingerprint=fingerprint):
            memory.remember_applied(name, fingerprint=fingerprint)
        case _:
            assert_never(action)


def _change_credentials(action: a.CredentialAction, writers: Writers, *, now: datetime) -> None:
    name, memory = action.tenant_name, writers.memory
    match action:
        case a.GenerateCredential(user=user, pending=pending, wish=wish):
            memory.generate_credential(name, user=user, pending=pending, wish=wish, now=now)
        case a.AdoptPassword(user=user, path=path, pending=pending):
            memory.adopt_password(name, user=user, path=path, pending=pending, now=now)
        case a.PromoteCredential(user=user, revision=revision):
            memory.promote_credential(name, user=user, revision=revision, now=now)
        case a.ForgetCredentials(user=user, revisions=revisions):
            memory.forget_credentials(name, user=user, revisions=revisions)
        case _:
            assert_never(action)


def _certify(action: a.CertificateAction, writers: Writers, *, now: datetime) -> None:
    name, certificates = action.tenant_name, writers.certificates
    match action:
        case a.CreateAuthority():
            certificates.create_authority()
        case a.IssueCertificate(revision=revision, names=names, lifetime=lifetime):
            certificates.issue(
                name,
                revision=revision,
                names=names,
                lifetime=lifetime,
                uid=action.uid,
                clients=action.clients,
                now=now,
            )
        case a.PruneCertificates(keep=keep):
            certificates.prune(name, keep=keep)
        case a.CreateClientAuthority(wish=wish):
            certificates.create_client_authority(name, wish=wish)
        case a.IssueClientCertificate(client=client, lifetime=lifetime):
            certificates.issue_client(name, client=client, lifetime=lifetime, now=now)
        case a.RemoveClientCertificate(client=client):
            certificates.remove_client(name, client=client)
        case _:
            assert_never(action)


def _write(action: a.FileAction, writers: Writers) -> None:
    name, files = action.tenant_name, writers.files
    match action:
        case a.PrepareFolders(instance=instance, uid=uid):
            files.prepare(name, instance=instance, uid=uid)
        case a.WriteConfiguration(instance=instance, uid=uid, text=text):
            files.write_configuration(name, instance=instance, uid=uid, text=text)
        case a.WriteUsers(instance=instance, uid=uid, users=users):
            files.write_users(name, instance=instance, uid=uid, users=users)
        case a.DiscardDump(instance=instance):
            files.discard_dump(name, instance=instance)
        case a.DiscardAppendOnly(instance=instance):
            files.discard_append_only(name, instance=instance)
        case _:
            assert_never(action)


def _contain(action: a.ContainerAction, writers: Writers) -> None:
    name, containers = action.tenant_name, writers.containers
    match action:
        case a.EnsureImage(image=image):
            containers.ensure_image(image)
        case a.EnsureNetwork(bridge=bridge, subnet=subnet):
            containers.ensure_network(bridge=bridge, subnet=subnet)
        case a.CreateContainer(workload=workload, instance=instance):
            containers.create(name, workload, instance=instance)
        case a.StartContainer(role=role, instance=instance):
            containers.start(name, role=role, instance=instance)
        case a.StopContainer(container_id=container_id, timeout=timeout, kills=kills):
            containers.stop(name, container_id=container_id, timeout=timeout, kills=kills)
        case (
            a.StopUnsaved(container_id=container_id, timeout=timeout)
            | a.StopUnused(container_id=container_id, timeout=timeout)
        ):
            containers.stop(name, container_id=container_id, timeout=timeout)
        case a.RestartContainer(container_id=container_id, timeout=timeout, instance=instance):
            containers.restart(name, container_id=container_id, timeout=timeout, instance=instance)
        case (
            a.RemoveContainer(container_id=container_id, digest=digest)
            | a.RemoveUnused(container_id=container_id, digest=digest)
        ):
            containers.remove(name, container_id=container_id, digest=digest)
        case a.UnpauseContainer(container_id=container_id):
            containers.unpause(container_id=container_id)
        case a.RenameContainer(container_id=container_id, role=role):
            containers.rename(name, container_id=container_id, role=role)
        case a.UpdateResources(container_id=container_id, resources=resources):
            containers.update(container_id=container_id, resources=resources)
        case _:
            assert_never(action)


def _try(action: a.TrialAction, writers: Writers) -> None:
    name, trials, users = action.tenant_name, writers.trials, action.users
    image, image_id = action.image, action.image_id
    match action:
        case a.TryRules(instance=instance):
            trials.on_server(name, instance=instance, image=image, image_id=image_id, users=users)
        case a.TryRulesApart(uid=uid):
            trials.apart(name, image=image, image_id=image_id, uid=uid, users=users)
        case _:
            assert_never(action)


def _tell(action: a.ServerAction, writers: Writers) -> None:
    name, server, instance = action.tenant_name, writers.server, action.instance
    match action:
        case a.AwaitServer(patience=patience):
            server.wait(name, instance=instance, patience=patience)
        case a.SaveDataset(pause=pause):
            server.save(name, instance=instance, pause=pause)
        case a.ResumeWrites():
            server.resume_writes(name, instance=instance)
        case a.SaveInBackground():
            server.save_in_background(name, instance=instance)
        case a.AwaitRewrite():
            server.wait_for_rewrite(name, instance=instance)
        case a.EndScript():
            server.end_script(name, instance=instance)
        case a.PurgeMemory():
            server.purge_memory(name, instance=instance)
        case a.SetDirectives(directives=directives):
            server.set_directives(name, instance=instance, directives=directives)
        case a.SetUser(user=user) | a.RestrictUser(user=user):
            server.set_user(name, instance=instance, user=user)
        case a.ProveLogin(user=user, passwords=passwords):
            server.prove_login(name, instance=instance, user=user, passwords=passwords)
        case a.DeleteUser(user=user):
            server.delete_user(name, instance=instance, user=user)
        case _:
            assert_never(action)


def _hand_over(action: a.HandOverAction, writers: Writers) -> None:
    name, servers, instance = action.tenant_name, writers.hand_over, action.instance
    match action:
        case a.FollowServer(leader=leader, port=port, encrypted=encrypted, buffer=buffer):
            servers.follow(
                name,
                instance=instance,
                leader=leader,
                port=port,
                encrypted=encrypted,
                buffer=buffer,
            )
        case a.AwaitSuccessor(leader=leader, patience=patience):
            servers.wait(name, instance=instance, leader=leader, patience=patience)
        case a.DrainServer(successor=successor, pause=pause):
            servers.drain(name, instance=instance, successor=successor, pause=pause)
        case a.OpenSuccessor(listeners=listeners):
            servers.promote(name, instance=instance, listeners=listeners)
        case a.FenceServer(successor=successor):
            servers.fence(name, instance=instance, successor=successor)
        case _:
            assert_never(action)
