"""`curriculum fmt` writes files whole or not at all, and says which."""

import json
import stat
from pathlib import Path

import pytest

from curriculum.cli.main import run

WILD = "plan:   x # a name\nstages:\n     a: { b : [1,2] }"
LAID = "plan: x  # a name\nstages:\n  a: {b: [1, 2]}\n"


def file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_files_that_change_are_written_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wild, laid = file(tmp_path, "wild.yaml", WILD), file(tmp_path, "laid.yaml", LAID)
    wild.chmod(0o640)
    assert run(["fmt", str(wild), str(laid)]) == 0
    assert wild.read_text() == LAID
    assert stat.S_IMODE(wild.stat().st_mode) == 0o640
    assert capsys.readouterr().out == f"{wild}\n"
    assert run(["fmt", str(wild), str(laid)]) == 0
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["laid.yaml", "wild.yaml"]


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_check_and_diff_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    wild, laid = file(tmp_path, "wild.yaml", WILD), file(tmp_path, "laid.yaml", LAID)
    assert run(["fmt", option, str(laid)]) == 0
    assert capsys.readouterr().out == ""
    assert run(["fmt", option, str(wild), str(laid)]) == 1
    assert wild.read_text() == WILD
    out = capsys.readouterr().out
    if option == "--diff":
        assert "-     a: { b : [1,2] }\n+  a: {b: [1, 2]}\n" in out
    else:
        assert out == f"{wild}\n"


def test_line_breaks_and_byte_order_marks_are_layout(tmp_path: Path) -> None:
    marked = file(tmp_path, "a.yaml", "\ufeff" + LAID.replace("\n", "\r\n"))
    assert run(["fmt", "--check", str(marked)]) == 1
    assert run(["fmt", str(marked)]) == 0
    assert marked.read_bytes() == LAID.encode()


def test_what_cannot_be_read_stays_and_the_others_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wild, broken = file(tmp_path, "wild.yaml", WILD), file(tmp_path, "broken.yaml", "a: [1\n")
    lock = file(tmp_path, "x.lock.json", "{}")
    assert run(["fmt", str(broken), str(wild)]) == 1
    assert wild.read_text() == LAID
    assert broken.read_text() == "a: [1\n"
    assert f"{broken}:1:4: error[yaml-syntax]" in capsys.readouterr().err
    assert run(["fmt", str(lock), str(tmp_path / "none.yaml")]) == 2
    err = capsys.readouterr().err
    assert "is a lock; `fmt` lays out plan files" in err
    assert "none.yaml: no such file" in err


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    wild = file(tmp_path, "wild.yaml", WILD)
    link = tmp_path / "link.yaml"
    link.symlink_to(wild)
    assert run(["fmt", str(link)]) == 0
    assert link.is_symlink()
    assert wild.read_text() == LAID


def test_json_is_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild, broken = file(tmp_path, "wild.yaml", WILD), file(tmp_path, "broken.yaml", "a: [1\n")
    code = run(["fmt", "--check", "--format", "json", str(wild), str(broken), "none.yaml"])
    assert code == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["format"] == 1
    assert answer["files"] == [
        {"file": str(wild), "changed": True},
        {"file": str(broken), "changed": False},
        {"file": "none.yaml", "changed": False},
    ]
    assert [finding["rule"] for finding in answer["findings"]] == ["yaml-syntax", "cannot"]


def test_a_disk_that_refuses_leaves_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    wild = file(tmp_path, "wild.yaml", WILD)
    monkeypatch.setattr(Path, "write_text", full)
    assert run(["fmt", str(wild)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert wild.read_bytes() == WILD.encode()
