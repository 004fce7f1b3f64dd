import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.data.store import About, Document, Specials, write_source
from curriculum.errors import FindingsError, RunError
from curriculum.lock import with_digests, write_lock
from curriculum.models.batch import to_torch
from curriculum.plan import Plan, Stage
from curriculum.train.audit import Report, audit, audit_lines
from curriculum.train.compare import Recounted
from curriculum.train.consumed import batch_hash
from curriculum.train.feed import draw, open_data, open_reader
from curriculum.train.groups import hash_values
from curriculum.train.ledger import COUNTS, Counts, LedgerLine, count_sources, merge_counts
from curriculum.train.planned import planned_state_steps, planned_values
from curriculum.train.rundir import RunDir
from train.plans import rope_of, small_plan, small_stage

PLAN = small_plan()


def faithful(plan: Plan) -> list[LedgerLine]:
    """The ledger of a run that did what the plan says; images have room for one pad position."""
    lines = []
    left: dict[tuple[str, int], dict[str, str]] = {}  # weights before a step of a stage
    for stage in plan.stages:
        draws, values = stage.draws(), planned_values(plan, stage)
        seen_before = planned_state_steps(plan, stage)
        weights = {
            name: f"{stage.name} {name}"
            if start.stage is None
            else left[start.stage, start.step][name]
            for name, start in stage.init.items()
        }
        trainable = {target.partition("/")[0] for target in stage.train}
        for step in range(stage.steps):
            now = stage.at(step)
            sources: Counts = {}
            for name, sequences in draws.counts(step).items():
                if sequences:
                    counts = dict.fromkeys(COUNTS, 0)
                    image = 8 * sequences if name == "captions" else 0
                    tokens = sequences * now.seq_len
                    pad = sequences if name == "captions" else 0
                    sources[name] = counts | {
                        "sequences": sequences,
                        "tokens": tokens,
                        "text": tokens - image - pad,
                        "image": image,
                        "pad": pad,
                        "loss_tokens": tokens - image - pad - sequences,
                        "vit_patches": 4 * image,
                    }
            lr = {target: value for target, value in now.lr.items() if value is not None}
            seen = {"llm"} if "captions" not in sources else {"llm", "vit", "projector"}
            parts = {name: parts_trained(plan, stage, name) for name in trainable}
            before = weights
            weights = {
                n: f"{stage.name} {step} {n}" if n in trainable else w for n, w in weights.items()
            }
            left[stage.name, step + 1] = weights
            trained = sorted(seen & {t.partition("/")[0] for t, value in lr.items() if value})
            bases = {"llm": float(stage.rope["llm"].base or 0)}
            lines.append(
                LedgerLine(
                    stage=stage.name,
                    step=step,
                    tokens=now.tokens_per_step,
                    sources=sources,
                    lr=lr,
                    seq_len=now.seq_len,
                    rope_base=bases | ({"vit": 10_000.0} if "vit" in stage.init else {}),
                    trained=trained,
                    drawn_hash=f"{stage.name}/{step}",
                    loss={"next_token": 5.0},
                    total=5.0,
                    trained_parts={name: parts[name] for name in trained},
                    weights={name: [before[name], weights[name]] for name in weights},
                    state_steps={
                        name: [count + step for count in counts]
                        for name, counts in seen_before.items()
                    },
                    router_bias_rate={"llm": [0.001 if "llm" in stage.train else 0.0, 0.0]},
                    optimizer=values if step == 0 else None,
                    optimizer_hash=hash_values(values),
                    batch_hash=f"arrays of {stage.name}/{step}",
                    rope=rope_of(plan, stage),
                )
            )
    return lines


def parts_trained(plan: Plan, stage: Stage, module: str) -> list[str]:
    parts = plan.modules[module].shape.parts()
    return [p for p in parts if {module, f"{module}/{p}"} & set(stage.train)]


def at(lines: list[LedgerLine], stage: str, step: int) -> int:
    return next(i for i, line in enumerate(lines) if (line.stage, line.step) == (stage, step))


def differences(report: Report) -> dict[str, tuple[str, ...]]:
    return {stage.name: stage.differences for stage in report.stages if stage.differences}


def test_a_run_that_did_as_planned_is_ok() -> None:
    report = audit_lines(PLAN, faithful(PLAN))
    assert report.ok
    assert report.complete
    assert report.findings == ()
    assert [(s.name, s.steps, s.tokens) for s in report.stages] == [
        ("text", 8, 512),
        ("align", 4, 256),
        ("joint", 6, 384),
        ("long", 3, 192),
    ]
    text, align = report.stages[0], report.stages[1]
    assert text.sources["english"]["sequences"] == 24
    assert text.padding == 0
    assert align.padding == pytest.approx(1 / 16)


Edit = Callable[[LedgerLine], LedgerLine]


def with_counts(source: str, **changes: int) -> Edit:
    """Change counts of one source by so much."""

    def edit(line: LedgerLine) -> LedgerLine:
        counts = dict(line.sources[source])
        counts |= {what: counts[what] + change for what, change in changes.items()}
        return replace(line, sources={**line.sources, source: counts})

    return edit


def swapped_source(line: LedgerLine) -> LedgerLine:
    moved = {"sequences": 1, "tokens": 16, "text": 16, "loss_tokens": 15}
    taken = with_counts("english", **{what: -count for what, count in moved.items()})(line)
    return with_counts("code", **moved)(taken)


@pytest.mark.parametrize(
    ("stage", "step", "edit", "words"),
    [
        (
            "joint",
            3,
            lambda line: replace(line, lr={**line.lr, "vit": line.lr["vit"] * (1 + 1e-9)}),
            "LR of vit is 0.0008681",
        ),
        ("joint", 0, lambda line: replace(line, lr={**line.lr, "llm": 1e-30}), "planned 0.0"),
        ("text", 3, lambda line: replace(line, lr={}), "LR of llm is None, planned"),
        ("text", 3, lambda line: replace(line, lr={**line.lr, "vit": 1e-3}), "not planned"),
        ("text", 5, swapped_source, "sequences of `code`, planned 1"),
        (
            "align",
            2,
            lambda line: replace(
                line,
                trained=["llm", *line.trained],
                trained_parts={"llm": ["head"], **line.trained_parts},
            ),
            "`llm` changed, but the stage trains projector, vit",
        ),
        (
            "align",
            2,
            lambda line: replace(
                line, trained=["vit"], trained_parts={"vit": line.trained_parts["vit"]}
            ),
            "`projector` did not change, but the stage trains it",
        ),
        (
            "text",
            4,
            lambda line: replace(line, trained=[], trained_parts={}),
            "`llm` did not change",
        ),
        (
            "text",
            0,
            lambda line: replace(line, trained=["llm"], trained_parts={"llm": ["head"]}),
            "changed, but its LR is 0 here",
        ),
        ("joint", 3, lambda line: replace(line, total=5.1), "loss 5.1 was propagated back"),
        (
            "joint",
            3,
            lambda line: replace(line, router_bias_rate={"llm": [0.002, 1e-8]}),
            "moved by 0.002 (give or take 1e-08), planned 0.001",
        ),
        (
            "joint",
            3,
            lambda line: replace(line, optimizer_hash="ab"),
            "other values in the optimizer: hash ab, planned ",
        ),
        (
            "joint",
            0,
            lambda line: replace(line, state_steps={**line.state_steps, "llm": [0]}),
            "the optimizer's state of `llm` had seen 0 updates, planned 8",
        ),
        (
            "joint",
            0,
            lambda line: replace(
                line, weights={**line.weights, "llm": ["0a", line.weights["llm"][1]]}
            ),
            "`llm` began with weights 0a, `text` at step 8 left text 7 llm",
        ),
        (
            "joint",
            4,
            lambda line: replace(
                line, weights={**line.weights, "vit": ["0a", line.weights["vit"][1]]}
            ),
            "`vit` began with weights 0a, step 3 left joint 3 vit",
        ),
        (
            "long",
            1,
            lambda line: replace(line, rope_base={**line.rope_base, "llm": 50_000.0}),
            "RoPE base of llm is 50000.0, planned 800000.0",
        ),
        (
            "long",
            1,
            lambda line: replace(line, rope_base={**line.rope_base, "vit": 50_000.0}),
            "RoPE base of vit is 50000.0, planned 10000.0",
        ),
        ("long", 1, lambda line: replace(line, rope_base={}), "RoPE base of llm is None"),
        ("long", 1, lambda line: replace(line, seq_len=16), "context 16, planned 64"),
        ("text", 6, lambda line: replace(line, tokens=63), "63 tokens, planned 64"),
        (
            "text",
            6,
            with_counts("english", tokens=1),
            "49 tokens of `english` in 3 sequences of 16",
        ),
        ("text", 6, with_counts("english", text=-1), "47 text + 0 image + 0 pad are not 48"),
        ("align", 1, with_counts("captions", pad=1, image=-1, text=-1), "are not 64"),
    ],
)
def test_a_step_that_was_not_as_planned_is_named(
    stage: str, step: int, edit: Edit, words: str
) -> None:
    lines = faithful(PLAN)
    index = at(lines, stage, step)
    lines[index] = edit(lines[index])
    report = audit_lines(PLAN, lines)
    assert not report.ok
    assert report.complete
    found = differences(report)
    assert list(found) == [stage]
    assert any(d.startswith(f"step {step}: ") and words in d for d in found[stage]), found
    assert {f.span.line for f in report.findings if f.span} == {index + 1}
    assert all(f.message.startswith(f"stage `{stage}`: step {step}: ") for f in report.findings)


def test_a_step_done_twice_is_found() -> None:
    lines = faithful(PLAN)
    index = at(lines, "joint", 2)
    report = audit_lines(PLAN, [*lines[: index + 1], *lines[index:]])
    assert differences(report) == {"joint": ("step 2: done again, after step 2",)}
    assert not report.ok
    assert report.stages[2].tokens == 384 + 64


def test_a_step_left_out_is_found() -> None:
    lines = faithful(PLAN)
    index = at(lines, "joint", 2)
    report = audit_lines(PLAN, [*lines[:index], *lines[index + 1 :]])
    assert differences(report) == {"joint": ("step 3: step 2 is left out",)}
    assert not report.ok
    assert not report.complete
    report = audit_lines(PLAN, [*lines[:index], *lines[index + 3 :]])
    assert differences(report) == {"joint": ("step 5: steps 2 to 4 are left out",)}


def test_the_last_step_left_out_is_an_unfinished_stage_and_its_children_began_too_soon() -> None:
    lines = faithful(PLAN)
    index = at(lines, "text", 7)
    report = audit_lines(PLAN, [*lines[:index], *lines[index + 1 :]])
    assert not report.complete
    words = "step 0: began before `text`, which gives `llm`, had done 8 steps"
    assert differences(report) == {"align": (words,), "joint": (words,)}


def test_a_step_behind_the_end_and_a_stage_of_another_plan_are_found() -> None:
    lines = faithful(PLAN)
    extra = replace(lines[-1], step=3)
    other = replace(lines[0], stage="sft")
    report = audit_lines(PLAN, [*lines, extra, other])
    assert differences(report) == {"long": ("step 3: the stage has steps 0 to 2",)}
    assert "stage `sft`, which the plan does not have" in report.findings[0].message
    assert report.findings[0].span is not None
    assert report.findings[0].span.line == len(lines) + 2


def test_a_difference_in_every_step_is_one_sentence() -> None:
    lines = [replace(line, seq_len=15) if line.stage == "text" else line for line in faithful(PLAN)]
    found = differences(audit_lines(PLAN, lines))["text"]
    assert found[0] == "step 0: context 15, planned 16 (and 7 more, to step 7)"


def test_a_run_that_is_not_finished_is_not_ok_and_says_so() -> None:
    lines = faithful(PLAN)
    report = audit_lines(PLAN, lines[: at(lines, "joint", 2)])
    assert not report.ok
    assert not report.complete
    assert differences(report) == {}
    assert [f.message for f in report.findings] == [
        "the run is not finished: stage `joint` has 2 of 6 steps"
    ]
    assert audit_lines(PLAN, []).stages[0].padding is None


def test_modules_that_read_images_need_not_change_where_there_are_none() -> None:
    lines = faithful(PLAN)
    index = at(lines, "long", 1)
    assert "captions" not in lines[index].sources
    assert lines[index].trained == ["llm"]
    parts = {name: parts_trained(PLAN, PLAN.stage("long"), name) for name in PLAN.modules}
    lines[index] = replace(lines[index], trained=sorted(parts), trained_parts=parts)
    assert audit_lines(PLAN, lines).ok


def test_padding_above_15_percent_of_a_stage_is_a_finding() -> None:
    lines = faithful(PLAN)
    index = at(lines, "align", 0)

    def padded(pad: int) -> Report:
        edit = with_counts("captions", pad=pad, text=-pad)
        return audit_lines(PLAN, [*lines[:index], edit(lines[index]), *lines[index + 1 :]])

    assert padded(22).ok  # 16 + 22 of 256 are 14.8 %
    report = padded(23)
    assert not report.ok
    assert differences(report) == {}
    assert [(f.rule, f.message) for f in report.findings] == [
        ("padding", "stage `align`: 15.2% of its tokens are padding, more than 15%")
    ]


def test_a_module_of_which_a_part_is_trained_counts_as_trained() -> None:
    whole = small_stage(train=("llm/head",))
    stage = replace(whole, lr={"llm/head": whole.lr["llm"]}, settings={})
    plan = replace(PLAN, stages=(stage,))
    lines = faithful(plan)
    assert [line.trained for line in lines] == [[]] + [["llm"]] * 7
    assert [line.trained_parts for line in lines] == [{}] + [{"llm": ["head"]}] * 7
    report = audit_lines(plan, lines)
    assert report.ok, report.findings


def test_with_the_data_every_count_is_made_anew() -> None:
    lines = faithful(PLAN)
    truth = {(line.stage, line.step): line for line in lines}

    def audited(edited: LedgerLine) -> Report:
        changed = [edited if (x.stage, x.step) == ("text", 4) else x for x in lines]
        return audit_lines(
            PLAN,
            changed,
            lambda stage, step: Recounted(
                {k: dict(v) for k, v in truth[stage.name, step].sources.items()},
                truth[stage.name, step].drawn_hash,
                truth[stage.name, step].batch_hash,
            ),
        )

    line = truth["text", 4]
    assert audited(line).ok
    report = audited(replace(line, drawn_hash="text/5"))
    assert differences(report) == {
        "text": ("step 4: other documents: drew text/5, the data give text/4",)
    }
    report = audited(with_counts("english", loss_tokens=-1)(line))
    assert differences(report) == {
        "text": ("step 4: loss_tokens of `english`: 44, the data give 45",)
    }
    (words,) = differences(audited(replace(line, batch_hash="ab")))["text"]
    assert words == "step 4: other arrays of these documents: ab, the data give arrays of te"


def begin(path: Path, plan: Plan, lines: list[LedgerLine], **manifest: object) -> None:
    with RunDir.open_new(path, write_lock(plan), {"sources": {}} | manifest) as run:
        for line in lines:
            run.append_ledger(line)


def test_a_run_directory_is_audited_against_its_own_lock(tmp_path: Path) -> None:
    plan = with_digests(PLAN)
    begin(tmp_path / "run", plan, faithful(plan), data=str(tmp_path / "gone"))
    report = audit(tmp_path / "run")
    assert report.ok, report.findings
    assert "the data folder is not here" in report.notes[0]
    written = json.loads(json.dumps(report.as_json()))
    assert written["ok"] is True
    assert written["stages"][0]["name"] == "text"
    assert written["stages"][0]["differences"] == []
    assert written["findings"] == []

    ledger = tmp_path / "run" / "ledger.jsonl"
    text = ledger.read_text()
    ledger.write_text(text.replace('"tokens": 48', '"tokens": 47', 1))
    report = audit(tmp_path / "run")
    assert not report.ok
    finding = report.as_json()["findings"][0]
    assert (finding["rule"], finding["file"], finding["line"]) == ("ledger-differs", str(ledger), 1)
    ledger.write_text(text[:-10])
    assert not audit(tmp_path / "run").complete
    ledger.write_text("no ledger\n")
    with pytest.raises(RunError, match="ledger.jsonl:1: no line of a ledger"):
        audit(tmp_path / "run")


def test_any_edited_number_of_a_line_is_found() -> None:
    """Every whole number of a step with images, one at a time, but for those the data must show."""
    lines = faithful(PLAN)
    index = at(lines, "align", 2)
    raw = json.loads(lines[index].to_json())
    counts = ("sequences", "tokens", "text", "image", "pad")
    edits: list[tuple[tuple[str, ...], int]] = [(("step",), 3), (("tokens",), 65)]
    edits += [(("seq_len",), 17)]
    edits += [
        (("sources", "captions", what), raw["sources"]["captions"][what] + 1) for what in counts
    ]
    for path, value in edits:
        changed = json.loads(lines[index].to_json())
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        edited = [*lines[:index], LedgerLine(**changed), *lines[index + 1 :]]
        assert not audit_lines(PLAN, edited).ok, path


def test_what_is_no_run_or_has_an_edited_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        audit(tmp_path)
    plan = with_digests(PLAN)
    begin(tmp_path / "run", plan, faithful(plan))
    lock = tmp_path / "run" / "lock.json"
    lock.write_text(lock.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(FindingsError, match="edited by hand"):
        audit(tmp_path / "run")
    lock.write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match="lock.json cannot be read"):
        audit(tmp_path / "run")


def prepare(data: Path, name: str, first_token: int) -> str:
    """Write a source of 60 short documents; return its fingerprint."""
    ids = Specials(pad=0, begin=1, end=2, image=3, image_end=4, image_position=5)
    about = About(name, "text", "CC0-1.0", "made up", "none", ids, 4, 2)
    documents = (
        Document((1, *range(first_token, first_token + 5 + number % 11), 2)) for number in range(60)
    )
    return write_source(data / name, about, documents).fingerprint


def test_a_run_is_audited_against_its_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    prints = {"code": prepare(data, "code", 20), "english": prepare(data, "english", 40)}
    plan = with_digests(replace(PLAN, stages=PLAN.stages[:1]))
    stage = plan.stages[0]
    reader = open_reader(plan, stage, open_data(plan, plan.stages, data))
    lines = []
    for line in faithful(plan):
        drawn = draw(reader, line.step, 3)
        counts = merge_counts(map(count_sources, drawn.micro_batches))
        arrays = batch_hash([to_torch(packed) for packed in drawn.micro_batches])
        lines.append(replace(line, sources=counts, drawn_hash=drawn.drawn_hash, batch_hash=arrays))
    begin(tmp_path / "run", plan, lines, data=str(data), sources=prints)
    report = audit(tmp_path / "run")
    assert report.ok, report.findings
    assert report.notes == ()

    other = with_counts("english", loss_tokens=1)(lines[3])
    begin(tmp_path / "edited", plan, [*lines[:3], other, *lines[4:]], data="x", sources=prints)
    assert audit(tmp_path / "edited").notes != ()
    report = audit(tmp_path / "edited", data)
    assert "loss_tokens of `english`" in differences(report)["text"][0]

    swapped = [replace(lines[3], drawn_hash=lines[4].drawn_hash)]
    begin(tmp_path / "other", plan, [*lines[:3], *swapped, *lines[4:]], sources=prints)
    assert "other documents" in differences(audit(tmp_path / "other", data))["text"][0]

    prepare(data, "english", 41)
    with pytest.raises(RunError, match="`english` is not what the run was trained on"):
        audit(tmp_path / "run")


def test_data_that_are_asked_for_and_not_there_are_an_error(tmp_path: Path) -> None:
    plan = with_digests(PLAN)
    begin(tmp_path / "run", plan, faithful(plan))
    with pytest.raises(RunError, match="no such data folder"):
        audit(tmp_path / "run", tmp_path / "nowhere")


def test_a_real_lock_of_another_rope_base_is_refused_by_its_stage(tmp_path: Path) -> None:
    plan = with_digests(PLAN)
    begin(tmp_path / "run", plan, faithful(plan))
    long = small_stage(
        "long",
        steps=3,
        batch_seqs=1,
        seq_len=64,
        init=PLAN.stages[3].init,
        train=PLAN.stages[3].train,
        rope_base=400_000,
        ratios={"english": Fraction(3, 4), "code": Fraction(1, 4)},
    )
    other = with_digests(replace(PLAN, stages=(*PLAN.stages[:3], long)))
    with pytest.raises(RunError, match="runs another plan: stage `long` has digest"):
        RunDir.open_existing(tmp_path / "run", write_lock(other), {"sources": {}})
    RunDir.open_existing(tmp_path / "run", write_lock(plan), {"sources": {}}).close()
