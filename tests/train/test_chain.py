from dataclasses import replace

from curriculum.plan import Start
from curriculum.train.chain import Chain
from curriculum.train.ledger import LedgerLine
from train.plans import small_plan, small_stage

PLAN = small_plan()
TEXT, ALIGN = PLAN.stage("text"), PLAN.stage("align")
BLANK = LedgerLine("text", 0, 64, {}, {}, 16, {}, [], "", {}, 0.0, {}, {}, {}, {}, None, "", "")


def text_line(step: int) -> LedgerLine:
    weights = {"llm": [f"t{step}", f"t{step + 1}"]}
    return replace(BLANK, step=step, weights=weights, state_steps={"llm": [step]})


def align_line(step: int, llm: str = "t8") -> LedgerLine:
    moving = {name: [f"{name}{step}", f"{name}{step + 1}"] for name in ("projector", "vit")}
    steps = {"projector": [step], "vit": [step]}
    weights = {"llm": [llm, llm], **moving}
    return replace(BLANK, stage="align", step=step, weights=weights, state_steps=steps)


def after_text(chain: Chain) -> Chain:
    for step in range(8):
        assert chain.enter(TEXT, text_line(step), True) == []
    return chain


def words(found: list[tuple[str, str]]) -> list[str]:
    return [sentence for _, sentence in found]


def test_a_run_that_goes_on_where_it_was_has_no_differences() -> None:
    chain = after_text(Chain(PLAN))
    for step in range(4):
        assert chain.enter(ALIGN, align_line(step), True) == []


def test_a_module_that_starts_from_elsewhere_is_named() -> None:
    chain = after_text(Chain(PLAN))
    assert words(chain.enter(ALIGN, align_line(0, llm="t7"), True)) == [
        "`llm` began with weights t7, `text` at step 8 left t8"
    ]
    assert chain.enter(ALIGN, align_line(1, llm="t7"), True) == []  # told where it began


def test_a_parent_left_at_its_step_0_gives_what_it_began_with() -> None:
    align = replace(ALIGN, init={**ALIGN.init, "llm": Start("text", 0)})
    plan = replace(PLAN, stages=(TEXT, align))
    assert after_text(Chain(plan)).enter(align, align_line(0, llm="t0"), True) == []
    assert words(after_text(Chain(plan)).enter(align, align_line(0), True)) == [
        "`llm` began with weights t8, `text` at step 0 left t0"
    ]


def test_weights_and_state_that_change_between_steps_are_named() -> None:
    chain = Chain(PLAN)
    chain.enter(TEXT, text_line(0), True)
    line = replace(text_line(1), weights={"llm": ["0a", "t2"]}, state_steps={"llm": [0]})
    assert words(chain.enter(TEXT, line, True)) == [
        "`llm` began with weights 0a, step 0 left t1",
        "the optimizer's state of `llm` had seen 0 updates, planned 1",
    ]
    line = replace(text_line(2), state_steps={})
    assert words(chain.enter(TEXT, line, True)) == [
        "the optimizer's state of `llm` had seen no updates, planned 1"
    ]


def test_a_line_that_is_not_the_one_due_goes_on_from_nothing() -> None:
    chain = Chain(PLAN)
    chain.enter(TEXT, text_line(0), True)
    assert chain.enter(TEXT, text_line(5), False) == []
    assert chain.enter(TEXT, text_line(6), True) == []


def test_a_buffer_of_a_frozen_module_may_not_change() -> None:
    chain = after_text(Chain(PLAN))
    line = align_line(0)
    line = replace(line, weights={**line.weights, "llm": ["t8", "t9"]})
    assert words(chain.enter(ALIGN, line, True)) == ["a buffer of `llm` changed, which is frozen"]
    told_as_trained = replace(line, step=1, trained=["llm"])
    assert "buffers llm" not in dict(chain.enter(ALIGN, told_as_trained, False))


def test_the_modules_are_those_of_the_stage() -> None:
    line = replace(text_line(0), weights={"vit": ["a", "a"]}, state_steps={"llm": [0]})
    assert words(Chain(PLAN).enter(TEXT, line, True)) == ["modules vit, planned llm"]


def test_without_the_parents_lines_there_is_nothing_to_compare_with() -> None:
    joint = PLAN.stage("joint")
    modules = ("llm", "projector", "vit")
    line = replace(
        BLANK,
        stage="joint",
        weights={name: ["a", "b"] for name in modules},
        state_steps={"llm": [8], "projector": [0], "vit": [0]},
    )
    assert Chain(PLAN).enter(joint, line, True) == []
    assert Chain(PLAN).enter(small_stage(), text_line(0), True) == []
