import json

import pytest

from curriculum.errors import RunError
from curriculum.train.same_run import data_difference, lock_difference


def lock(plan: str, **stages: str) -> str:
    listed = [{"name": name, "digest": digest} for name, digest in stages.items()]
    return json.dumps({"digest": plan, "stages": listed})


def test_locks_are_the_same_where_their_digests_are() -> None:
    assert lock_difference("whatever", "whatever") is None
    assert lock_difference(lock("p", text="a"), lock("p", text="a") + "\n") is None


def test_the_first_stage_that_differs_is_named() -> None:
    began = lock("p", text="a", joint="b", long="c")
    named = lock_difference(began, lock("q", text="a", joint="x", long="y"))
    assert named == "stage `joint` has digest b, the lock given x"
    assert lock_difference(began, lock("q", text="a", long="c")) == (
        "stage `joint` is not in the lock that was given"
    )
    assert lock_difference(lock("p", text="a"), lock("q", text="a", sft="d")) == (
        "the lock given has a stage `sft` more"
    )
    assert lock_difference(lock("p", text="a"), lock("q", text="a")) == (
        "the digests of the plans differ, though those of all stages are equal"
    )


@pytest.mark.parametrize("text", ["", "[]", '{"stages": 3}', '{"stages": [{}], "digest": ""}'])
def test_what_is_no_lock_is_refused(text: str) -> None:
    with pytest.raises(RunError, match="a lock is damaged"):
        lock_difference(lock("p", text="a"), text)


def test_data_are_compared_by_fingerprint_and_nothing_else_of_a_manifest() -> None:
    began = {"sources": {"code": "a", "web": "b"}, "device": "cpu"}
    assert data_difference(began, {"sources": {"web": "b", "code": "a"}, "device": "cuda"}) is None
    assert data_difference(began, {"sources": {"code": "a", "web": "c"}}) == (
        "source `web` has fingerprint c, it had b"
    )
    assert data_difference(began, {}) == "source `code` is missing"
    assert data_difference({}, began) == "source `code` is new"
