"""Golden values of plans/smollm1-1.7b.yaml"""

from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.plan import Stage

FILE = Path(__file__).parents[2] / "plans" / "smollm1-1.7b.yaml"


@pytest.fixture(scope="module")
def pretrain() -> Stage:
    found = compile_file(FILE)
    assert found.plan is not None, found.findings
    assert found.findings == ()
    return found.plan.stage("pretrain")


def test_half_a_million_steps_of_2mi_tokens(pretrain: Stage) -> None:
    assert (pretrain.steps, pretrain.tokens) == (500_000, 1_048_576_000_000)
    now = pretrain.at(0)
    assert (now.batch_seqs, now.seq_len) == (1024, 2048)
    assert now.rope["llm"].base == 10_000


def test_the_rate_falls_by_the_root_of_the_last_fifth(pretrain: Stage) -> None:
    lr = {s: pretrain.at(s).lr["llm"] for s in (0, 1000, 2000, 400_000, 425_000, 481_000, 500_000)}
    assert lr == {
        0: 0.0,
        1000: 2.5e-4,
        2000: 5e-4,
        400_000: 5e-4,
        425_000: 2.5e-4,  # 1 - sqrt(1/4)
        481_000: pytest.approx(5e-5, rel=1e-12),  # 1 - sqrt(.81)
        500_000: 0.0,
    }


def test_step_300_000_counted_from_1_begins_the_second_list(pretrain: Stage) -> None:
    assert pretrain.at(299_998).ratios == {
        "fineweb-edu-dedup": 0.7,
        "cosmopedia-v2": 0.15,
        "open-web-math": 0.06,
        "starcoderdata-python": 0.08,
        "stackoverflow": 0.01,
        "python-edu": 0.0,
        "deepmind-mathematics": 0.0,
    }
    assert pretrain.at(299_999).ratios == {
        "fineweb-edu-dedup": 0.7,
        "cosmopedia-v2": 0.15,
        "open-web-math": 0.055,
        "starcoderdata-python": 0.0,
        "stackoverflow": 0.01,
        "python-edu": 0.08,
        "deepmind-mathematics": 0.005,
    }
