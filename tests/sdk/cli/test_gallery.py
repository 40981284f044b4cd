"""`qcface gallery ...` on small galleries of drawn faces."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from qcface_sdk.cli.gallery import ACTIONS
from qcface_sdk.cli.progress import Progress

ANN, BOB = (60, 255, 255), (255, 60, 255)


@pytest.fixture
def staff(qcface, draw, tmp_path: Path) -> Path:
    file = tmp_path / "staff.db"
    for name, colour in (("ann", ANN), ("bob", BOB)):
        assert qcface("enroll", file, name, draw(f"{name}.png", colour), "--keep-crops").code == 0
    return file


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret.txt"
    file.write_text("correct horse battery\n")
    return file


def names(qcface, file: Path, *words: object) -> list[str]:
    return [entry["subject"] for entry in qcface("gallery", "list", file, *words, "--json").document["subjects"]]


@pytest.mark.parametrize("action", [action.name for action in ACTIONS])
def test_every_action_has_help_with_an_example(qcface, action: str) -> None:
    run = qcface("gallery", action, "--help")
    assert run.code == 0
    assert f"qcface gallery {action} " in run.out.split("examples:")[1]


def test_list_shows_people(qcface, staff: Path) -> None:
    assert names(qcface, staff) == ["ann", "bob"]
    run = qcface("gallery", "list", staff)
    assert "2 subjects, contract qc1-" in run.out
    assert "local" in run.out


def test_show_tells_all_that_is_held_and_biometrics_on_request_only(qcface, staff: Path, tmp_path: Path) -> None:
    qcface("gallery", "terms", staff, "ann", "--consent", "form 17", "--expires", "2099-01-31")
    run = qcface("gallery", "show", staff, "ann")
    assert "consent: form 17" in run.out
    assert "expires 2099-01-31 23:59:59Z" in run.out
    (template,) = qcface("gallery", "show", staff, "ann", "--json").document["templates"]
    assert template["kept_crops"] == 1
    assert not {"vector", "crops"} & template.keys()
    output = tmp_path / "ann.json"
    assert qcface("gallery", "show", staff, "ann", "--vectors", "--crops", "--output", output).code == 0
    document = json.loads(output.read_text())
    assert document["templates"][0].keys() >= {"vector", "crops"}
    assert [entry["action"] for entry in document["audit"]] == ["enroll", "terms", "report", "report"]


def test_show_writes_a_page_for_the_person(qcface, staff: Path, tmp_path: Path) -> None:
    qcface("gallery", "terms", staff, "ann", "--consent", "form <17>")
    qcface("gallery", "backup", staff, tmp_path / "copy.db")
    page = tmp_path / "ann.html"
    assert qcface("gallery", "show", staff, "ann", "--vectors", "--report", page).code == 0
    text = page.read_text()
    for part in ("What is held about ann", "form &lt;17&gt;", "no end noted", "copy.db", "<td>backup</td>"):
        assert part in text, part
    assert "<img" not in text
    document = qcface("gallery", "show", staff, "ann", "--vectors", "--crops", "--json", "--report", page).document
    (template,) = document["templates"]
    assert f"data:image/png;base64,{template['crops'][0]}'" in page.read_text()
    assert template["vector"] not in page.read_text()
    assert "bob" not in page.read_text()


def test_long_actions_count_their_steps(
    qcface, bundle: Path, staff: Path, secret: Path, tmp_path: Path, monkeypatch
) -> None:
    """So that the bar moves; none is drawn here, as nobody watches."""
    steps: list[int] = []
    monkeypatch.setattr(Progress, "advance", lambda self, count=1: steps.append(count))
    size = -(-staff.stat().st_size // 2**20)
    phrase = ("--passphrase-file", secret)
    for words, wanted in (
        (("check", staff), 2),
        (("review", staff, "--model", bundle), 4),
        (("rotate-key", staff), 2),
        (("export", staff, tmp_path / "x", *phrase), 2),
        (("import", tmp_path / "other.db", tmp_path / "x", *phrase), 2),
        (("re-enroll", staff, tmp_path / "new.db", "--model", bundle), 2),
        (("bench", "--rows", "300"), 300),
        (("restore", staff, tmp_path / "back.db", "--keys", f"{staff}.keyring", "--key", f"{staff}.key"), size),
    ):
        steps.clear()
        assert qcface("gallery", *words).code == 0, words
        assert sum(steps) == wanted, words


def test_remove_forgets_one_and_writes_a_receipt(qcface, staff: Path, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt.json"
    run = qcface("gallery", "remove", staff, "ann", "--receipt", receipt)
    assert run.code == 0
    assert "removed ann (1 template)" in run.out
    assert json.loads(receipt.read_text())["crops"] == 1
    assert names(qcface, staff) == ["bob"]


def test_unknown_subject_and_missing_gallery_are_gallery_problems(qcface, staff: Path, tmp_path: Path) -> None:
    run = qcface("gallery", "remove", staff, "eve")
    assert run.code == 5
    assert "eve" in run.err
    for action in ("list", "audit", "stats", "check", "expire"):
        assert qcface("gallery", action, tmp_path / "none.db").code == 5
    assert not (tmp_path / "none.db").exists()


def test_expire_forgets_whose_time_is_over(qcface, staff: Path) -> None:
    qcface("gallery", "terms", staff, "ann", "--expires", "2001-01-01")
    assert qcface("gallery", "expire", staff, "--dry-run", "--json").document["expired"] == ["ann"]
    assert names(qcface, staff) == ["ann", "bob"]
    assert "removed 1 subject: ann" in qcface("gallery", "expire", staff).out
    assert names(qcface, staff) == ["bob"]


@pytest.mark.parametrize("text", ["tomorrow", "2027-13-01", "2027-03-31T18:00"])
def test_terms_with_no_time_is_bad_input(qcface, staff: Path, text: str) -> None:
    run = qcface("gallery", "terms", staff, "ann", "--expires", text)
    assert run.code == 2
    assert "must be a date" in run.err


def test_keys_are_made_rotated_and_asked_for(qcface, staff: Path, tmp_path: Path) -> None:
    key = tmp_path / "new.key"
    assert qcface("gallery", "new-key", "--output", key).code == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert qcface("gallery", "new-key", "--output", key).code == 5
    assert qcface("gallery", "new-key").out.startswith("qcface-key-1:")
    assert "wrapped 2 keys" in qcface("gallery", "rotate-key", staff).out
    assert qcface("gallery", "rotate-key", staff, "--new-key", key, "--json").document["keys"] == 2
    run = qcface("gallery", "list", staff)
    assert run.code == 5
    assert "another key" in run.err
    assert names(qcface, staff, "--key", key) == ["ann", "bob"]


def test_backup_and_restore_leave_out_who_was_removed(qcface, staff: Path, tmp_path: Path) -> None:
    backup, keys = tmp_path / "backup.db", tmp_path / "keys"
    assert "holds no keys" in qcface("gallery", "backup", staff, tmp_path / "first.db").err
    assert qcface("gallery", "backup", staff, backup, "--keys", keys).code == 0
    qcface("gallery", "remove", staff, "ann")
    assert qcface("gallery", "restore", backup, staff).code == 5
    run = qcface("gallery", "restore", backup, staff, "--replace")
    assert "restored 1 subject" in run.out
    assert "left out ann" in run.out
    assert names(qcface, staff) == ["bob"]
    new = tmp_path / "elsewhere.db"
    run = qcface("gallery", "restore", backup, new, "--keys", keys, "--key", f"{staff}.key", "--json")
    assert run.document["subjects"] == 2


def test_export_and_import_move_people(qcface, staff: Path, secret: Path, tmp_path: Path, monkeypatch) -> None:
    file, other = tmp_path / "move.qcfx", tmp_path / "other.db"
    assert qcface("gallery", "export", staff, file).code == 2
    assert qcface("gallery", "export", staff, file, "--passphrase-file", secret).code == 0
    run = qcface("gallery", "import", other, file, "--passphrase-file", secret, "--json")
    assert run.document["added"] == ["ann", "bob"]
    monkeypatch.setenv("QCFACE_PASSPHRASE", "correct horse battery")
    assert qcface("gallery", "import", other, file).code == 5
    assert "2 were there already (skip)" in qcface("gallery", "import", other, file, "--conflict", "skip").out
    monkeypatch.setenv("QCFACE_PASSPHRASE", "wrong horse battery")
    assert qcface("gallery", "import", other, file).code == 5
    assert names(qcface, other) == ["ann", "bob"]


def test_reenroll_makes_a_gallery_for_another_model(qcface, draw, staff: Path, tmp_path: Path) -> None:
    from tiny_models import tiny_bundle

    qcface("enroll", staff, "eve", draw("eve.png", (255, 255, 60)))
    other, new = tiny_bundle(tmp_path / "other", seed=1), tmp_path / "new.db"
    run = qcface("gallery", "re-enroll", staff, new, "--model", other)
    assert run.code == 3
    assert "no picture was kept of eve" in run.out
    assert qcface("identify", new, draw("door.png", ANN), "--model", other, "--json").lines[0]["subject"] == "ann"


def test_stats_audit_and_check_describe_the_gallery(qcface, staff: Path) -> None:
    assert qcface("gallery", "stats", staff, "--json").document["templates"] == 2
    assert "subjects" in qcface("gallery", "stats", staff).out
    entries = qcface("gallery", "audit", staff, "--subject", "bob", "--json").document["entries"]
    assert [entry["action"] for entry in entries] == ["enroll"]
    assert "enroll" in qcface("gallery", "audit", staff).out
    assert "2 templates unsealed" in qcface("gallery", "check", staff).out


def test_migrate_of_a_present_gallery_has_nothing_to_do(qcface, staff: Path) -> None:
    run = qcface("gallery", "migrate", staff)
    assert run.code == 5
    assert "nothing to migrate" in run.err


def test_enroll_the_same_person_under_another_id_asks_first(qcface, draw, staff: Path) -> None:
    run = qcface("enroll", staff, "ann-again", draw("again.png", ANN), "--json")
    assert run.code == 3
    assert "looks like 'ann'" in run.err
    assert names(qcface, staff) == ["ann", "bob"]
    run = qcface("enroll", staff, "ann-again", draw("again.png", ANN), "--allow-duplicate", "--json")
    assert run.document["receipt"]["issues"] == ["likely_duplicate"]
    assert run.document["receipt"]["similar_to"] == "ann"


def test_bench_finds_what_faiss_finds(qcface, tmp_path: Path) -> None:
    page = tmp_path / "bench.html"
    document = qcface("gallery", "bench", "--rows", "2000", "--json", "--report", page).document
    assert document["rows"] == 2000
    assert "Gallery of 2,000 people" in page.read_text()
    assert f"A comparison took {1e6 * document['known_ms'] / 2000:.3g} ns" in page.read_text()
    assert document["same_best"] in (None, 128)
    assert document["known_ms"] > 0


def test_identify_by_fpir_says_so(qcface, draw, staff: Path) -> None:
    run = qcface("identify", staff, draw("door.png", ANN), "--fpir", "0.02", "--json")
    assert run.code == 0
    assert run.lines[0]["fpir"] == 0.02
