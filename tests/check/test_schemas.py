"""What the reports write is valid by the schemas of those who read it (tests/schemas/README.md)"""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import xmlschema
from hypothesis import given
from hypothesis import strategies as st

from curriculum.allowances import Silenced
from curriculum.check.checked import Checked
from curriculum.check.explained import explanations
from curriculum.check.report import report
from curriculum.errors import Diagnostic, Fix, Related, Severity, Span

SCHEMAS = Path(__file__).parents[1] / "schemas"
SARIF = jsonschema.Draft4Validator(json.loads((SCHEMAS / "sarif-2.1.0-rtm.5.json").read_text()))
JUNIT = xmlschema.XMLSchema10(str(SCHEMAS / "junit-10.xsd"))

TEXT = st.text(max_size=12)
SPANS = st.builds(
    lambda file, line, column, more: Span(file, line, column, line + more, column + 1),
    st.one_of(st.just("plans/x.yaml"), st.just("/tmp/x.yaml"), st.just("--set a=b"), TEXT),
    st.integers(1, 99),
    st.integers(1, 99),
    st.integers(0, 1),
)
FINDINGS = st.builds(
    Diagnostic,
    st.sampled_from(sorted(explanations())),
    TEXT,
    st.none() | SPANS,
    st.none() | TEXT,
    st.sampled_from(list(Severity)),
    st.lists(st.builds(Related, TEXT, SPANS), max_size=2).map(tuple),
    st.none() | st.builds(Fix, SPANS, TEXT),
)
CHECKED = st.builds(
    Checked,
    TEXT,
    st.lists(FINDINGS, max_size=3).map(tuple),
    st.none() | TEXT.filter(bool),
    st.lists(st.builds(Silenced, FINDINGS, TEXT), max_size=2).map(tuple),
)


@given(st.lists(CHECKED, max_size=2))
def test_sarif_is_valid(checked: list[Checked]) -> None:
    SARIF.validate(json.loads(report(checked, "sarif")))


@given(st.lists(CHECKED, max_size=2))
def test_junit_is_valid(checked: list[Checked]) -> None:
    JUNIT.validate(report(checked, "junit"))


def test_the_schemas_refuse_what_is_not_valid() -> None:
    checked = [Checked("a", (Diagnostic("claims-hold", "m", Span("a", 1, 1, 1, 2)),))]
    document: dict[str, Any] = json.loads(report(checked, "sarif"))
    result = document["runs"][0]["results"][0]
    for change in ({"level": "info"}, {"line": 1}, {"message": "text"}):
        document["runs"][0]["results"] = [{**result, **change}]
        with pytest.raises(jsonschema.ValidationError):
            SARIF.validate(document)
    text = report(checked, "junit")
    for wrong in (text.replace(' type="', ' kind="'), text.replace(' tests="1"', "")):
        assert wrong != text
        with pytest.raises(xmlschema.XMLSchemaValidationError):
            JUNIT.validate(wrong)


@pytest.mark.parametrize("code", sorted(explanations()))
def test_every_rule_has_what_code_scanning_shows(code: str) -> None:
    """GitHub asks for these: docs.github.com, "SARIF support for code scanning", the table of
    `reportingDescriptor`; descriptions have up to 1,024 characters."""
    found = [Checked("a", (Diagnostic(code, "m"),))]
    (rule,) = json.loads(report(found, "sarif"))["runs"][0]["tool"]["driver"]["rules"]
    assert rule["id"] == code
    for name in ("shortDescription", "fullDescription"):
        assert 0 < len(rule[name]["text"]) <= 1024
    assert rule["help"]["text"].endswith(f"More: curriculum explain {code}")
    assert rule.get("defaultConfiguration", {"level": "error"})["level"] in (
        "error",
        "warning",
        "note",
    )
