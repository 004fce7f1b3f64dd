from random import Random

from hypothesis import given
from hypothesis import strategies as st

from curriculum.graph import ancestors_of, sorted_stages

Parents = dict[str, list[str]]


@st.composite
def graphs(draw: st.DrawFn) -> Parents:
    """Draw any graph of up to eight stages, cycles and missing parents included."""
    names = "abcdefgh"[: draw(st.integers(0, 8))]
    others = st.lists(st.sampled_from(names + "z" if names else "z"), max_size=3)
    return {name: draw(others) for name in names}


@given(graphs())
def test_every_stage_follows_its_parents_or_has_no_place(parents: Parents) -> None:
    order, cyclic = sorted_stages(parents)
    assert sorted([*order, *cyclic]) == sorted(parents)
    for index, name in enumerate(order):
        assert all(p in order[:index] for p in parents[name] if p in parents)
    for name in cyclic:  # each leads back, in the end, to a stage on a cycle
        assert any(p in cyclic for p in parents[name])


@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_keys(parents: Parents, random: Random) -> None:
    names = list(parents)
    random.shuffle(names)
    assert sorted_stages({n: parents[n] for n in names}) == sorted_stages(parents)


@given(graphs(), st.data())
def test_ancestors_are_all_that_parents_reach(parents: Parents, data: st.DataObject) -> None:
    if not parents:
        return
    name = data.draw(st.sampled_from(sorted(parents)))
    found = ancestors_of(name, parents)
    assert found >= set(parents[name])
    for one in found:
        assert set(parents.get(one, [])) <= found
        assert one in parents[name] or any(one in parents.get(other, []) for other in found)


def test_the_graph_of_the_figure() -> None:
    parents = {
        "long": ["cooldown"], "cooldown": ["joint"], "joint": ["text", "align"],
        "align": ["coca", "text"], "coca": ["siglip"], "text": [], "siglip": [],
    }  # fmt: skip
    order, cyclic = sorted_stages(parents)
    assert order == ["siglip", "text", "coca", "align", "joint", "cooldown", "long"]
    assert cyclic == []
    assert ancestors_of("joint", parents) == {"text", "align", "coca", "siglip"}
    assert ancestors_of("text", parents) == set()
