from __future__ import annotations

import io
import sys

import pytest

from qcface_sdk.cli.progress import Progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_line_counts_and_estimates() -> None:
    bar = Progress(4, "pictures")
    bar.advance()
    assert bar.line(2.0) == "[#######.....................] 1/4 pictures, 6 s left"


def test_progress_line_at_the_start_estimates_nothing() -> None:
    assert Progress(4, "pictures").line(0.0) == f"[{'.' * 28}] 0/4 pictures"


def test_progress_without_a_known_end_counts() -> None:
    bar = Progress(None, "people")
    bar.advance(1500)
    assert bar.line(3.2) == "1500 people, 3 s"


def test_progress_beyond_its_end_stays_in_its_frame() -> None:
    bar = Progress(2, "MB")
    bar.advance(3)
    assert bar.line(1.0) == f"[{'#' * 28}] 3/2 MB, 0 s left"


def test_progress_writes_nothing_unless_a_person_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(3, "pictures") as bar:
        bar.advance(3)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_progress_on_a_terminal_is_drawn_and_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := _Terminal())
    with Progress(2, "frames") as bar:
        bar.advance(2)
    assert "2/2 frames" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_progress_beside_printed_lines_on_one_terminal_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := _Terminal())
    monkeypatch.setattr(sys, "stdout", _Terminal())
    with Progress(2, "pictures", beside_output=True) as bar:
        bar.advance(2)
    assert terminal.getvalue() == ""


def test_progress_of_one_step_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := _Terminal())
    with Progress(1, "pictures") as bar:
        bar.advance()
    assert terminal.getvalue() == ""
