import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from curriculum.errors import RunError
from curriculum.train import checkpoint
from curriculum.train.checkpoint import latest, load_modules, load_optimizer, load_state, save

STAGES = ("text", "joint")


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(6, 4, generator=generator)
    return {
        "weight": weight,
        "turned": weight.mT,
        "half": weight.bfloat16(),
        "count": torch.tensor(3),
        "empty": torch.zeros(0, 4),
    }


def write(root: Path, stage: str, step: int, seed: int = 0) -> Path:
    path = checkpoint.checkpoint_path(root, stage, step)
    state = {"stage": stage, "step": step}
    save(path, {"llm": tensors(seed), "vit": tensors(1)}, {"llm": tensors(2)}, state)
    return path


def test_what_was_saved_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    path = write(tmp_path, "text", 4)
    assert path == tmp_path / "text" / "00000004"
    loaded = load_modules(path, ["vit", "llm"])
    assert list(loaded) == ["vit", "llm"]
    for name, tensor in tensors().items():
        assert loaded["llm"][name].dtype == tensor.dtype
        assert torch.equal(loaded["llm"][name], tensor)
    assert torch.equal(load_optimizer(path, ["llm"])["llm"]["weight"], tensors(2)["weight"])
    assert load_state(path) == {"stage": "text", "step": 4}
    assert checkpoint.has_optimizer(path, "llm")
    assert not checkpoint.has_optimizer(path, "vit")
    with pytest.raises(RunError, match=r"holds no vit.optimizer.safetensors"):
        load_optimizer(path, ["vit"])
    assert sorted(p.name for p in path.parent.iterdir()) == ["00000004"]


def test_no_file_of_it_is_a_pickle(tmp_path: Path) -> None:
    path = write(tmp_path, "text", 4)
    assert {p.suffix for p in path.iterdir()} == {".json", ".safetensors"}


def test_a_checkpoint_is_written_over_the_one_in_its_place(tmp_path: Path) -> None:
    write(tmp_path, "text", 4, seed=0)
    path = write(tmp_path, "text", 4, seed=9)
    assert torch.equal(load_modules(path, ["llm"])["llm"]["weight"], tensors(9)["weight"])
    assert [p.name for p in path.parent.iterdir()] == ["00000004"]


def test_the_newest_is_by_the_order_of_the_stages_and_then_by_step(tmp_path: Path) -> None:
    assert latest(tmp_path, STAGES) == checkpoint.Latest(None, None, 0, ())
    for stage, step in (("joint", 2), ("text", 4), ("joint", 10), ("text", 99)):
        write(tmp_path, stage, step)
    found = latest(tmp_path, STAGES)
    assert (found.stage, found.step, found.refused) == ("joint", 10, ())
    assert latest(tmp_path, ["text"]).step == 99
    assert checkpoint.steps_of(tmp_path, "joint") == [2, 10]


def test_any_flipped_bit_is_refused_by_name_and_the_one_before_is_taken(tmp_path: Path) -> None:
    write(tmp_path, "text", 4)
    path = write(tmp_path, "joint", 2)
    chance = random.Random(0)
    for file in sorted(path.iterdir()):
        whole = file.read_bytes()
        for bit in chance.sample(range(len(whole) * 8), min(60, len(whole) * 8)):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            file.write_bytes(flipped)
            found = latest(tmp_path, STAGES)
            assert (found.stage, found.step) == ("text", 4), (file.name, bit)
            assert len(found.refused) == 1
            assert str(path) in found.refused[0]
            assert file.name in found.refused[0]
        file.write_bytes(whole)
    assert latest(tmp_path, STAGES).refused == ()


def test_loading_checks_what_it_reads(tmp_path: Path) -> None:
    path = write(tmp_path, "text", 4)
    file = path / "llm.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert torch.equal(load_modules(path, ["vit"])["vit"]["weight"], tensors(1)["weight"])
    with pytest.raises(RunError, match=r"text/00000004 is damaged: llm.safetensors"):
        load_modules(path, ["llm"])
    with pytest.raises(RunError, match=r"llm.safetensors"):
        checkpoint.verify(path)


def test_files_that_are_missing_or_cut_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, "text", 4)
    (path / "vit.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=r"vit.safetensors has 0 bytes"):
        checkpoint.verify(path)
    (path / "vit.safetensors").unlink()
    with pytest.raises(RunError, match=r"vit.safetensors is missing"):
        checkpoint.verify(path)
    assert checkpoint.is_complete(path)
    (path / "checkpoint.json").unlink()
    assert not checkpoint.is_complete(path)
    with pytest.raises(RunError, match=r"not complete: checkpoint.json is missing"):
        checkpoint.verify(path)
    assert len(latest(tmp_path, STAGES).refused) == 1


def test_a_state_that_is_not_finite_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        save(tmp_path / "text" / "00000001", {}, {}, {"loss": float("nan")})


def test_the_last_ones_are_kept_and_always_the_ends_and_marks(tmp_path: Path) -> None:
    for step in (2, 4, 6, 8):
        write(tmp_path, "text", step)
    for step in (1, 2, 3):
        write(tmp_path, "joint", step)
    always = {("text", 8), ("text", 2)}
    deleted = checkpoint.prune(tmp_path, STAGES, 2, always)
    assert [(p.parent.name, int(p.name)) for p in deleted] == [
        ("text", 4),
        ("text", 6),
        ("joint", 1),
    ]
    assert checkpoint.steps_of(tmp_path, "text") == [2, 8]
    assert checkpoint.steps_of(tmp_path, "joint") == [2, 3]
    assert checkpoint.prune(tmp_path, STAGES, 2, always) == []


def test_what_a_kill_left_halfway_is_not_counted_and_is_swept(tmp_path: Path) -> None:
    path = write(tmp_path, "text", 4)
    shutil.copytree(path, tmp_path / "text" / "00000006.partial")
    shutil.copytree(path, tmp_path / "text" / "00000002.deleted")
    shutil.copytree(path, tmp_path / "text" / "00000004.replaced")
    assert latest(tmp_path, STAGES).path == path
    checkpoint.sweep(tmp_path)
    assert [p.name for p in path.parent.iterdir()] == ["00000004"]


def test_one_that_was_moved_aside_and_not_replaced_is_put_back(tmp_path: Path) -> None:
    path = write(tmp_path, "text", 4)
    path.rename(path.with_name("00000004.replaced"))
    assert latest(tmp_path, STAGES).path is None
    checkpoint.sweep(tmp_path)
    assert latest(tmp_path, STAGES).path == path


# A limit on the size of files is a full disk for one process: the kernel refuses the write.
FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from curriculum.errors import RunError
from curriculum.train import checkpoint
root = Path(sys.argv[1])
def write(step, numbers):
    state = {"step": step}
    path = checkpoint.checkpoint_path(root, "text", step)
    checkpoint.save(path, {"llm": {"weight": torch.ones(numbers)}}, {}, state)
write(1, 100)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    write(2, 100_000)
except RunError as error:
    print(error)
print(sorted(p.name for p in (root / "text").iterdir()))
print(checkpoint.latest(root, ["text"]).step)
"""


def test_a_full_disk_leaves_the_last_complete_checkpoint(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    message, names, step = done.stdout.splitlines()
    assert "text/00000002 could not be written" in message
    assert "go on with --resume" in message
    assert names == "['00000001']"
    assert step == "1"


def test_a_disk_without_room_is_said_in_these_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # /dev/full answers every write with ENOSPC: the kernel's own full disk.
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    before = write(tmp_path, "text", 4)
    path = checkpoint.checkpoint_path(tmp_path, "text", 6)
    real = Path.open

    def on_the_full_disk(self: Path, mode: str = "r") -> object:
        return real(Path("/dev/full") if self.name.startswith("vit") else self, mode)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", on_the_full_disk)
        with pytest.raises(RunError, match="the disk is full; those before it are as they were"):
            write(tmp_path, "text", 6)
    assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == [before.name]
    checkpoint.verify(before)


def test_the_index_holds_the_size_and_sha256_of_every_file(tmp_path: Path) -> None:
    path = write(tmp_path, "text", 4)
    index = json.loads((path / "checkpoint.json").read_text())
    assert index["format"] == 1
    assert sorted(index["files"]) == sorted(
        p.name for p in path.iterdir() if p.name != "checkpoint.json"
    )
    for name, facts in index["files"].items():
        assert facts["bytes"] == (path / name).stat().st_size
