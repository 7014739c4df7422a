"""mergeWorktree() as scripts see it: what it takes, what it gives, what it refuses (S64)."""

from __future__ import annotations

import pytest
from support.runs import Project
from support.scripts import only

NOTHING = {"ok": True, "commit": None, "conflicts": [], "files": [], "summary": ""}


async def test_S64_nothing_changed_merges_to_nothing(project: Project) -> None:
    assert await project.value("return await mergeWorktree(null)", allow={"files"}) == NOTHING
    body = (
        "const full = await agent('a', {isolation: 'worktree', full: true}); return await mergeWorktree(full.worktree)"
    )
    assert await project.value(body, allow={"files"}) == NOTHING  # sample changes nothing


TAKES = (
    "mergeWorktree() needs a worktree: the `worktree` of what agent() gave with full: true, its branch, or null, not "
)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", f"{TAKES}undefined"),
        ("3", f"{TAKES}3"),
        ("['pawl/r/1']", f'{TAKES}["pawl/r/1"]'),
        ("{path: 'x'}", f"{TAKES}" + '{"path":"x"}'),
        ("''", 'mergeWorktree() needs a branch: a non-empty string, not ""'),
        (
            "{value: 'x', worktree: {branch: 'b'}}",
            "mergeWorktree() needs the `worktree` of the result: mergeWorktree(result.worktree), not the result itself",
        ),
        ("null, 'message'", "mergeWorktree() takes options as an object"),
        ("null, {message: ''}", "mergeWorktree() option 'message' must be a non-empty string, not \"\""),
        ("null, {message: 3}", "mergeWorktree() option 'message' must be a non-empty string, not 3"),
    ],
)
async def test_S64_mistakes_reject(project: Project, given: str, message: str) -> None:
    body = f"return await mergeWorktree({given}).then(() => 'no error', error => [error.name, error.message])"
    assert await project.value(body, allow={"files"}) == ["TypeError", message]


async def test_S64_an_unknown_option_is_named(project: Project) -> None:
    assert await project.value("return await mergeWorktree(null, {squash: true})", allow={"files"}) == NOTHING
    assert project.warnings == ["mergeWorktree() knows no option 'squash'; it is ignored"]


@pytest.mark.parametrize("given", ["'main'", "{branch: 'main'}", "{get branch() { return 'main' }}"])
async def test_S64_only_branches_of_this_run(project: Project, given: str) -> None:
    body = f"return await mergeWorktree({given}).catch(error => [error.code, error.message])"
    code, message = await project.value(body, allow={"files"}, run_id="r-1")
    assert code == "unknown_worktree"
    assert message == (
        "mergeWorktree('main'): not the branch of a worktree of this run; those are pawl/r-1/…. "
        "Pass on the `worktree` of what agent() gave with isolation: 'worktree' and full: true."
    )


async def test_S63_merging_without_permission_names_the_flag(project: Project) -> None:
    body = "return await mergeWorktree(null).catch(error => [error.code, error.message])"
    code, message = await project.value(body)
    assert code == "not_permitted"
    assert message.startswith("mergeWorktree() needs the permission 'files', which this run does not have.")


async def test_S12_portable_names_it() -> None:
    found = await only("return await mergeWorktree(null)\n", portable=True)
    assert (found.code, found.rule, found.message) == (
        "not_portable",
        "S64",
        "Not portable: mergeWorktree is not part of what all runtimes of the dialect have.",
    )


async def test_S64_not_awaited_is_a_mistake() -> None:
    found = await only("const merged = mergeWorktree(null)\nreturn merged.ok\n", mistakes=True)
    assert found.code == "missing_await"
