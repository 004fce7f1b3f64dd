"""A small world whose last stages stretch RoPE: trained, audited, and every wrong buffer noticed"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from curriculum.lock import with_digests, write_lock
from curriculum.models.rotation import LayerRotation, Rotation
from curriculum.models.shapes import DecoderShape
from curriculum.plan import Plan, Start
from curriculum.rope import Rope
from curriculum.rope_scaling import Yarn
from curriculum.train.audit import audit
from curriculum.train.console import Console
from curriculum.train.execute import Request, run_plan
from curriculum.train.launch import Launch
from curriculum.train.ledger import read
from curriculum.train.rundir import LEDGER
from train.plans import small_plan, small_stage
from train.worlds import write_world

YARN = Rope(Fraction(50_000), Yarn(Fraction(4), 16, Fraction(2), Fraction("0.1")))
CHAIN = {
    "text": {"llm": Rope(Fraction(50_000))},
    "yarn": {"llm": YARN},
    "nope": {"llm": Rope(None)},
}


def chain(ropes: dict[str, dict[str, Rope]]) -> Plan:
    """Return stages one after the other, each with its RoPE."""
    stages, init = [], {"llm": Start(None)}
    for name, rope in ropes.items():
        seq_len = 16 if name == "text" else 64
        stage = small_stage(name, steps=3, batch_seqs=2, seq_len=seq_len, init=init)
        stages.append(replace(stage, rope=rope))
        init = {"llm": Start(name, 3, carries_state=True)}
    sources = {name: small_plan().sources[name] for name in ("code", "english")}
    modules = {"llm": small_plan().modules["llm"]}
    return with_digests(
        replace(small_plan(), modules=modules, sources=sources, stages=tuple(stages))
    )


class Silent(Console):
    """Says nothing."""

    def say(self, sentence: str) -> None:
        pass


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    write_world(folder)
    return folder


def go(plan: Plan, data: Path, run: Path) -> list[str]:
    """Train, and return what the audit says."""
    launch = Launch(data=data, device="cpu", checkpoint_every_steps=3, evaluates=False)
    run_plan(Request(plan, write_lock(plan), launch, run, False), Silent())
    return [finding.message for finding in audit(run, data).findings]


@pytest.fixture(scope="module")
def healthy(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run: Path = tmp_path_factory.mktemp("runs") / "healthy"
    assert go(chain(CHAIN), data, run) == []
    return run


def test_the_ledger_holds_what_the_buffer_held(healthy: Path) -> None:
    lines = {line.stage: line for line in read(healthy / LEDGER)}
    (text,), (yarn,), (nope,) = (lines[name].rope["llm"] for name in CHAIN)
    assert text["layers"] == [0, 1]
    assert text["inv_freq"] == Rope(Fraction(50_000)).inv_freq(16)
    assert yarn["inv_freq"] == YARN.inv_freq(16) != text["inv_freq"]
    assert yarn["attention_factor"] == YARN.attention_factor > 1
    assert nope["inv_freq"] == [0.0] * 8
    assert "llm" not in lines["nope"].rope_base


def wrong(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Sequence[LayerRotation]], Any]
) -> None:
    """Let the buffer be filled with something else in the stages that are not plain."""
    original = Rotation.fill
    plain = Rope(Fraction(50_000)).inv_freq(16)

    def fill(self: Rotation, layers: Sequence[LayerRotation]) -> None:
        original(self, layers if list(layers[0][0]) == plain else change(layers))

    monkeypatch.setattr(Rotation, "fill", fill)


PLAIN = Rope(Fraction(50_000)).inv_freq(16)
FAULTS: dict[str, tuple[Callable[[Sequence[LayerRotation]], Any], str]] = {
    "the scaling is forgotten": (
        lambda layers: [(PLAIN, factor) for _, factor in layers],
        "pair 1 in layer 0 of `llm` turns by ",
    ),
    "the temperature is forgotten": (
        lambda layers: [(speeds, 1.0) for speeds, _ in layers],
        f"the attention factor in layer 0 of `llm` is 1.0, planned {YARN.attention_factor!r}",
    ),
    "one layer is left out": (
        lambda layers: [*layers[:-1], ([0.0] * 8, 1.0)],
        "pair 0 in layer 1 of `llm` turns by 0.0 rad/token, planned 1.0",
    ),
    "the last pair is a little off": (
        lambda layers: [([*s[:-1], s[-1] * (1 + 1e-11)], f) for s, f in layers],
        "pair 7 in layer 0 of `llm` turns by ",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_buffer_that_is_not_the_plans_is_noticed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    change, words = FAULTS[fault]
    wrong(monkeypatch, change)
    plan = chain({name: CHAIN[name] for name in ("text", "yarn")})
    (message,) = go(plan, data, tmp_path / "run")
    assert message.startswith(f"stage `yarn`: step 0: {words}"), message
    assert message.endswith("(and 2 more, to step 2)")


def test_a_model_that_turns_where_the_plan_does_not_is_noticed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong(monkeypatch, lambda layers: [(PLAIN, 1.0)] * len(layers))
    plan = chain({name: CHAIN[name] for name in ("text", "nope")})
    (message,) = go(plan, data, tmp_path / "run")
    assert message.startswith("stage `nope`: step 0: RoPE base of llm is ")
    assert ", not planned" in message


def test_layers_turn_each_by_its_part(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DecoderShape, "rope_parts", lambda shape: {"full": (1,)})
    plan = chain({"text": CHAIN["text"], "yarn": {"llm": CHAIN["text"]["llm"], "llm/full": YARN}})
    assert go(plan, data, tmp_path / "run") == []
    *_, last = read(tmp_path / "run" / LEDGER)
    assert [(e["layers"], e["attention_factor"]) for e in last.rope["llm"]] == [
        ([0], 1.0),
        ([1], YARN.attention_factor),
    ]


def test_a_line_without_its_rope_is_noticed(data: Path, healthy: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(healthy, run)
    lines = [json.loads(text) for text in (run / LEDGER).read_text().splitlines()]
    lines[4]["rope"] = {"llm": [{**lines[4]["rope"]["llm"][0], "layers": [0]}]}
    lines[5]["rope"]["llm"][0]["inv_freq"].pop()
    (run / LEDGER).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (message,) = [finding.message for finding in audit(run, data).findings]
    assert message == (
        "stage `yarn`: step 1: no RoPE was measured in layer 1 of `llm` (and 1 more, to step 2)"
    )
