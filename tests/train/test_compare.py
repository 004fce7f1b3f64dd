from dataclasses import replace

from curriculum.curve import constant
from curriculum.train.compare import Recounted, count_differences, step_differences
from curriculum.train.ledger import COUNTS, LedgerLine
from train.plans import rope_of, small_plan

PLAN = small_plan()
STAGE = PLAN.stage("text")
DRAWS = STAGE.draws()


def counts(sequences: int, **more: int) -> dict[str, int]:
    tokens = 16 * sequences
    known = {"sequences": sequences, "tokens": tokens, "text": tokens, "loss_tokens": tokens}
    return {**dict.fromkeys(COUNTS, 0), **known, **more}


LINE = LedgerLine(
    stage="text",
    step=2,
    tokens=64,
    sources={"code": counts(1), "english": counts(3)},
    lr={"llm": 1e-3},
    seq_len=16,
    rope_base={"llm": 50_000.0},
    trained=["llm"],
    drawn_hash="ab",
    loss={"next_token": 5.0},
    total=5.0,
    trained_parts={"llm": ["head"]},
    weights={},
    state_steps={},
    router_bias_rate={"llm": [0.001, 0.0]},
    optimizer=None,
    optimizer_hash="",
    batch_hash="ef",
    rope=rope_of(PLAN, STAGE),
)


def differences(line: LedgerLine) -> dict[str, str]:
    return dict(step_differences(PLAN, STAGE, line, DRAWS))


def test_floats_may_differ_in_their_last_digit_and_no_more() -> None:
    assert differences(LINE) == {}
    assert differences(replace(LINE, lr={"llm": 1e-3 * (1 + 4e-16)})) == {}
    assert differences(replace(LINE, rope_base={"llm": 50_000.0 * (1 - 5e-13)})) == {}
    assert list(differences(replace(LINE, lr={"llm": 1e-3 * (1 + 2e-12)}))) == ["LR llm"]
    changed = differences(replace(LINE, rope_base={"llm": 50_000.0 * (1 + 2e-12)}))
    assert list(changed) == ["RoPE base llm"]


def test_a_source_that_is_not_of_the_mixture_is_found() -> None:
    found = differences(replace(LINE, sources={**LINE.sources, "web": counts(1)}))
    assert found["drawn web"] == "1 sequences of `web`, planned 0"
    assert found["sum"] == "the sources' tokens sum to 80, the step's are 64"
    assert differences(replace(LINE, sources={**LINE.sources, "web": counts(0)})) == {}


def test_a_module_that_the_plan_does_not_have_did_not_change() -> None:
    parts = {"llm": ["head"], "reward": ["head"]}
    found = differences(
        replace(LINE, trained=["llm", "reward"], trained_parts=parts, rope_base={"x": 1.0})
    )
    assert found["changed reward"] == "`reward` changed, but the stage trains llm"
    assert found["RoPE base x"] == "RoPE base of x is 1.0, not planned"


def test_negative_counts_are_no_counts() -> None:
    english = counts(3, text=49, pad=-1)
    found = differences(replace(LINE, sources={**LINE.sources, "english": english}))
    assert list(found) == ["parts english"]


def test_recounted_numbers_are_compared_one_by_one() -> None:
    truth = {"code": counts(1), "english": counts(3, vit_patches=4)}
    assert dict(count_differences(LINE, Recounted(truth, "cd", "gh"))) == {
        "documents": "other documents: drew ab, the data give cd",
        "recounted english vit_patches": "vit_patches of `english`: 0, the data give 4",
    }


def test_arrays_are_compared_where_the_documents_are_the_same() -> None:
    truth = {"code": counts(1), "english": counts(3)}
    assert dict(count_differences(LINE, Recounted(truth, "ab", "gh"))) == {
        "arrays": "other arrays of these documents: ef, the data give gh"
    }
    assert not dict(count_differences(LINE, Recounted(truth, "ab", "ef")))


def test_the_weighted_sum_of_the_terms_is_the_plans() -> None:
    assert differences(replace(LINE, total=5.0 * (1 + 9e-10))) == {}
    assert differences(replace(LINE, total=5.0 * (1 + 2e-9))) == {
        "total": "loss 5.00000001 was propagated back, the plan's weights give 5.0"
    }
    assert differences(replace(LINE, loss={"next_token": 5.0, "caption": 0.0})) == {
        "loss terms": "loss terms caption, next_token, planned next_token"
    }


def test_the_routers_rate_is_the_plans_but_for_rounding() -> None:
    def of(rate: list[float] | None) -> dict[str, str]:
        return differences(replace(LINE, router_bias_rate={"llm": rate}))

    assert of([0.001 + 1e-8, 2e-8]) == {}
    assert of(None) == {}
    assert of([0.001 + 3e-8, 2e-8])["router llm"] == (
        "the router's bias of `llm` moved by 0.00100003 (give or take 2e-08), planned 0.001"
    )
    found = differences(replace(LINE, router_bias_rate={}))
    assert found["router llm"] == "no router bias of `llm`, planned to move by 0.001"
    align = PLAN.stage("align")
    line = replace(LINE, stage="align", trained=[], trained_parts={}, rope_base={"llm": 5e4})
    found = dict(step_differences(PLAN, align, line, align.draws()))
    assert found["router llm"].endswith(", planned 0.0")  # frozen there, whatever `set` says


def test_parts_are_compared_by_the_names_that_the_stage_has() -> None:
    stage = replace(STAGE, train=("llm/head",), lr={"llm/head": STAGE.lr["llm"]}, settings={})
    line = replace(LINE, lr={"llm/head": 1e-3}, router_bias_rate={"llm": None})

    def of(parts: list[str]) -> dict[str, str]:
        changed = replace(line, trained_parts={"llm": parts})
        return dict(step_differences(PLAN, stage, changed, DRAWS))

    assert of(["head"]) == {}
    assert of(["head", "norms"]) == {
        "changed llm/norms": "`llm/norms` changed, but the stage trains llm/head"
    }
    assert of(["norms"])["unchanged llm/head"] == (
        "`llm/head` did not change, but the stage trains it"
    )
    stage = replace(STAGE, lr={**STAGE.lr, "llm/head": constant(0)})
    line = replace(LINE, lr={"llm": 1e-3, "llm/head": 0.0})
    assert of(["head", "norms"]) == {"changed llm/head": "`llm/head` changed, but its LR is 0 here"}
    line = replace(LINE, trained=["llm", "vit"])
    stage = STAGE
    assert of(["head"])["parts"] == "parts changed of llm, of modules llm, vit"
