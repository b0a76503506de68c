from cachepilot.adapters.atomic import PREFIX
from cachepilot.adapters.leftovers import sweep_leftovers


def test_half_written_files_go_and_everything_else_stays(paths):
    sweep_leftovers(paths)
    for folder in (paths.state, paths.public, paths.status):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{PREFIX}0123").touch()
        (folder / "kept").touch()

    sweep_leftovers(paths)

    assert sorted(p.name for p in paths.state.iterdir()) == ["kept", "public"]
    assert [p.name for p in paths.public.iterdir()] == ["kept"]
    assert [p.name for p in paths.status.iterdir()] == ["kept"]
