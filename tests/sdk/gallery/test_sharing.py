"""Crashes, processes and threads."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from qcface_sdk.gallery import Gallery
from qcface_sdk.results import Outcome

ENROLLING = """
import sys
path, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with Gallery.open(path, timeout=30) as gallery:
    for number in range(first, first + count):
        print(gallery.enroll(f"p{number}", person(number)).subject, flush=True)
    sys.stdin.readline()  # stay open: whoever is to be killed is not to close in peace before
"""


def check_whole(path: object) -> None:
    with sqlite3.connect(str(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_enroll_killed_in_the_middle_loses_nothing_acknowledged(path, child, person):
    acknowledged: list[str] = []
    for life in range(3):
        process = child(ENROLLING, path, 1000 * life, 100)
        acknowledged += [process.stdout.readline().strip() for _ in range(30 + 7 * life)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.read().split()
        assert process.wait() == -signal.SIGKILL
    assert len(acknowledged) >= 50
    with Gallery.open(path) as gallery:
        held = set(gallery.subjects())
        assert held >= set(acknowledged)
        # At most the one enrolment under way at each kill was done and not yet acknowledged.
        assert len(held) <= len(acknowledged) + 3
        for name in acknowledged:
            assert gallery.identify(person(int(name[1:])), threshold=0.99).subject == name
    check_whole(path)


def test_remove_killed_in_the_middle_brings_nobody_back(path, child, person):
    with Gallery.open(path) as gallery:
        for number in range(60):
            gallery.enroll(f"p{number}", person(number))
    process = child(
        """
import sys
with Gallery.open(sys.argv[1]) as gallery:
    for number in range(60):
        gallery.remove(f"p{number}")
        print(f"p{number}", flush=True)
""",
        path,
    )
    removed = [process.stdout.readline().strip() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    removed += process.stdout.read().split()
    with Gallery.open(path) as gallery:
        held = set(gallery.subjects())
        assert not held & set(removed)
        assert len(held) >= 60 - len(removed) - 1
    check_whole(path)


def test_two_processes_writing_at_once_lose_nothing(path, child, person):
    """Both also create the file, at about the same time."""
    writers = [child(ENROLLING, path, first, 40) for first in (0, 1000)]
    outputs = [writer.communicate()[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert outputs == [[f"p{n}" for n in range(40)], [f"p{n}" for n in range(1000, 1040)]]
    with Gallery.open(path) as gallery:
        assert set(gallery.subjects()) == {*outputs[0], *outputs[1]}
        for number in (*range(40), *range(1000, 1040)):
            assert gallery.identify(person(number), threshold=0.99).subject == f"p{number}"
    check_whole(path)


def test_change_by_another_process_shows_at_the_next_search(path, gallery, child, person):
    process = child(
        """
import sys
with Gallery.open(sys.argv[1]) as gallery:
    for line in sys.stdin:
        verb, number = line.split()
        gallery.enroll(f"p{number}", person(int(number))) if verb == "enroll" else gallery.remove(f"p{number}")
        print("done", flush=True)
""",
        path,
    )

    def tell(command: str) -> None:
        process.stdin.write(command + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"

    for number in range(100, 115):
        assert gallery.identify(person(number), threshold=0.9).subject is None
        tell(f"enroll {number}")
        assert gallery.identify(person(number), threshold=0.9).subject == f"p{number}"
        if number % 2:
            tell(f"remove {number}")
            assert gallery.identify(person(number), threshold=0.9).subject is None
            gallery.enroll(f"p{number}", person(number + 1000))
            assert gallery.identify(person(number + 1000), threshold=0.9).subject == f"p{number}"
    assert len(gallery) == 25


def run_together(work: Callable[[int], None], count: int = 8) -> None:
    start = threading.Barrier(count)

    def started(number: int) -> None:
        start.wait()
        work(number)

    with ThreadPoolExecutor(count) as pool:
        for finished in [pool.submit(started, number) for number in range(count)]:
            finished.result()


def test_gallery_eight_threads_on_one_object_agree(path, person):
    with Gallery.open(path, timeout=30) as gallery:

        def work(thread: int) -> None:
            for step in range(8):
                number = 100 * thread + step
                gallery.enroll(f"p{number}", person(number))
                assert gallery.identify(person(number), threshold=0.99).subject == f"p{number}"
                if step % 2:
                    assert gallery.remove(f"p{number}").templates == 1
                    assert gallery.identify(person(number), threshold=0.99).decision is Outcome.REJECT

        run_together(work)
        kept = sorted(f"p{100 * thread + step}" for thread in range(8) for step in range(0, 8, 2))
        assert gallery.subjects() == tuple(kept)
    check_whole(path)


def test_gallery_eight_threads_with_one_object_each_agree(path, person):
    """All of them open, and so create, the gallery at the same moment."""

    def work(thread: int) -> None:
        with Gallery.open(path, timeout=30) as gallery:
            for step in range(5):
                number = 100 * thread + step
                gallery.enroll(f"p{number}", person(number))
                assert gallery.identify(person(number), threshold=0.99).subject == f"p{number}"

    run_together(work)
    with Gallery.open(path) as gallery:
        assert len(gallery) == 40
    check_whole(path)


def test_open_eight_threads_at_once_create_one_gallery(tmp_path):
    for attempt in range(5):

        def work(thread: int, path: Path = tmp_path / str(attempt)) -> None:
            with Gallery.open(path, contract="qc1-same", timeout=30) as gallery:
                assert gallery.contract == "qc1-same"

        run_together(work)


def test_identify_while_others_enrol_and_remove_is_never_wrong(path, gallery, person):
    """A search sees a row as it was or not at all; p0 to p9 stay enrolled throughout."""
    done = threading.Event()

    def work(thread: int) -> None:
        if thread == 0:
            try:
                for number in range(100, 112):
                    gallery.enroll("guest", person(number))
                    gallery.remove("guest")
            finally:
                done.set()
            return
        probes = [person(number) for number in range(10)]
        while not done.is_set():
            found = gallery.identify_batch(probes, threshold=0.9)
            assert [result.subject for result in found] == [f"p{number}" for number in range(10)]
            for result, probe in zip(found, probes, strict=True):
                others = [candidate.similarity for candidate in result.candidates[1:]]
                assert np.all(np.array(others) < 0.9)
                assert probe.similarity(probe) >= result.candidates[0].similarity - 1e-6

    run_together(work)
