from fractions import Fraction

import pytest

from curriculum.lock import read_lock, write_lock
from small import BASE, compiled, plan_of
from strategies import Tree

GROUPED: Tree = {
    **BASE,
    "mixture": {
        "new": {"ratio": ".4", "tags": ["fresh", "best"], "of": {"a": ".5", "b": ".5"}},
        "b": {"ratio": "rest", "tags": "plain"},
    },
}
SOURCES: Tree = {
    "a": {"modality": "text", "tokens": "3M", "tags": ["web", "en"]},
    "b": {"modality": "text", "tokens": "1M"},
    "c": {"modality": "image-text", "tokens": "unknown"},
}


def test_sources_and_groups_take_tags_whose_order_means_nothing() -> None:
    plan = plan_of({"base": GROUPED}, sources=SOURCES)
    assert plan.sources["a"].tags == ("en", "web")
    assert plan.sources["b"].tags == ()
    tags = {node.name: node.tags for node in plan.stage("base").mixture.roots}
    assert tags == {"new": ("best", "fresh"), "b": ("plain",)}


def test_tags_change_no_digest_and_stand_in_the_lock_only_where_there_are_any() -> None:
    plain = {
        **BASE,
        "mixture": {"new": {"ratio": ".4", "of": {"a": ".5", "b": ".5"}}, "b": "rest"},
    }
    tagged, bare = plan_of({"base": GROUPED}, sources=SOURCES), plan_of({"base": plain})
    assert tagged.digest == bare.digest
    text = write_lock(tagged)
    assert read_lock(text, "x.lock.json") == tagged
    assert text.count('"tags"') == 3
    assert '"tags"' not in write_lock(bare)


@pytest.mark.parametrize(
    ("replay", "tags"),
    [
        ("base", ("best", "fresh")),
        ("base/new", ("best", "fresh")),
        ("base/new/a", ("best", "fresh")),
    ],
)
def test_a_replay_takes_the_tags_along(replay: str, tags: tuple[str, ...]) -> None:
    after: Tree = {
        "init": "base",
        "keep": "base",
        "carry": "all",
        "tokens": 6400,
        "mixture": {"old": {"ratio": "1", "of": {"replay": replay}}},
    }
    plan = plan_of({"base": GROUPED, "after": after}, sources=SOURCES)
    (old,) = plan.stage("after").mixture.roots
    found = {node.tags for node in old.children if node.name != "b" or "/" in replay}
    assert found == {tags}
    assert sum(Fraction(n.ratio.exact(0, 0)) for n in old.children if n.ratio) == 1


def test_a_tag_is_a_name() -> None:
    sources = {**SOURCES, "b": {"modality": "text", "tags": ["Two Words"]}}
    found = compiled({"base": BASE}, sources=sources)
    assert [(f.rule, f.message, f.help) for f in found.errors] == [
        (
            "wrong-name",
            "`Two Words` is not a tag",
            "tags are names: small letters, digits, `-` and `_`",
        )
    ]
