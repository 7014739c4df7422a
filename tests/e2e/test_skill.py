"""`pawl skill`: what it writes, whose files it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.pawl import Pawl

CLAUDE, CODEX, OPENCODE = (f"{folder}/skills/pawl/SKILL.md" for folder in (".claude", ".agents", ".opencode"))


@pytest.fixture
def pawl(tmp_path: Path) -> Pawl:
    return Pawl(tmp_path / "project")


def files(folder: Path) -> set[str]:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith(".pawl")}


class TestInstall:
    def test_for_all_each_program_finds_it_once(self, pawl: Pawl) -> None:
        done = pawl("skill", "install")
        assert (done.code, files(pawl.folder)) == (0, {CLAUDE, CODEX})  # OpenCode reads both of these folders
        assert "claude mcp add --scope project pawl -- pawl mcp" in done.out
        assert "codex mcp add pawl -- pawl mcp" in done.out
        assert '"command": ["pawl", "mcp"]' in done.out
        text = (pawl.folder / CLAUDE).read_text()
        assert text.startswith("---\nname: pawl\ndescription: Runs workflows") and text.endswith(" -->\n")
        description = text.splitlines()[2].removeprefix("description: ")
        assert len(description) <= 1024, "programs read no more"

    def test_again_changes_nothing(self, pawl: Pawl) -> None:
        first = pawl("skill", "install", "--for", "codex", "--json").json
        assert first["written"] == first["files"] == [str(pawl.folder / CODEX)]
        assert pawl("skill", "install", "--for", "codex", "--json").json["written"] == []

    @pytest.mark.parametrize(
        ("program", "path"),
        [
            ("claude", ".claude/skills/pawl/SKILL.md"),
            ("codex", ".agents/skills/pawl/SKILL.md"),
            ("opencode", ".config/opencode/skills/pawl/SKILL.md"),
        ],
    )
    def test_for_a_user(self, pawl: Pawl, program: str, path: str) -> None:
        done = pawl("skill", "install", "--user", "--for", program)
        assert (done.code, files(pawl.folder)) == (0, set())
        assert (Path(pawl.environ["HOME"]) / path).is_file()

    def test_for_a_project_that_is_named(self, pawl: Pawl, tmp_path: Path) -> None:
        (tmp_path / "other" / ".git").mkdir(parents=True)
        assert pawl("skill", "install", "--project", str(tmp_path / "other"), "--for", "opencode").code == 0
        assert (tmp_path / "other" / OPENCODE).is_file()
        assert pawl("skill", "install", "--project", "--for", "opencode").code == 0
        assert files(pawl.folder) == {OPENCODE}
        assert pawl("skill", "install", "--project", "--user").code == 2


class TestForeignFiles:
    def test_what_pawl_did_not_write_stays(self, pawl: Pawl) -> None:
        path = pawl.folder / CODEX
        path.parent.mkdir(parents=True)
        path.write_text("mine\n")
        for arguments in (("install",), ("install", "--force"), ("uninstall",), ("uninstall", "--force")):
            done = pawl("skill", *arguments)
            assert (done.code, path.read_text()) == (2, "mine\n")
            assert done.err == (
                f"Error: {path} was not written by Pawl\n"
                "Hint: Nothing was changed. Move it away, or choose another program with --for.\n"
            )
        assert files(pawl.folder) == {CODEX}, "all or nothing"

    def test_what_was_edited_is_kept_until_it_is_forced(self, pawl: Pawl) -> None:
        pawl("skill", "install", "--for", "claude")
        path = pawl.folder / CLAUDE
        written = path.read_text()
        path.write_text(written.replace("# Pawl\n", "# Pawl, our way\n"))
        for verb in ("install", "uninstall"):
            done = pawl("skill", verb, "--for", "claude", "--json")
            assert (done.code, done.json["error"]["code"]) == (2, "skill_edited")
        assert "our way" in path.read_text()
        assert pawl("skill", "install", "--for", "claude", "--force").code == 0
        assert path.read_text() == written

    def test_what_an_older_version_wrote_is_replaced(self, pawl: Pawl) -> None:
        import hashlib

        path, body = pawl.folder / CLAUDE, "---\nname: pawl\n---\nold\n"
        path.parent.mkdir(parents=True)
        digest = hashlib.sha256(body.encode()).hexdigest()
        path.write_text(f"{body}\n<!-- written by `pawl skill install`; sha256 {digest} -->\n")
        assert pawl("skill", "install", "--for", "claude").code == 0
        assert "Runs workflows" in path.read_text()

    def test_a_link_is_not_followed(self, pawl: Pawl, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").write_text("mine\n")
        path = pawl.folder / CLAUDE
        path.parent.mkdir(parents=True)
        path.symlink_to(tmp_path / "elsewhere")
        assert pawl("skill", "install", "--for", "claude", "--force").code == 2
        assert (tmp_path / "elsewhere").read_text() == "mine\n"


class TestUninstall:
    def test_removes_its_own_and_nothing_else(self, pawl: Pawl) -> None:
        pawl("skill", "install")
        pawl("skill", "install", "--for", "opencode")
        (pawl.folder / ".claude/skills/pawl/notes.md").write_text("mine\n")
        (pawl.folder / ".agents/skills/other").mkdir()
        done = pawl("skill", "uninstall", "--json")
        assert done.json["removed"] == [str(pawl.folder / one) for one in (CLAUDE, CODEX, OPENCODE)]
        assert files(pawl.folder) == {".claude/skills/pawl/notes.md"}
        assert not (pawl.folder / ".agents/skills/pawl").exists() and (pawl.folder / ".agents/skills/other").is_dir()
        assert pawl("skill", "uninstall").out == "There is nothing to remove.\n"
