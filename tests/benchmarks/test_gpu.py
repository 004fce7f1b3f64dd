"""The GPU benchmark, as far as a machine without a GPU can go: every path, and no figure."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import gpu
from curriculum.data.packed import Packed
from curriculum.models.flops import attention_width, flops_params, flops_per_patch
from curriculum.models.presets import PRESETS, shape_of
from gpu_parts import counting, ours, tables, theirs, worlds

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def setting(left_s: float = 600.0) -> gpu.Setting:
    return gpu.Setting("cpu", True, 1, time.monotonic() + left_s, compiles=False)


def world(name: str) -> worlds.World:
    return next(world for world in worlds.tiny_worlds() if world.name == name)


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> ours.Built:
    return ours.build_world(world("dense"), tmp_path_factory.mktemp("gpu"), "cpu", False)


@pytest.mark.e2e
def test_every_row_runs_at_toy_size_and_no_aim_is_called_met(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--tiny", "--steps", "1"]
    command += ["--out", str(tmp_path / "gpu.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": met" not in done.stdout
    assert done.stdout.endswith("nothing was run on a GPU, and no figure means anything\n")
    found = json.loads((tmp_path / "gpu.json").read_text())
    rows = {(row["world"], row["stage"]): row for row in found["rows"]}
    assert list(rows) == [(w.name, row.stage) for w in worlds.tiny_worlds() for row in w.rows]
    assert all(row["status"] == "ok" and row["flops_per_s"] > 0 for row in found["rows"])
    assert rows["towers", "towers"]["images_per_s"] > 0
    for beside in (("dense", "at-8k"), ("experts", "at-8k"), ("dense, long", "at-32k")):
        peer = rows[beside]["peers"][0]
        assert peer["variant"] == "sdpa"
        # The same tokens, and fresh weights: both are near log(vocab).
        assert peer["loss"] == pytest.approx(rows[beside]["loss"], abs=1.5)
    assert all(row["words"] == "chosen" for row in found["attention"])
    assert found["machine"]["peak_flops_per_s"] is None


def test_full_shapes_on_a_cpu_are_refused() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--device", "cpu"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "--device cpu is for --tiny" in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_without_a_gpu_it_says_so() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout.startswith("no CUDA device: nothing was run on a GPU")


def test_a_row_that_does_not_fit_is_run_with_more_recomputation(
    dense: ours.Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, real = world("dense").rows[0], ours.time_row
    asked: list[str] = []

    def short_of_memory(built: Any, row: Any, recompute: Any, steps: int) -> ours.Measured:
        asked.append(recompute)
        if recompute != "full":
            raise torch.OutOfMemoryError("no room")
        return real(built, row, recompute, steps)

    monkeypatch.setattr(ours, "time_row", short_of_memory)
    found = gpu.at_the_first_that_fits(setting(), dense, row)
    assert asked == ["none", "selective", "full"]
    assert found["words"] == "recomputation full (out of memory with none, selective)"
    assert found["tokens_per_s"] > 0

    def never(*_: Any) -> ours.Measured:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(ours, "time_row", never)
    rows = list(gpu.world_rows(setting(), world("dense")))
    assert [row["status"] for row in rows] == ["failed"]
    assert rows[0]["words"] == "out of memory with recomputation none, selective, full"
    assert "failed: out of memory" in tables.row_lines(rows[0], 1.0, None)[0]


def test_another_failure_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> ours.Built:
        raise RuntimeError("a kernel is missing\nand more")

    monkeypatch.setattr(ours, "build_world", broken)
    rows = list(gpu.world_rows(setting(), world("dense, long")))
    assert [row["words"] for row in rows] == ["RuntimeError: a kernel is missing"] * 2


def test_what_is_left_after_the_budget_is_skipped_and_told() -> None:
    rows = list(gpu.world_rows(setting(left_s=-1.0), world("dense, long")))
    assert [(row["status"], row["words"]) for row in rows] == [
        ("skipped", "the time budget is used up")
    ] * 2


def test_a_peer_that_fails_has_a_line_of_its_own(
    dense: ours.Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> dict[str, Any]:
        raise torch.OutOfMemoryError("no room for theirs")

    monkeypatch.setattr(theirs, "time_variant", broken)
    timed = {"recompute": "none", "tokens_per_s": 1.0, "step_s": 1.0}
    rows = list(gpu.peer_rows(setting(), dense, world("dense").rows[0], timed))
    assert rows == [{"variant": "sdpa", "words": "OutOfMemoryError: no room for theirs"}]


def test_flops_count_live_positions_and_pairs_of_one_document(dense: ours.Built) -> None:
    row = world("dense").rows[0]
    (packed, *_), *_ = ours.drawn_batches(dense, row, 1)
    shape = dense.shapes["llm"]
    lengths = counting.document_lengths(packed)
    live = int((packed.kinds != 2).sum())
    assert int(lengths.sum()) == live
    pairs = sum(int(n) ** 2 for n in lengths) / 2
    assert counting.of_module("llm", shape, packed) == pytest.approx(
        6 * flops_params(shape) * live + 6 * attention_width(shape) * pairs
    )


def test_flops_of_towers_count_images_whole_and_captions_beside_them(tmp_path: Path) -> None:
    built = ours.build_world(world("towers"), tmp_path, "cpu", False)
    (packed, *_), *_ = ours.drawn_batches(built, world("towers").rows[0], 1)
    assert isinstance(packed, Packed)
    patches = [int(rows * columns) for rows, columns in packed.grids]
    vit = built.shapes["vit"]
    assert counting.of_module("vit", vit, packed) == pytest.approx(
        6 * flops_params(vit) * sum(patches)
        + 6 * attention_width(vit) * sum(n * n for n in patches)
    )
    captions = (packed.caption_cu_seqlens[1:] - packed.caption_cu_seqlens[:-1]).tolist()
    captioner = built.shapes["captioner"]
    pairs = sum(c * c / 2 + c * p for c, p in zip(captions, patches, strict=True))
    assert counting.of_module("captioner", captioner, packed) == pytest.approx(
        6 * flops_params(captioner) * sum(captions)
        + 6 * attention_width(captioner) * pairs
        + flops_per_patch(captioner) * sum(patches)
    )


@pytest.mark.parametrize("preset", ["dense-350m", "dense-1b", "moe-1b-a250m"])
def test_transformers_gets_the_same_shape(preset: str) -> None:
    shape: Any = shape_of(preset, {"num_layers": 2, "vocab": 512})
    with torch.device("meta"):
        model = theirs.transformers_model(shape, "sdpa")
    assert sum(p.numel() for p in model.parameters()) == shape.num_params()


def test_every_full_world_compiles_and_fits_its_presets() -> None:
    from curriculum.compile import compile_text
    from curriculum.errors import Severity

    names = set()
    for full in worlds.worlds():
        compiled = compile_text(worlds.plan_text(full), "gpu.yaml")
        assert compiled.plan is not None, compiled.findings
        assert not [f for f in compiled.findings if f.severity is Severity.ERROR]
        for row in full.rows:
            now = compiled.plan.stage(row.stage).at(0)
            assert now.tokens_per_step == row.seq_len * row.seqs == 1 << 17
            assert row.seqs % row.micro_seqs == 0
        names |= {module.preset for module in compiled.plan.modules.values()}
    assert {"dense-350m", "dense-1b", "moe-1b-a250m", "moonvit-89m"} <= names <= set(PRESETS)


def test_aims_are_met_by_a_measured_figure_alone() -> None:
    row = {
        "world": "dense-1b", "stage": "at-8k", "status": "ok", "words": "recomputation none",
        "flops_per_s": 0.5e15, "tokens_per_s": 5e4, "images_per_s": 0.0, "memory_bytes": 70 * 10**9,
        "waiting_share": 0.01, "target_mfu": (0.48, 0.52),
        "peers": [{"variant": "flex", "tokens_per_s": 4e4, "ratio": 1.25}],
    }  # fmt: skip
    line, _, beside = tables.row_lines(row, 0.8e15, 1e15)
    assert "50.0%" in line
    assert "48-52 %: met" in line
    assert beside.endswith("1.25 times the quickest of them (aim 1.2: met)")
    line, _, beside = tables.row_lines(row, 0.8e15, None)
    assert "not measured" in line
    assert "no aim at this size" in beside
