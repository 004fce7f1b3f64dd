import json
from pathlib import Path
from typing import Any

from curriculum.train.summary import aligned, read_lines, screen, summarise

SOURCES = {"web": {"sequences": 2, "tokens": 32, "pad": 8, "loss_tokens": 20}}


def ledger_line(stage: str, step: int, loss: float) -> dict[str, Any]:
    return {
        "stage": stage,
        "step": step,
        "tokens": 32,
        "sources": SOURCES,
        "lr": {"llm": 1e-3 * step},
        "seq_len": 16,
        "trained": ["llm"] if step else [],
        "loss": {"next_token": loss},
    }


def write_run(run: Path) -> None:
    ledger = [ledger_line("text", step, 6.0 - step) for step in range(2)]
    metrics: list[dict[str, Any]] = [
        {"event": "step", "stage": "text", "step": step, "wall_s": 0.5} for step in range(2)
    ]
    metrics.append({"event": "checkpoint", "stage": "text", "step": 1, "wall_s": 1.0})
    metrics.append(
        {
            "event": "evaluation",
            "stage": "text",
            "step": 1,
            "text": {"loss": 4.0, "unigram_entropy": 5.5, "tokens": 900},
            "captions": {"right_image": 2.0, "other_image": 2.5, "pairs": 60},
            "samples": [{"truth": "a [red] ball", "written": "a ball " * 20}],
            "wall_s": 3.0,
        }
    )
    for name, lines in (("ledger", ledger), ("metrics", metrics)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (run / f"{name}.jsonl").write_text(text + '{"torn')


def summary_of(run: Path, verdict: dict[str, Any]) -> dict[str, Any]:
    machine = {"device": "cpu", "threads": "2 threads"}
    return summarise(run, {"plan": "small", "digest": "ab" * 32}, machine, verdict)


def test_sums_come_from_the_ledger_and_times_from_the_metrics(tmp_path: Path) -> None:
    write_run(tmp_path)
    found = summary_of(tmp_path, {"ok": True, "complete": True, "findings": []})
    (text,) = found["stages"]
    assert (text["steps"], text["tokens"], text["padding"]) == (2, 64, 0.25)
    assert (text["wall_s"], text["tokens_per_s"]) == (2.0, 32.0)
    assert text["sources"]["web"]["loss_tokens"] == 40
    assert text["loss"] == {"next_token": 5.5}
    assert text["trained"] == ["llm"]
    assert found["evaluations"][0]["captions"]["pairs"] == 60
    assert json.loads(json.dumps(found)) == found


def test_one_screen_of_a_hundred_columns(tmp_path: Path) -> None:
    write_run(tmp_path)
    shown = screen(summary_of(tmp_path, {"ok": True, "complete": True, "findings": []}))
    assert max(map(len, shown.splitlines())) <= 100
    assert "text: text 4.000, 1.500 under unigram 5.500; captions 2.000, 0.500 under" in shown
    assert "a [red] ball" in shown
    assert shown.endswith("audit: ok, what ran is what was planned")


def test_a_failed_audit_says_why(tmp_path: Path) -> None:
    write_run(tmp_path)
    findings = [{"message": f"difference {number}"} for number in range(7)]
    shown = screen(summary_of(tmp_path, {"ok": False, "complete": False, "findings": findings}))
    assert "audit: not ok (the run is not finished)" in shown
    assert "difference 4" in shown
    assert "difference 5" not in shown
    assert shown.endswith("and 2 more: curriculum audit DIR")


def test_a_file_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert list(read_lines(tmp_path / "none.jsonl")) == []


def test_columns_are_as_wide_as_their_widest() -> None:
    assert aligned([("a", "bb"), ("ccc", "d")], left=(0,)) == ["a    bb", "ccc   d"]
