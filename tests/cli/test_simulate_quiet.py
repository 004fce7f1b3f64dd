"""`simulate` tells what is wrong, and leaves what is only worth knowing to `plan` and `check`"""

import json
from pathlib import Path

import pytest

from curriculum.cli.main import run

PLAN = str(Path(__file__).parents[2] / "plans" / "smollm3-3b.yaml")


def test_infos_are_told_by_plan_and_not_again_by_simulate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["plan", PLAN]) == 0
    assert "info[normalized]" in capsys.readouterr().err
    assert run(["simulate", PLAN]) == 0
    assert capsys.readouterr().err == ""
    assert run(["simulate", PLAN, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["findings"]
    assert "normalized" in [finding["rule"] for finding in found]
