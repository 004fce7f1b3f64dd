import json
from xml.etree import ElementTree

from curriculum.allowances import Silenced
from curriculum.check.checked import Checked, all_findings
from curriculum.check.report import report
from curriculum.errors import Diagnostic, Related, Severity, Span
from curriculum.plan import Provenance

SPAN = Span("plans/a b.yaml", 9, 5, 9, 12)
ERROR = Diagnostic(
    "siblings-sum", "the sum is <1.02> & 100%", SPAN, "make it 1", related=(Related("here", SPAN),)
)
WARNING = Diagnostic("every-source-is-drawn", "w", SPAN, None, Severity.WARNING)
INFO = Diagnostic("first-steps-learn", "a -- b", None, None, Severity.INFO)
CHECKED = (
    Checked("plans/a b.yaml", (ERROR, WARNING, INFO)),
    Checked("good.yaml"),
    Checked("gone.yaml", failure="gone.yaml: no such file"),
)


def test_text_ends_with_the_counts() -> None:
    text = report(CHECKED, "text")
    assert text.startswith("plans/a b.yaml:9:5: error[siblings-sum]: the sum is <1.02> & 100%\n")
    assert text.endswith("2 files checked: 1 error, 1 warning, 1 info\n")
    assert report(CHECKED[1:2], "text") == "1 file checked: no findings\n"


def test_json_is_one_document_with_the_fields_of_the_contract() -> None:
    document = json.loads(report(CHECKED, "json"))
    assert set(document) == {"format", "files", "findings", "allowed", "fixed", "unknown"}
    assert document["format"] == 1
    assert document["files"] == ["plans/a b.yaml", "good.yaml", "gone.yaml"]
    assert [f["rule"] for f in document["findings"]] == [
        "siblings-sum",
        "every-source-is-drawn",
        "first-steps-learn",
        "cannot",
    ]
    assert document["findings"][-1]["file"] == "gone.yaml"
    assert document["findings"][-1]["line"] is None


def test_what_a_plan_allows_is_counted_and_listed_with_its_reason() -> None:
    checked = (Checked("a.yaml", (ERROR,), silenced=(Silenced(WARNING, "as published"),)),)
    assert report(checked, "text").endswith("1 file checked: 1 error, 1 allowed\n")
    assert report(checked, "github").endswith("\n1 error, 1 allowed\n")
    (allowed,) = json.loads(report(checked, "json"))["allowed"]
    assert (allowed["rule"], allowed["line"]) == ("every-source-is-drawn", 9)
    assert allowed["reason"] == "as published"
    first, second = json.loads(report(checked, "sarif"))["runs"][0]["results"]
    assert "suppressions" not in first
    assert second["suppressions"] == [{"kind": "inSource", "justification": "as published"}]


def test_values_that_nobody_knows_are_counted_once_a_place_and_are_no_findings() -> None:
    size = Provenance("unknown", "sources.long.tokens", "unknown", SPAN)
    shape = Provenance("unknown", "modules.llm.params", "unknown", None)
    one = Checked("a.yaml", unknown=(size, shape))
    both = (one, Checked("b.yaml", (ERROR,), unknown=(size,)))  # which extends the first
    assert report((one,), "text") == "1 file checked: no findings; 2 values unknown\n"
    assert report(both[1:], "text").endswith("1 file checked: 1 error; 1 value unknown\n")
    assert report(both, "text").endswith("2 files checked: 1 error; 2 values unknown\n")
    assert report(both, "github").endswith("\n1 error; 2 values unknown\n")
    assert json.loads(report(both, "json"))["unknown"] == 2
    assert json.loads(report(CHECKED, "json"))["unknown"] == 0


def test_sarif_names_rules_levels_and_places() -> None:
    document = json.loads(report(CHECKED, "sarif"))
    assert document["version"] == "2.1.0"
    run = document["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [r["id"] for r in rules] == sorted(r["id"] for r in rules)
    assert [r["level"] for r in run["results"]] == ["error", "warning", "note"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "plans/a%20b.yaml"
    assert place["region"] == {"startLine": 9, "startColumn": 5, "endLine": 9, "endColumn": 12}
    assert run["results"][0]["relatedLocations"][0]["message"]["text"] == "here"
    assert "locations" not in run["results"][2]
    assert run["invocations"][0]["executionSuccessful"] is False
    described = next(r for r in rules if r["id"] == "every-source-is-drawn")
    assert described["shortDescription"]["text"].startswith("A source with a ratio above 0")


def test_junit_is_xml_with_a_case_for_each_finding() -> None:
    suites = ElementTree.fromstring(report(CHECKED, "junit"))
    counts = [(s.get("tests"), s.get("failures"), s.get("errors")) for s in suites]
    assert counts == [("2", "2", "0"), ("1", "0", "0"), ("1", "0", "1")]
    for suite in suites:
        assert len(suite.findall("testcase")) == int(suite.get("tests") or 0)
    failure = suites.find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.get("message") == "the sum is <1.02> & 100%"
    assert failure.get("type") == "error"
    assert (suites.get("tests"), suites.get("failures"), suites.get("errors")) == ("4", "2", "1")
    assert suites.findtext("testsuite/system-out") == "info[first-steps-learn]: a -- b"


def test_what_two_plans_share_is_told_once() -> None:
    both = [Checked("a.yaml", (ERROR,)), Checked("b.yaml", (ERROR, WARNING))]
    assert all_findings(both) == [ERROR, WARNING]


def test_odd_characters_break_no_format() -> None:
    odd = Diagnostic("r", "\x00\x1b]0;x\ud800\uffff", Span("a\udcff.yaml", 1, 1, 1, 2))
    checked = [Checked("a\udcff.yaml", (odd,))]
    json.loads(report(checked, "json"))
    json.loads(report(checked, "sarif"))
    ElementTree.fromstring(report(checked, "junit").encode())
    report(checked, "text").encode()
    report(checked, "github").encode()


def test_the_errors_of_all_files_come_before_the_warnings_of_any() -> None:
    checked = (Checked("a", (WARNING, INFO)), Checked("b", (ERROR,)))
    assert all_findings(checked) == [ERROR, WARNING, INFO]
