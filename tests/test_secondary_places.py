"""Errors through `extends` and `--set`: the place that said a value, and others they speak of"""

from pathlib import Path

import pytest

from curriculum.compile import compile_file, compile_text
from curriculum.errors import Diagnostic
from curriculum.findings import finding_json, text_of
from small_plan import SMALL, small


def place(finding: Diagnostic) -> str:
    assert finding.span is not None
    return f"{Path(finding.span.file).name}:{finding.span.line}:{finding.span.column}"


def told(folder: Path, overlay: str, *settings: str) -> list[str]:
    """Return the errors of an overlay over the small plan: places, words, and other places."""
    (folder / "base.yaml").write_text(SMALL)
    (folder / "over.yaml").write_text(f"plan: over\nextends: base.yaml\n{overlay}\n")
    found = compile_file(folder / "over.yaml", settings).errors
    return [
        "; ".join(
            [
                f"{place(finding)} {finding.message}",
                *(
                    f"{Path(r.span.file).name}:{r.span.line}:{r.span.column} {r.message}"
                    for r in finding.related
                ),
            ]
        )
        for finding in found
    ]


OVERLAYS = [
    (
        "stages.first.mixture.web: .8",
        "over.yaml:3:27 the shares of the mixture sum to 1.05 (code 0.25, web 0.8); "
        "base.yaml:26:14 the mixture",
    ),
    (
        "stages.first.mixture.web: .8\nstages.first.mixture.code: .1",
        "over.yaml:3:27 the shares of the mixture sum to 0.9 (code 0.1, web 0.8); "
        "base.yaml:26:14 the mixture; over.yaml:4:28 and this ratio",
    ),
    (
        "stages.second.init: first@2M",
        "over.yaml:3:21 `2M` lies past the end of stage `first` (1M tokens, 489 steps); "
        "base.yaml:17:13 its budget",
    ),
    (
        "scale: {tokens: 1/100_000}",
        "base.yaml:17:13 stage `first` asks for 10 tokens, less than one step of 2.05K tokens; "
        "base.yaml:23:12 the batch; over.yaml:3:8 through this scale `1M` is 10",
    ),
    (
        "scale: {tokens: 1/1000, seqs: 1/3}",
        "base.yaml:23:19 16/3 sequences in a step are not a whole number; over.yaml:3:8 the scale",
    ),
    (
        "scale: {seqs: 1e300}",
        "base.yaml:23:19 1.60e301 sequences in a step are more than a plan can count (below 1e18); "
        "over.yaml:3:8 through this scale `16` is 1.60e301",
    ),
    (
        "scale: {tokens: 1e300}",
        "base.yaml:17:13 stage `first` asks for 1.00e306 tokens, more than a plan can count "
        "(below 1e18)",
    ),
    (
        "stages.second.seq_len: 1e17\nstages.second.batch: {seqs: keep}",
        "over.yaml:4:22 16 sequences of 100,000,000,000,000,000 are 1.60e18 tokens a step, more "
        "than a plan can count (below 1e18)",
    ),
    ("sources.web.tokens: 10MM", "over.yaml:3:21 `10MM` is not an amount"),
    ("stages.frist.tokens: 3M", "over.yaml:3:1 there is no stage `frist`"),
    ("sources.web: null", "base.yaml:26:15 there is no source `web`"),
]


@pytest.mark.parametrize(("overlay", "expected"), OVERLAYS)
def test_an_overlay_s_mistake_is_told_where_it_was_said(
    tmp_path: Path, overlay: str, expected: str
) -> None:
    assert told(tmp_path, overlay)[0] == expected


def test_a_setting_s_mistake_is_told_in_the_setting(tmp_path: Path) -> None:
    setting = "stages.first.mixture.web=.8"
    assert told(tmp_path, "", setting) == [
        f"--set {setting}:1:26 the shares of the mixture sum to 1.05 (code 0.25, web 0.8); "
        "base.yaml:26:14 the mixture"
    ]


def test_a_setting_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    found = told(tmp_path, "stages.first.paking: x", "seed=[", "stages.first.lr=mian", "plan=&a b")
    assert [one.partition(" ")[2].partition(":1:")[2][:30] for one in found[:3]] == [
        "6 anchors are not part of the ",
        "6 this `[` is not closed",
        "17 there is no schedule `mian`",
    ]
    assert found[3] == "over.yaml:3:1 stage `first` has no key `paking`"


def test_a_name_in_the_plan_below_is_no_matter_of_the_scale(tmp_path: Path) -> None:
    text = "scale: {tokens: 1/2}\nstages.first.lr: mian\nsources.code.modality: txt"
    assert told(tmp_path, text) == [
        "over.yaml:4:18 there is no schedule `mian`",
        "over.yaml:5:24 `txt` is not one of the words for this",
    ]


TWENTY = [
    ("seed: 1", "seed: x", "2:7 wrong-value"),
    ("moonlight-proxy", "moonlight-proxi", "4:17 module-shape"),
    ("weight_decay: .1", "weight_decay: .1, beta1: 1.5", "6:48 wrong-value"),
    ("modality: text", "modality: txt", "8:19 wrong-value"),
    ("  code: {modality: text, tokens: 10M}", "  code: {modality: text, tokens: 10MM}",
     "9:34 wrong-value"),
    ("cosine", "cosin", "13:15 wrong-value"),
    ("train: [llm]", "train: [lm]", "18:13 unknown-module"),
    ("optimizer: adam", "optimizer: adm", "19:16 unknown-optimizer"),
    ("next_token: 1", "next_tokn: 1", "20:12 wrong-value"),
    ("lr: main", "lr: man", "21:9 unknown-schedule"),
    ("seq_len: 128", "seq_len: 8K", "22:14 wrong-value"),
    ("packing", "paking", "24:5 unknown-key"),
    ("base: 10_000}", "base: 10,000}", "25:24 wrong-value"),
    ("code: .25", "code: .25, books: .1", "26:14 siblings-sum"),
    ("books: .1", "books: .1", "26:36 unknown-source"),
    ("init: first", "init: frist", "28:11 missing-parent"),
    ("carry: all", "carry: [lm]", "30:13 unknown-module"),
    ("tokens: 500K", "tokens: !guessed 500K", "31:13 unknown-tag"),
    ("rope.llm.base", "rope.llm.bas", "34:5 dotted-key"),
    ("rope.llm.bas: 10_000\n", "rope.llm.bas: 10_000\nrequire: [mix.web <=]\n",
     "35:21 claim-syntax"),
]  # fmt: skip


def test_twenty_mistakes_are_told_in_one_go() -> None:
    found = compile_text(small(*((old, new) for old, new, _ in TWENTY))).findings
    said = [f"{f.span.line}:{f.span.column} {f.rule}" for f in found if f.span]
    assert sorted(said) == sorted(expected for _, _, expected in TWENTY)
    nameless = {"wrong-value", "siblings-sum", "claim-syntax", "unknown-source"}
    assert all("did you mean `" in (f.help or "") for f in found if f.rule == "unknown-module")
    assert all(f.help for f in found if f.rule not in nameless)
    assert text_of(found).count("error[") == len(TWENTY)


def test_what_follows_from_a_key_that_stands_twice_is_not_told_beside_it() -> None:
    found = compile_text(small(("{web: .75, code: .25}", "{web: .75, web: .25}"))).findings
    assert [f.rule for f in found] == ["duplicate-key"]
    both = compile_text(
        small(("{web: .75, code: .25}", "{web: .75, web: .25}"), ("lr: main", "lr: mian"))
    ).findings
    assert [f.rule for f in both] == ["unknown-schedule", "duplicate-key"]


def test_the_children_of_a_refused_stage_name_what_there_is() -> None:
    broken = ("seq_len: 128", "seq_len: 8K")
    for old, new, expected in (
        ("carry: all", "carry: all\n    train: [vit]", "there is no module `vit`"),
        ("carry: all", "carry: [lm]", "there is no module `lm`"),
        ("keep: first", "keep: fist", "there is no stage `fist` to keep"),
        ("rope.llm.base", "rope.llm.bas", "`rope.llm.bas` reaches nothing that is kept"),
    ):
        found = [f.message for f in compile_text(small(broken, (old, new))).findings]
        assert sorted(found) == sorted(["`8K` is 8000", expected])


def test_other_places_stand_in_json_too(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(SMALL)
    over = tmp_path / "over.yaml"
    over.write_text("plan: over\nextends: base.yaml\nstages.first.mixture.web: .8\n")
    (finding,) = compile_file(over).errors
    (related,) = finding_json(finding)["related"]
    assert related == {
        "message": "the mixture", "file": str(tmp_path / "base.yaml"),
        "line": 26, "column": 14, "end_line": 26, "end_column": 35,
    }  # fmt: skip
