from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.errors import CurriculumError, Diagnostic, FindingsError
from curriculum.nodes import Map, shown, walk
from curriculum.source_map import read_bytes, read_file, read_text


def refusals(text: str | bytes) -> list[str]:
    with pytest.raises(FindingsError) as caught:
        read_bytes(text if isinstance(text, bytes) else text.encode(), "x.yaml")
    return [str(d) for d in caught.value.diagnostics]


def outcome(data: bytes) -> Map | tuple[Diagnostic, ...]:
    try:
        return read_bytes(data, "x.yaml")
    except FindingsError as error:
        return error.diagnostics


def test_every_key_and_value_has_its_place() -> None:
    root = read_text("plan: x\nstages:\n  text: {tokens: 5.2T, train: [llm, vit]}\n", "x.yaml")
    spans = {path: str(node.span) for path, node in walk(root) if path}
    assert spans == {
        "plan": "x.yaml:1:7",
        "stages": "x.yaml:3:3",
        "stages.text": "x.yaml:3:9",
        "stages.text.tokens": "x.yaml:3:18",
        "stages.text.train": "x.yaml:3:31",
        "stages.text.train[0]": "x.yaml:3:32",
        "stages.text.train[1]": "x.yaml:3:37",
    }
    text = root.get("stages")
    assert isinstance(text, Map)
    key = text.key("text")
    assert key is not None
    assert (key.span.column, key.span.end_column) == (3, 7)
    assert text.get("nothing") is None
    assert text.key("nothing") is None


def test_columns_count_characters() -> None:
    root = read_text('plan: "\u00e9\u00e8\U0001f600"  # \u00e9\n"\u00e9": {a: b}\n', "x.yaml")
    spans = {path: node.span for path, node in walk(root)}
    assert (spans["plan"].column, spans["plan"].end_column) == (7, 12)
    assert spans["\u00e9.a"].column == 10


def test_words_stay_words() -> None:
    root = read_text("a: 1_000\nb: yes\nc: '.45'\nd: null\ne: 2020-01-01\n", "x.yaml")
    assert [shown(value) for _, value in root.entries] == [
        "1_000",
        "yes",
        ".45",
        "null",
        "2020-01-01",
    ]


def test_tags_of_the_language_are_kept() -> None:
    root = read_text("a: !assumed 1\nb: !conflict [1, 2]\nc: !derived {d: 3}\ne: ! 4\n", "x.yaml")
    assert [value.tag for _, value in root.entries] == ["assumed", "conflict", "derived", None]
    assert shown(root) == "{a: 1, b: [1, 2], c: {d: 3}, e: 4}"
    (found,) = refusals("a: !asumed 1\n")
    assert "x.yaml:1:4: error[unknown-tag]: `!asumed` is not a tag of the language" in found
    assert "did you mean `assumed`?" in found
    assert "unknown-tag" in refusals("a: !!python/object:os.system {}\n")[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "x.yaml:1:1: error[empty-plan]"),
        ("# nothing\n", "error[empty-plan]"),
        ("a: [1\nb: 2\n", "x.yaml:1:4: error[yaml-syntax]: this `[` is not closed"),
        ("a: b: c\n", "x.yaml:1:5: error[yaml-syntax]"),
        ("a:\n\t- 1\n", "error[yaml-syntax]"),
        ("- a\n", "x.yaml:1:1: error[not-a-mapping]"),
        ("word\n", "error[not-a-mapping]"),
        (
            "a: 1\na: 2\n",
            "x.yaml:2:1: error[duplicate-key]: `a` stands twice here (first in line 1)",
        ),
        ("a: &x 1\n", "error[no-anchor]"),
        ("{a: 1, [b]: 2}\n", "error[plain-key]"),
        ("a: 1\n---\nb: 2\n", "error[one-document]"),
        ("a: " + "[" * 5000, "more than 64 levels deep"),
        ("a: " + "{b: " * 100 + "1" + "}" * 100, "more than 64 levels deep"),
        (b"a: \xff\n", "x.yaml:1:4: error[not-utf8]: not a text in UTF-8 (byte 0xff)"),
        (b"\x00\x01\x02", "error[yaml-syntax]"),
        (b"a: " + b"x" * (1 << 20), "a plan file may hold 1 MiB, this holds 1,048,579 bytes"),
    ],
)
def test_what_is_no_plan_is_refused_with_a_place(text: str | bytes, words: str) -> None:
    assert any(words in found for found in refusals(text))


def test_an_alias_bomb_is_refused_where_it_begins() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40))]
    found = refusals("\n".join(lines))
    assert "x.yaml:1:5: error[no-anchor]" in found[0]
    assert "x.yaml:2:10: error[no-alias]: aliases are not part of the language" in found[2]


def test_all_problems_of_a_text_are_found_in_one_run() -> None:
    assert len(refusals("a: !x 1\na: 2\nb: &y 3\nc: *y\n")) == 4


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CurriculumError, match="is a directory, not a plan file"):
        read_file(tmp_path)
    with pytest.raises(CurriculumError, match="no such file"):
        read_file(tmp_path / "nothing.yaml")
    with pytest.raises(CurriculumError, match="cannot be read"):
        read_file(tmp_path / "x\0.yaml")
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfplan: x\n")
    assert shown(read_file(tmp_path / "bom.yaml")) == "{plan: x}"


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    found = outcome(text.encode())
    assert isinstance(found, Map) or all(d.span and d.span.line >= 1 for d in found)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    assert outcome(data)
