import io
from dataclasses import replace

from curriculum.train.console import Console, Progress, line

PROGRESS = Progress("text", 0, 40, 4096, 6.5, {"llm": 4e-4}, {"web": 1.0}, 8000.0, 75.0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_every_ten_seconds_and_at_both_ends() -> None:
    stream, now_s = io.StringIO(), 0.0
    console = Console(stream, every_s=10.0, clock=lambda: now_s)
    for step in range(40):
        now_s = step * 0.9
        console.show(replace(PROGRESS, step=step))
    lines = stream.getvalue().splitlines()
    assert [text.split()[1] for text in lines] == ["1/40", "13/40", "25/40", "37/40", "40/40"]


def test_brackets_of_a_user_are_printed_as_they_are() -> None:
    stream = io.StringIO()
    Console(stream).say("[red]sources[/red] [0]")
    assert stream.getvalue() == "[red]sources[/red] [0]\n"


def test_a_terminal_has_one_live_line() -> None:
    stream = Terminal()
    console = Console(stream)
    for step in range(3):
        console.show(replace(PROGRESS, step=step, mix={"[bold]": 1.0}))
    console.say("[red]a sentence[/red]")
    console.close()
    shown = stream.getvalue()
    assert "text 3/40" in shown
    assert "[bold] 100%" in shown
    assert "[red]a sentence[/red]" in shown
    console.close()


def test_sources_that_gave_nothing_are_left_out() -> None:
    assert "code" not in line(replace(PROGRESS, mix={"code": 0.0, "web": 1.0}))


def test_no_end_is_promised_where_none_is_known() -> None:
    assert "ETA" not in line(replace(PROGRESS, left_s=None))
