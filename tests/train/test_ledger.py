import ast
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from curriculum.data.packed import IMAGE, NO_LOSS, PAD, TEXT, Packed
from curriculum.errors import RunError
from curriculum.train import ledger
from curriculum.train.ledger import LedgerLine, count_sources, fingerprint, merge_counts, read

COUNTS = dict.fromkeys(ledger.COUNTS, 0) | {"sequences": 1, "tokens": 8, "text": 8}
LINE = LedgerLine(
    stage="text",
    step=3,
    tokens=8,
    sources={"code": COUNTS},
    lr={"llm": 0.1 + 0.2},
    seq_len=8,
    rope_base={"llm": 50_000.0},
    trained=["llm"],
    drawn_hash="ab",
    loss={"next_token": 5.9},
    total=5.9,
    trained_parts={"llm": ["head"]},
    weights={"llm": ["0a", "0b"]},
    state_steps={"llm": [3]},
    router_bias_rate={"llm": [0.001, 1e-9], "draft": None},
    optimizer=[{"kind": "adamw", "values": {"eps": 1e-8}, "parts": ["llm/head"]}],
    optimizer_hash="cd",
    batch_hash="ef",
    rope={"llm": [{"layers": [0, 1], "inv_freq": [1.0, 0.1 + 0.2], "attention_factor": 1.0}]},
)


def packed(**changes: object) -> Packed:
    """Three sequences of 8: text; an image of 4x4 patches, text, padding; two images of 4x2."""
    t, i, p = TEXT, IMAGE, PAD
    kinds = [t] * 8 + [t, i, i, i, i, t, p, p] + [t, i, i, t, t, i, i, t]
    targets = np.full(24, NO_LOSS)
    targets[[0, 1, 2, 13, 19, 23, 22]] = 5
    values: dict[str, object] = {
        "seq_len": 8,
        "sources": ("code", "captions", "video"),
        "doc_ids": ((4, 5), (7,), (1, 2)),
        "kinds": np.array(kinds, dtype=np.uint8),
        "positions": np.arange(24),
        "cu_seqlens": np.array([0, 8, 14, 16, 24], dtype=np.int32),
        "max_seqlen": 8,
        "tokens": np.zeros(24, dtype=np.int64),
        "targets": targets,
        "patches": np.zeros((32, 12), dtype=np.float32),
        "grids": np.array([[4, 4], [4, 2], [2, 4]], dtype=np.int32),
        "captions": np.zeros(0, dtype=np.int64),
        "caption_cu_seqlens": np.zeros(1, dtype=np.int32),
    }
    return Packed(**{**values, **changes})  # type: ignore[arg-type]


def test_counts_are_those_of_the_arrays() -> None:
    assert count_sources(packed()) == {
        "captions": {
            "sequences": 1,
            "tokens": 8,
            "text": 2,
            "image": 4,
            "pad": 2,
            "loss_tokens": 1,
            "vit_patches": 16,
        },
        "code": {
            "sequences": 1,
            "tokens": 8,
            "text": 8,
            "image": 0,
            "pad": 0,
            "loss_tokens": 3,
            "vit_patches": 0,
        },
        "video": {
            "sequences": 1,
            "tokens": 8,
            "text": 4,
            "image": 4,
            "pad": 0,
            "loss_tokens": 3,
            "vit_patches": 16,
        },
    }


def test_where_patches_are_the_positions_captions_bear_the_loss() -> None:
    batch = packed(
        sources=("captions", "video"),
        doc_ids=((7, 8), (1,)),
        kinds=np.array([IMAGE] * 8 + [IMAGE] * 4 + [PAD] * 4, dtype=np.uint8),
        tokens=np.zeros(0, dtype=np.int64),
        targets=np.zeros(0, dtype=np.int64),
        grids=np.array([[2, 2], [2, 2], [2, 2]], dtype=np.int32),
        captions=np.zeros(12, dtype=np.int64),
        caption_cu_seqlens=np.array([0, 3, 8, 12], dtype=np.int32),
    )
    counts = count_sources(batch)
    assert counts["captions"] | {"text": 0} == counts["captions"]
    assert [counts["captions"][what] for what in ("image", "pad", "loss_tokens")] == [8, 0, 2 + 4]
    assert [counts["video"][what] for what in ("image", "pad", "loss_tokens")] == [4, 4, 3]
    assert [counts[name]["vit_patches"] for name in ("captions", "video")] == [8, 4]


def test_counts_of_micro_batches_add_up_to_those_of_the_step() -> None:
    whole = packed()
    twice = merge_counts([count_sources(whole), count_sources(whole)])
    assert all(
        count == 2 * count_sources(whole)[source][what]
        for source, counts in twice.items()
        for what, count in counts.items()
    )
    assert list(twice) == sorted(twice)


def test_a_line_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    lines = [LINE, replace(LINE, step=4, lr={"llm": 1e-300})]
    file.write_text("".join(line.to_json() + "\n" for line in lines) + '{"torn')
    assert list(read(file)) == lines
    with pytest.raises(ValueError, match="JSON compliant"):
        replace(LINE, loss={"next_token": float("inf")}).to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": "3"}, "step is '3'"),
        ({"step": True}, "step is True"),
        ({"extra": 1}, "missing or unknown: extra"),
        ({"sources": {"code": {"tokens": 8}}}, "sources does not hold whole numbers"),
        ({"sources": {"code": {**COUNTS, "text": 8.5}}}, "sources does not hold whole numbers"),
        ({"lr": {"llm": "high"}}, "lr does not hold finite numbers"),
        ({"loss": {"next_token": float("nan")}}, "loss does not hold finite numbers"),
        ({"drawn_hash": None}, "drawn_hash a text"),
        ({"total": float("inf")}, "total is inf"),
        ({"total": None}, "total is None"),
        ({"trained_parts": {"llm": "head"}}, "trained_parts is "),
        ({"weights": {"llm": ["0a"]}}, "weights is "),
        ({"weights": {"llm": [1, 2]}}, "weights is "),
        ({"state_steps": {"llm": [True]}}, "state_steps is "),
        ({"router_bias_rate": {"llm": 0.001}}, "router_bias_rate is "),
        ({"optimizer": {"kind": "adamw"}}, "optimizer is "),
        ({"optimizer": [{"kind": "adamw"}]}, "optimizer is "),
        ({"optimizer_hash": 1}, "optimizer_hash is 1"),
        ({"batch_hash": None}, "batch_hash is None"),
    ],
)
def test_a_line_that_is_none_is_named_with_its_number(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "ledger.jsonl"
    changed = {**json.loads(LINE.to_json()), **change}
    file.write_text(LINE.to_json() + "\n" + json.dumps(changed) + "\n")
    with pytest.raises(RunError, match=message) as found:
        list(read(file))
    assert str(found.value).startswith(f"{file}:2: ")


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no ledger"):
        list(read(tmp_path / "ledger.jsonl"))
    (tmp_path / "ledger.jsonl").write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(RunError, match="ledger.jsonl:1: no line of a ledger"):
        list(read(tmp_path / "ledger.jsonl"))


@pytest.mark.parametrize("size", [(), (3,), (4, 6), (5, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_fingerprint_shows_the_change_of_one_bit(
    size: tuple[int, ...], dtype: torch.dtype
) -> None:
    module = nn.Module()
    module.register_buffer("bias", torch.zeros(3))
    module.weight = nn.Parameter(torch.ones(size, dtype=dtype))
    module.other = nn.Parameter(torch.ones(4))
    before = fingerprint(module)
    module.register_buffer("counts", torch.zeros(3), persistent=False)
    module.get_buffer("counts").add_(1)
    assert fingerprint(module) == before
    module.get_buffer("bias").add_(1)
    assert {name for name, bits in fingerprint(module).items() if bits != before[name]} == {"bias"}
    with torch.no_grad():
        flat = module.weight.view(-1)
        flat[-1] = torch.nextafter(flat[-1], torch.tensor(2.0, dtype=dtype))
    after = fingerprint(module)
    assert after["weight"] != before["weight"]
    assert after["other"] == before["other"]


def test_nothing_here_reads_the_plan() -> None:
    tree = ast.parse(Path(ledger.__file__).read_text())
    names = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in (node.module or "", *(f"{node.module}.{a.name}" for a in node.names))
    }
    ours = {name for name in names if name.startswith("curriculum")}
    assert not {name for name in ours if "plan" in name or "lock" in name or "compile" in name}
    assert "curriculum.data.packed" in ours


def test_every_field_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1] for row in page.splitlines() if row.startswith("| `")]
    explained = {name.strip(" `") for row in rows for name in row.split(",")}
    assert explained == {field.name for field in fields(LedgerLine)}
