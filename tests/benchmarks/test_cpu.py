"""The comparison on a CPU, as far as this environment goes: our side, the turns, the same model."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import cpu
from peers import hf
from peers.turns import Peer, PeerError, Round, Settings, Timed, in_turns, quickest
from peers.world import TINY, World, hf_name, make_world, read_rows

OURS = Peer("curriculum", Path(sys.executable), "peers.ours")
AS_WRITTEN = Settings("fp32", False, 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("bench") / "world", TINY, 6, "packed", seq_len=64)


@pytest.mark.e2e
def test_our_trainer_takes_turns_with_itself(world: World, tmp_path: Path) -> None:
    other = Peer("again", OURS.python, OURS.module)
    first, second = in_turns(
        [(OURS, AS_WRITTEN), (other, AS_WRITTEN)], world.folder, tmp_path, 2, 2
    )
    assert [len(one.seconds) for one in first.rounds] == [2, 2]
    assert first.first_loss == second.first_loss
    assert first.rounds[-1].losses == second.rounds[-1].losses
    assert 0 < first.best_s <= first.median_s
    assert first.rounds[0].versions == {"torch": torch.__version__}
    lines = cpu.table("1M", "packed", world, [first, second], 0.5)
    assert lines[0].endswith("packed documents, load 0.5")
    assert "NOT THE SAME MODEL" not in lines[-1]
    tried = quickest(OURS, [AS_WRITTEN], world.folder, tmp_path / "trials", 2)
    assert tried[0].settings == AS_WRITTEN
    assert len(cpu.trial_lines(tried)) == 2


def test_the_first_loss_is_that_of_transformers(world: World) -> None:
    rows, shape = read_rows(world.folder), {**vars_of(TINY), "seq_len": 64}
    dataset = hf.Rows(world.folder)
    assert dataset.is_packed
    batch = torch.utils.data.default_collate([dataset[row] for row in range(8)])
    theirs = hf.model_of(shape, world.folder, torch.float32)(**batch).loss

    from curriculum.lock import read_lock
    from curriculum.models.batch import to_torch
    from curriculum.models.vlm import forward_losses
    from curriculum.train.feed import drawing, open_data
    from curriculum.train.handover import MemoryShelf, assemble
    from curriculum.train.launch import Launch

    plan = read_lock(world.lock.read_text(), "plan.lock.json")
    stage = plan.stages[0]
    sources = open_data(plan, plan.stages, world.data)
    packed = drawing(plan, stage, sources, Launch(world.data), "cpu")(0).micro_batches[0]
    assert np.array_equal(packed.tokens.reshape(8, 64), rows["tokens"][:8])
    made = assemble(plan, stage, MemoryShelf(), world.data, torch.device("cpu"), lambda _: None)
    found = forward_losses(made.by_kind, to_torch(packed), {"next_token": 1.0})["next_token"]
    torch.testing.assert_close(theirs, found.total / found.count, atol=1e-5, rtol=0)


def vars_of(size: object) -> dict[str, int]:
    return {name: getattr(size, name) for name in type(size).__dataclass_fields__}  # type: ignore[attr-defined]


def test_every_weight_has_a_name_in_transformers(world: World) -> None:
    shape = {**vars_of(TINY), "seq_len": 64}
    model = hf.model_of(shape, world.folder, torch.bfloat16)  # strict: every name is there
    assert next(model.parameters()).dtype == torch.bfloat16
    assert sum(p.numel() for p in model.parameters()) == world.params
    assert hf_name("head.weight") == "lm_head.weight"


def test_a_trainer_that_ends_early_tells_its_last_words(world: World, tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"broken ended: (.|\n)*No module named"):
        in_turns(
            [(Peer("broken", OURS.python, "peers.nobody"), AS_WRITTEN)],
            world.folder,
            tmp_path,
            1,
            1,
        )


def test_another_model_is_told(world: World) -> None:
    one = Round((2.0,), 1.0, (5.0,), {"torch": "2"})
    ours = Timed("curriculum", AS_WRITTEN, (one,), 7.0)
    other = Timed("litgpt", AS_WRITTEN, (Round((3.0,), 1.2, (5.0,), {}),), 7.1)
    lines = cpu.table("1M", "whole", world, [ours, other], 0.0)
    assert "1.50x" in lines[-1]
    assert lines[-1].endswith("NOT THE SAME MODEL")
    same = Timed("litgpt", AS_WRITTEN, other.rounds, 7.001)
    assert cpu.table("1M", "whole", world, [ours, same], 0.0)[-1].endswith(
        "aim 1.3: met by the median, missed by CPU time"
    )


def test_what_is_tried_of_whom() -> None:
    assert {one.precision for one in cpu.candidates(OURS, 2)} == {"fp32", "bf16"}
    theirs = cpu.candidates(Peer("hf", OURS.python, "peers.hf"), 2)
    assert {(one.precision, one.compile) for one in theirs} == {
        (precision, how) for precision in ("fp32", "bf16", "all-bf16") for how in (False, True)
    }
