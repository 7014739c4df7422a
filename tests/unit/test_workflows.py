"""engine/workflows.py: which file a person, or a script, means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine import workflows
from engine.assets import stdlib_files, workflows_dir
from engine.errors import ScriptError, UsageError
from engine.project import project_root
from engine.workflows import find, list_workflows, resolve_child


def script(name: str, description: str = "d") -> str:
    return f"export const meta = {{ name: '{name}', description: '{description}' }};\nreturn 1\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with nothing in it, and a home with nothing in it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    root = tmp_path / "repo"
    (root / ".git").mkdir(parents=True)
    (root / ".git/HEAD").touch()
    (root / "a" / "b").mkdir(parents=True)
    return root


def put(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def found(ref: str, project: Path, start: Path | None = None) -> Path | None:
    return find(ref, project, start=start or project).path


def test_the_project_is_the_nearest_folder_with_a_mark(project: Path, tmp_path: Path) -> None:
    assert project_root(project / "a" / "b") == project
    (project / "a" / ".pawl").mkdir()
    assert project_root(project / "a" / "b") == project / "a"
    assert project_root(tmp_path / "nowhere") == tmp_path / "nowhere"


def test_an_empty_git_folder_is_no_mark(project: Path) -> None:
    """Sandboxes of coding agents leave such folders, in /tmp for one."""
    (project / "a" / ".git").mkdir()
    assert project_root(project / "a" / "b") == project
    put(project / "workflows", "one.js", script("one"))
    assert found("one", project / "a", project / "a" / "b") == project / "workflows" / "one.js"


def test_a_git_worktree_is_a_project(project: Path) -> None:
    (project / "a" / ".git").write_text("gitdir: elsewhere\n")
    assert project_root(project / "a" / "b") == project / "a"


def test_a_path(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(project / "a", "one.js", script("x"))
    monkeypatch.chdir(project)
    source = find("a/one.js", project)
    assert (source.path, source.name, source.text) == (path, "one.js", script("x"))


@pytest.mark.parametrize("folder", [".pawl/workflows", "workflows", ".claude/workflows", ".mimocode/workflows"])
def test_S44_a_name_is_looked_up_from_here_to_the_root(project: Path, folder: str) -> None:
    path = put(project / folder, "deep.js", script("deep"))
    assert found("deep", project, project / "a" / "b") == path


def test_S44_a_name_is_metas_then_the_stem(project: Path) -> None:
    by_stem = put(project / "workflows", "review.js", script("other"))
    assert found("review", project) == by_stem
    by_meta = put(project / "workflows", "zzz.js", script("review"))
    assert found("review", project) == by_meta
    assert found("other", project) == by_stem
    assert found("zzz", project) == by_meta


def test_S44_the_nearest_folder_wins_and_shadows_the_others(project: Path, tmp_path: Path) -> None:
    user = put(tmp_path / "config" / "pawl" / "workflows", "w.js", script("w"))
    assert found("w", project) == user
    far = put(project / "workflows", "w.js", script("w"))
    assert found("w", project, project / "a" / "b") == far
    first = put(project / ".pawl" / "workflows", "w.js", script("w"))
    assert found("w", project, project / "a" / "b") == first
    near = put(project / "a" / "workflows", "w.mjs", script("w"))
    assert found("w", project, project / "a" / "b") == near
    assert found("w", project, project) == first


def test_the_lookup_ends_at_the_root_of_the_repository(project: Path, tmp_path: Path) -> None:
    put(tmp_path / "workflows", "outside.js", script("outside"))
    with pytest.raises(UsageError, match="there is no workflow 'outside'"):
        find("outside", project, start=project / "a")


def test_what_ships_is_found_from_anywhere(project: Path) -> None:
    for path in sorted(workflows_dir().glob("*.js")):
        assert found(path.stem, project) == path


def test_an_unknown_name_has_near_ones(project: Path) -> None:
    put(project / "workflows", "x.js", script("nightly-report"))
    with pytest.raises(UsageError) as caught:
        find("nightly-reprot", project, start=project)
    assert caught.value.message == "there is no workflow 'nightly-reprot'"
    assert (caught.value.code, caught.value.exit_code) == ("unknown_workflow", 2)
    assert caught.value.hint == "Did you mean nightly-report?"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no file {shown!r}"),
        (lambda path: path.mkdir(), "cannot read {shown!r}: Is a directory"),
        (os.mkfifo, "{shown!r} is a pipe, not a script"),
        (lambda path: path.symlink_to("/dev/zero"), "{shown!r} is a device, not a script"),
        (lambda path: path.symlink_to(path), "cannot read {shown!r}: Too many levels of symbolic links"),
    ],
    ids=["missing", "folder", "pipe", "device", "loop"],
)
def test_what_is_no_file_is_a_usage_error(project: Path, make: object, message: str) -> None:
    path = project / "odd.js"
    make(path)  # type: ignore[operator]
    with pytest.raises(UsageError) as caught:
        find(str(path), project)
    assert caught.value.message == message.format(shown=str(path))
    assert caught.value.exit_code == 2


def test_a_path_with_a_nul(project: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        find("a\0b.js", project)


@pytest.mark.parametrize(
    ("data", "code"), [(b"", "syntax"), (b"\x7fELF\0\0\0\0\0", "encoding"), (b"x" * ((1 << 20) + 1), "too_long")]
)
def test_S14_what_is_no_script_is_a_script_error(project: Path, data: bytes, code: str) -> None:
    (project / "odd.js").write_bytes(data)
    with pytest.raises(ScriptError) as caught:
        find(str(project / "odd.js"), project)
    assert (caught.value.code, caught.value.exit_code) == (code, 2)


def test_the_list(project: Path, tmp_path: Path) -> None:
    shadow = put(project / ".pawl" / "workflows", "w.js", script("w", "near"))
    put(project / "workflows", "w.js", script("w", "far"))
    put(project / "workflows", "broken.js", "return 1")
    put(project / "workflows", ".hidden.js", script("hidden"))
    put(project / "workflows", "notes.txt", "no script")
    put(tmp_path / "config" / "pawl" / "workflows", "mine.js", script("mine"))
    listed = [one for one in list_workflows(project, start=project) if one.origin != "shipped"]
    assert [(one.name, one.description, one.origin, one.shadowed_by) for one in listed] == [
        ("broken", "", "project", None),
        ("mine", "d", "user", None),
        ("w", "near", "project", None),
        ("w", "far", "project", shadow),
    ]
    assert listed[0].problem == "The first statement must be `export const meta = {…}`; this is something else."


def test_a_meta_is_parsed_once_and_again_when_the_file_changes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(project / "workflows", "w.js", script("one"))
    assert found("one", project) == path
    spawned = 0
    from sandbox.parsing import ParserProcess

    spawn = ParserProcess.spawn

    def counting(*args: object) -> ParserProcess:
        nonlocal spawned
        spawned += 1
        return spawn()

    monkeypatch.setattr(ParserProcess, "spawn", counting)
    assert found("one", project) == path
    assert spawned == 0
    path.write_text(script("another"), encoding="utf-8")
    assert found("another", project) == path
    assert spawned == 1


def test_a_stem_that_no_other_file_mentions_is_found_without_parsing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(project / "workflows", "fast.js", script("fast"))
    put(project / "workflows", "other.js", script("other"))
    monkeypatch.setattr(workflows, "_known", {})
    monkeypatch.setattr("sandbox.parsing.ParserProcess.spawn", None)  # would fail
    assert found("fast", project) == path


# ── S44: what a script asks for


async def test_S44_a_child_by_name_and_by_path(project: Path) -> None:
    by_name = put(project / "workflows", "child.js", script("child"))
    by_path = put(project / "a", "other.js", script("other"))
    assert (await resolve_child("child", project)).path == by_name
    assert (await resolve_child({"name": "child"}, project)).path == by_name
    assert (await resolve_child({"scriptPath": "a/other.js"}, project)).path == by_path
    assert (await resolve_child({"scriptPath": "a/../a/other.js"}, project)).path == by_path


async def test_S44_a_child_in_the_users_folder_may_be_named_by_path(project: Path, tmp_path: Path) -> None:
    path = put(tmp_path / "config" / "pawl" / "workflows", "mine.js", script("mine"))
    assert (await resolve_child({"scriptPath": str(path)}, project)).path == path


@pytest.mark.parametrize("way", ["../outside.js", "../missing.js", "link.js", "folder/outside.js", "absolute"])
async def test_S44_a_path_stays_inside_links_followed(project: Path, tmp_path: Path, way: str) -> None:
    outside = put(tmp_path, "outside.js", script("outside"))
    (project / "link.js").symlink_to(outside)
    (project / "folder").symlink_to(tmp_path)
    ref = str(outside) if way == "absolute" else way
    with pytest.raises(UsageError) as caught:
        await resolve_child({"scriptPath": ref}, project)
    assert caught.value.message == f"the script {ref!r} is outside the workspace"
    assert caught.value.code == "outside_workspace"


@pytest.mark.parametrize("ref", [None, 3, "", [], {}, {"scriptPath": 3}, {"scriptPath": ""}, {"scriptPath": "a\0b"}])
async def test_S44_what_is_no_reference(project: Path, ref: object) -> None:
    with pytest.raises(UsageError) as caught:
        await resolve_child(ref, project)
    assert caught.value.message == "workflow() takes the name of a workflow, or {scriptPath: 'path/to/file.js'}"


async def test_S44_messages_for_a_script_hold_no_host_path(project: Path) -> None:
    (project / "folder.js").mkdir()
    (project / "binary.js").write_bytes(b"secret\0\0\0\0\0")
    for ref in ("missing.js", "folder.js", "binary.js", "folder.js/x"):
        with pytest.raises((UsageError, ScriptError)) as caught:
            await resolve_child({"scriptPath": ref}, project)
        told = repr(caught.value.to_json())
        assert str(project) not in told
        assert "secret" not in told


def test_the_library_is_where_the_code_finds_it() -> None:
    names = [name for name, _ in stdlib_files()]
    assert names == sorted(names, key=lambda name: ("/" in name, name))
    assert "40_agent.js" in names
    assert all(text for _, text in stdlib_files())
