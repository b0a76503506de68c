"""The arm of the executor that puts one server in the place of another."""

from __future__ import annotations

from typing import assert_never

from cachepilot.apply.ports import Writers
from cachepilot.plan import actions as a


def replace_server(action: a.ReplacementAction, writers: Writers) -> None:
    """Carry out one action with exactly one call."""
    if isinstance(action, a.ReplacementMemoryAction):
        _remember(action, writers)
    elif isinstance(action, a.ReplacementFileAction):
        _write(action, writers)
    elif isinstance(action, a.ReplacementServerAction):
        _tell(action, writers)
    elif isinstance(action, a.ExamineImage):
        writers.containers.examine_image(
            action.tenant_name,
            image=action.image,
            engine=action.engine,
            data_format=action.data_format,
        )
    else:
        assert_never(action)


def _remember(action: a.ReplacementMemoryAction, writers: Writers) -> None:
    name, memory = action.tenant_name, writers.memory
    match action:
        case a.BeginReplacement(replacement=replacement):
            memory.begin_replacement(name, replacement)
        case a.AbandonReplacement():
            memory.abandon_replacement(name)
        case a.SwitchInstance(instance=instance):
            memory.switch_instance(name, instance=instance)
        case a.AcceptReplacement():
            memory.accept_replacement(name)
        case a.CondemnReplacement(reason=reason, message=message, image_id=image_id):
            memory.condemn_replacement(name, reason=reason, message=message, image_id=image_id)
        case a.ReturnToFormer():
            memory.return_to_former(name)
        case a.ForgetHeldBack():
            memory.forget_held_back(name)
        case _:
            assert_never(action)


def _write(action: a.ReplacementFileAction, writers: Writers) -> None:
    name, files = action.tenant_name, writers.files
    match action:
        case a.StageInstance(instance=instance, uid=uid):
            files.stage(name, instance=instance, uid=uid)
        case a.CarryData():
            files.carry_data(
                name,
                source=action.source,
                instance=action.instance,
                uid=action.uid,
                dump=action.dump,
                append_only=action.append_only,
            )
        case a.DiscardInstance(instance=instance):
            files.discard_instance(name, instance=instance)
        case _:
            assert_never(action)


def _tell(action: a.ReplacementServerAction, writers: Writers) -> None:
    name, server, instance = action.tenant_name, writers.server, action.instance
    match action:
        case a.RewriteAppendOnly():
            server.rewrite_append_only(name, instance=instance)
        case a.NoteData(pause=pause):
            server.note_data(name, instance=instance, pause=pause)
        case a.CompareData():
            server.compare_data(name, instance=instance)
        case _:
            assert_never(action)
