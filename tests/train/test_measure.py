from pathlib import Path

import pytest
import torch

import curriculum.train.measure
from curriculum.models.decoder import Decoder
from curriculum.train.feed import draw, open_reader
from curriculum.train.handover import Assembly, MemoryShelf, assemble
from curriculum.train.ledger import LedgerLine
from curriculum.train.measure import Meter
from curriculum.train.step import StepLosses
from train.worlds import world_plan, world_sources

PLAN = world_plan()
COUNTS = [[9, 1, 4, 2, 0, 7, 3, 6]]  # of the one layer with experts


@pytest.fixture
def text() -> Assembly:
    cpu = torch.device("cpu")
    return assemble(PLAN, PLAN.stage("text"), MemoryShelf(), Path(), cpu, lambda _: None)


def read_after(meter: Meter, step: int = 0) -> LedgerLine:
    drawn = draw(open_reader(PLAN, PLAN.stage("text"), world_sources()), step, 3)
    found = StepLosses({"next_token": 4.0}, 4.0, 1.0, "ab", COUNTS)
    return meter.read("text", step, drawn.micro_batches, drawn.drawn_hash, found)


def test_what_entered_the_forward_pass_is_counted(text: Assembly) -> None:
    line = read_after(Meter(text.modules, text.optimizer))
    assert (line.tokens, line.seq_len) == (64, 16)
    assert sum(counts["sequences"] for counts in line.sources.values()) == 4
    assert sum(counts["tokens"] for counts in line.sources.values()) == 64


def test_a_module_is_trained_if_a_parameter_changed(text: Assembly) -> None:
    meter = Meter(text.modules, text.optimizer)
    assert read_after(meter).trained == []
    with torch.no_grad():
        text.modules["llm"].get_parameter("embed.weight")[3, 5] += 1e-6
    line = read_after(meter)
    assert (line.trained, line.trained_parts) == (["llm"], {"llm": ["embeddings"]})
    assert line.weights["llm"][0] != line.weights["llm"][1]
    after = read_after(meter)
    assert (after.trained, after.trained_parts) == ([], {})
    assert after.weights["llm"] == [line.weights["llm"][1]] * 2


def test_what_changes_between_the_steps_is_no_training_but_shows(text: Assembly) -> None:
    meter = Meter(text.modules, text.optimizer)
    first = read_after(meter)
    with torch.no_grad():
        text.modules["llm"].get_parameter("embed.weight")[3, 5] += 1e-6
    meter.begin()
    line = read_after(meter)
    assert line.trained == []
    assert line.weights["llm"][0] == line.weights["llm"][1] != first.weights["llm"][1]


def test_the_routers_bias_is_a_weight_and_its_rate_is_measured(text: Assembly) -> None:
    meter, llm = Meter(text.modules, text.optimizer), text.modules["llm"]
    assert isinstance(llm, Decoder)
    assert read_after(meter).router_bias_rate == {"llm": [0.0, 0.0]}
    for moe in llm.moe_layers():
        moe.expert_counts.copy_(torch.tensor(COUNTS[0]))
    llm.update_router_bias(0.25)
    line = read_after(meter)
    assert line.router_bias_rate["llm"] == pytest.approx([0.25, 0], abs=1e-7)
    assert line.trained == []
    assert line.weights["llm"][0] != line.weights["llm"][1]


def test_the_optimizers_values_are_those_in_force(text: Assembly) -> None:
    meter = Meter(text.modules, text.optimizer)
    first, second = read_after(meter), read_after(meter, 1)
    assert first.optimizer is not None
    assert {entry["kind"] for entry in first.optimizer} == {"adamw", "muon"}
    assert (second.optimizer, second.optimizer_hash) == (None, first.optimizer_hash)
    assert first.state_steps == {"llm": [0]}
    adamw = text.optimizer._adamw
    assert adamw is not None
    adamw.param_groups[0]["weight_decay"] = 0.5  # what torch's own step reads
    changed = read_after(meter)
    assert changed.optimizer is not None
    assert 0.5 in [entry["values"]["weight_decay"] for entry in changed.optimizer]
    assert changed.optimizer_hash != first.optimizer_hash


def test_the_rope_base_is_the_buffers(text: Assembly) -> None:
    llm = text.modules["llm"]
    assert isinstance(llm, Decoder)
    llm.set_rope([base**-1.0 for base in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)])
    line = read_after(Meter(text.modules, text.optimizer))
    assert line.rope_base["llm"] == pytest.approx(256.0)


def test_the_learning_rate_is_the_groups(text: Assembly) -> None:
    text.optimizer.set_lr({"llm": 0.125})
    assert read_after(Meter(text.modules, text.optimizer)).lr == {"llm": 0.125}


def test_nothing_here_reads_the_plan() -> None:
    source = Path(curriculum.train.measure.__file__).read_text(encoding="utf-8")
    assert "curriculum.plan" not in source
    assert "curriculum.lock" not in source
