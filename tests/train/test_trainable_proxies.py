"""What docs/language/proxies.md says a proxy needs makes a plan trainable that was refused"""

from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.errors import RunError
from curriculum.plan import Plan
from curriculum.train.abilities import refuse_unable

PAGE = Path(__file__).parents[2] / "docs" / "language" / "proxies.md"
REFUSED = """\
plan: large
modules:
  llm: {preset: gemma-2b}
  vit: {preset: clip-vit-l-14-336}
  projector: {preset: paligemma-3b-linear}
optimizers: {adam: {kind: adamw, weight_decay: .1}}
sources: {pictures: {modality: image-text, tokens: 1B}}
stages:
  sft:
    init: {llm: new, vit: new, projector: new}
    tokens: 10M
    train: [llm, vit, projector]
    optimizer: adam
    loss: {next_token: {weight: 1, over: answers}}
    set: {vit: {max_tiles: 5}}
    lr: 1e-4
    seq_len: 4096
    batch: {seqs: 8}
    packing: concat
    ema: {decay: .99}
    rope: {llm: {base: 10_000}}
    mixture: {pictures: 1}
  more: {init: sft, keep: sft, carry: all, tokens: 10M}
"""
LINES = """\
modules.llm: {preset: dense-proxy}
modules.vit: {preset: moonvit-proxy}
modules.projector: {preset: pixel-shuffle-mlp-proxy}
stages.sft.loss: {next_token: 1}
stages.sft.set: {}
stages.sft.packing: best-fit
stages.sft.ema: null
"""
SMALL = "extends: large.yaml\nplan: small\nscale: {tokens: 1/100, seq_len: 1/16}\n"


def plan_of(path: Path, text: str) -> Plan:
    path.write_text(text, encoding="utf-8")
    compiled = compile_file(path)
    assert compiled.plan is not None, compiled.errors
    assert compiled.errors == ()
    return compiled.plan


def test_the_lines_of_the_page_make_a_refused_plan_trainable(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [line for line in LINES.splitlines() if f"`{line}`" not in page] == []
    large = plan_of(tmp_path / "large.yaml", REFUSED)
    with pytest.raises(RunError, match="is on answers"):
        refuse_unable(large)
    with pytest.raises(RunError, match="stages `sft`, `more`: the loss next_token is on answers"):
        refuse_unable(plan_of(tmp_path / "small.yaml", SMALL))
    refuse_unable(plan_of(tmp_path / "small.yaml", SMALL + LINES))


@pytest.mark.parametrize("line", LINES.splitlines())
def test_no_line_is_said_in_vain(tmp_path: Path, line: str) -> None:
    plan_of(tmp_path / "large.yaml", REFUSED)
    without = LINES.replace(f"{line}\n", "")
    with pytest.raises(RunError):
        refuse_unable(plan_of(tmp_path / "small.yaml", SMALL + without))
