from curriculum.errors import did_you_mean


def test_what_may_have_been_meant() -> None:
    assert did_you_mean("shap", ("shape", "from")) == "did you mean `shape`?"
    assert did_you_mean("x", []) is None
    many = [f"name{i:02}" for i in range(20)]
    assert (did_you_mean("qqq", many) or "").endswith("name11 and 8 more")
