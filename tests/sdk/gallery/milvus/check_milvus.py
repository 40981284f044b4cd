"""`MilvusGallery` and `sync` against milvus-lite; run by test_milvus.py in a process of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qcface_sdk.cli import main
from qcface_sdk.errors import (
    ContractMismatchError,
    GalleryError,
    GalleryStorageError,
    GalleryUnreachableError,
    OptionError,
    ShapeError,
    UnknownSubjectError,
)
from qcface_sdk.gallery import Gallery, MilvusGallery, sync
from qcface_sdk.gallery.collection import Collection
from qcface_sdk.results import Outcome, Reason
from qcface_sdk.template import Template

CONTRACT = "qc1-0123456789abcdef0123456789abcdef"


def person(seed: int, contract: str = CONTRACT, dimension: int = 64) -> Template:
    return Template.from_embeddings(np.random.default_rng(seed).normal(size=(1, dimension)), contract, created=1.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "central.db"


@pytest.fixture
def address(server: Path, request: pytest.FixtureRequest) -> str:
    return f"milvus://{server}/{request.node.name.split('[')[0]}"


@pytest.fixture
def central(address: str):
    with Gallery.open(address) as opened:
        yield opened


@pytest.fixture
def door(tmp_path: Path):
    with Gallery.open(tmp_path / "door") as opened:
        yield opened


def test_enroll_identify_remove_tell_one_story(central):
    assert isinstance(central, MilvusGallery)
    assert (central.contract, len(central), central.subjects()) == (None, 0, ())
    assert central.identify(person(1), threshold=-1.0).reason is Reason.EMPTY_GALLERY
    odd = 'zoë "\\ \U0001f600' + 200 * "ü"
    assert central.enroll("ada", person(1)).count == 1
    assert central.enroll("ada", person(2), consent="form 17").count == 2
    assert central.enroll(odd, person(3)).template_id == 0
    assert (central.contract, len(central), central.subjects()) == (CONTRACT, 2, tuple(sorted(["ada", odd])))
    assert central.get("ada") == (person(1), person(2))
    for number, name in ((1, "ada"), (2, "ada"), (3, odd)):
        assert central.identify(person(number), threshold=0.7).subject == name
    assert central.identify(person(4), threshold=0.7).decision is Outcome.REJECT
    receipt = central.remove("ada")
    assert (receipt.subject, receipt.templates) == ("ada", 2)
    assert central.subjects() == (odd,)
    assert central.identify(person(1), threshold=0.7).subject is None
    for call in (central.remove, central.get):
        with pytest.raises(UnknownSubjectError):
            call("ada")


def test_search_equals_the_embedded_gallerys(central, door):
    for number in range(30):
        for gallery in (central, door):
            gallery.enroll(f"p{number % 20}", person(number))
    probes = [person(3), person(25), Template.from_embeddings([person(4).vector + person(9).vector], CONTRACT)]
    for ours, theirs in zip(
        central.identify_batch(probes, threshold=0.5, k=7), door.identify_batch(probes, threshold=0.5, k=7), strict=True
    ):
        assert [c.subject for c in ours.candidates] == [c.subject for c in theirs.candidates]
        np.testing.assert_allclose(
            [c.similarity for c in ours.candidates], [c.similarity for c in theirs.candidates], atol=1e-6
        )


def test_fused_quality_comes_back(central, door):
    one = person(1)
    fused = Template(CONTRACT, one.vector, one.magnitude, 3, 1.0, 71.5)
    central.enroll("ada", fused)
    assert central.get("ada") == (fused,)
    sync(door, central)
    assert door.get("ada") == (fused,)
    assert door.report("ada").templates[0]["quality"] == 71.5


def test_many_templates_of_one_person_hide_nobody(central):
    rng = np.random.default_rng(1)
    for _ in range(25):
        near = person(1).vector + 0.01 * rng.normal(size=64)
        central.enroll("crowd", Template.from_embeddings([near], CONTRACT, created=1.0))
    central.enroll("b", person(2))
    found = central.identify(person(1), threshold=0.5, k=2)
    assert [candidate.subject for candidate in found.candidates] == ["crowd", "b"]


def test_expired_person_is_not_recognised(central):
    central.enroll("ada", person(1), expires=1000.0)
    central.enroll("bob", person(2), expires=5e9)
    assert central.identify(person(1), threshold=0.5).subject is None
    assert central.identify(person(2), threshold=0.5).subject == "bob"
    assert (central.get("ada"), central.get("bob")) == ((), (person(2),))
    assert central.get("ada", expired=True) == (person(1),)


def test_terms_are_noted_listed_and_end(central):
    central.enroll("ada", person(1), consent="form 17", expires=5e9)
    central.enroll("ada", person(2))
    central.enroll("bob", person(3))
    central.set_terms("bob", consent="form 18", expires=1000.0)
    ada, bob = central.people()
    assert (ada.subject, ada.templates, ada.consent, ada.expires) == ("ada", 2, "form 17", 5e9)
    assert (bob.subject, bob.templates, bob.consent, bob.expires) == ("bob", 1, "form 18", 1000.0)
    assert central.identify(person(3), threshold=0.9).subject is None
    assert central.expire(dry_run=True) == ("bob",)
    assert len(central) == 2
    (receipt,) = central.expire()
    assert (receipt.subject, central.subjects()) == ("bob", ("ada",))
    central.set_terms("ada", forever=True)
    assert (central.people()[0].expires, central.people()[0].consent) == (None, "form 17")
    assert central.get("ada") == (person(1), person(2))
    with pytest.raises(UnknownSubjectError):
        central.set_terms("eve", consent="form 19")
    with pytest.raises(OptionError):
        central.set_terms("ada", expires=5.0, forever=True)


def test_people_are_kept_in_order_by_the_command_line(central, address, capsys):
    central.enroll("ada", person(1))
    central.enroll("bob", person(2))
    assert main(["gallery", "terms", address, "bob", "--consent", "form 17", "--expires", "2001-01-31"]) == 0
    assert main(["gallery", "list", address]) == 0
    assert "2001-01-31 23:59:59Z" in capsys.readouterr().out.split("bob")[-1]
    assert main(["gallery", "expire", address]) == 0
    assert "removed 1 subject: bob" in capsys.readouterr().out
    assert main(["gallery", "remove", address, "ada"]) == 0
    assert "the server's disks hold the row" in capsys.readouterr().out
    assert central.subjects() == ()
    assert main(["gallery", "list", address, "--key", "env:KEY"]) == 2
    capsys.readouterr()
    assert main(["gallery", "check", address]) == 2
    assert "works on a gallery file" in capsys.readouterr().err


def test_sync_brings_a_note_of_consent_that_alone_has_changed(central, door):
    central.enroll("ada", person(1), consent="form 17")
    sync(door, central)
    assert door.people()[0].consent == "form 17"
    central.set_terms("ada", consent="form 18")
    done = sync(door, central)
    assert (done.added, done.changed, done.templates) == ((), ("ada",), 0)
    report = door.report("ada")
    assert report.consent == "form 18"
    assert [entry["action"] for entry in report.audit] == ["sync-change"]
    assert sync(door, central).changed == ()


def test_sync_says_nothing_of_somebody_removed_while_it_ran(central, door, monkeypatch):
    central.enroll("ada", person(1))
    central.enroll("bob", person(2))
    rows = MilvusGallery.rows

    def late(self, uids):
        central.remove("bob")
        return rows(self, uids)

    monkeypatch.setattr(MilvusGallery, "rows", late)
    assert sync(door, central).added == ("ada",)
    assert door.subjects() == ("ada",)


def test_other_contract_or_dimension_raises(central, address):
    central.enroll("ada", person(1))
    for call in (
        lambda: central.enroll("eve", person(2, "qc1-other")),
        lambda: central.identify(person(2, "qc1-other"), threshold=0.5),
        lambda: Gallery.open(address, "qc1-other"),
    ):
        with pytest.raises(ContractMismatchError, match=f"holds embeddings of {CONTRACT}, got qc1-other"):
            call()
    with pytest.raises(ShapeError):
        central.identify(person(1, dimension=32), threshold=0.5)
    with pytest.raises(ShapeError):
        central.enroll("eve", person(1, dimension=32))


def test_read_only_closed_and_pictures_are_refused(central, address):
    central.enroll("ada", person(1))
    with pytest.raises(OptionError, match="keeps no pictures"):
        central.enroll("ada", person(1), crops=np.zeros((1, 112, 112, 3), np.uint8))
    reader = Gallery.open(address, read_only=True)
    assert reader.identify(person(1), threshold=0.9).subject == "ada"
    for change in (lambda: reader.enroll("eve", person(2)), lambda: reader.remove("ada")):
        with pytest.raises(GalleryStorageError, match="read_only"):
            change()
    reader.close()
    with pytest.raises(GalleryError, match="is closed"):
        reader.identify(person(1), threshold=0.9)


def test_request_that_fails_once_is_sent_again_and_loses_nothing(central, monkeypatch):
    central.enroll("ada", person(1))
    connected, failures = Collection._connected, [ConnectionResetError("gone"), TimeoutError()]

    def sometimes(self):
        if failures:
            raise failures.pop()
        return connected(self)

    monkeypatch.setattr(Collection, "_connected", sometimes)
    assert central.enroll("ada", person(2)).count == 2
    assert not failures
    assert central.get("ada") == (person(1), person(2))


def test_answer_that_was_lost_is_not_written_twice(central, monkeypatch):
    """The server did it, the answer did not arrive."""
    central.enroll("ada", person(1))
    ask, lost = Collection.ask, []

    class Once:
        def __init__(self, client):
            self.client = client

        def upsert(self, *arguments, **options):
            done = self.client.upsert(*arguments, **options)
            if not lost:
                lost.append(done)
                raise TimeoutError
            return done

        def __getattr__(self, name):
            return getattr(self.client, name)

    monkeypatch.setattr(Collection, "ask", lambda self, request: ask(self, lambda client: request(Once(client))))
    central.enroll("ada", person(2))
    monkeypatch.undo()
    assert lost
    assert central.get("ada") == (person(1), person(2))


def test_server_lost_in_mid_request_raises_or_falls_back(central, address, door, monkeypatch, caplog):
    central.enroll("ada", person(1))
    sync(door, central)

    def down(self):
        raise ConnectionResetError("gone")

    with Gallery.open(address, retries=1, fallback=door) as covered, Gallery.open(address, retries=1) as bare:
        monkeypatch.setattr(Collection, "_connected", down)
        with pytest.raises(GalleryUnreachableError, match=r"2 tries \(gone\)"):
            bare.identify(person(1), threshold=0.9)
        assert covered.identify(person(1), threshold=0.9).subject == "ada"
        assert "answers instead" in caplog.text
        with pytest.raises(GalleryUnreachableError):
            covered.enroll("bob", person(2))


def test_sync_follows_the_centre_and_keeps_the_doors_own(central, door):
    for number in range(6):
        central.enroll(f"p{number}", person(number), expires=5e9 + number)
    door.enroll("guard", person(50))
    door.enroll("p5", person(51))
    first = sync(door, central)
    assert first.added == ("p0", "p1", "p2", "p3", "p4")
    assert (first.changed, first.removed, first.kept_local, first.templates) == (("p5",), (), ("guard",), 6)
    assert door.get("p5") == (person(5),)
    assert {entry.subject: entry.expires for entry in door.people()}["p2"] == 5e9 + 2
    again = sync(door, central)
    assert (again.added, again.changed, again.removed, again.templates) == ((), (), (), 0)
    central.remove("p1")
    central.remove("p2")
    central.enroll("p2", person(60))
    central.enroll("p3", person(61), expires=6e9)
    later = sync(door, central)
    assert (later.added, later.changed, later.removed) == ((), ("p2", "p3"), ("p1",))
    assert door.get("p2") == (person(60),)
    assert door.get("p3") == (person(3), person(61))
    assert {entry.subject: entry.expires for entry in door.people()}["p3"] == 6e9
    assert door.identify(person(2), threshold=0.5).subject is None
    assert door.identify(person(50), threshold=0.9).subject == "guard"
    assert door.check() == 7


def test_sync_from_an_empty_centre_asks_first(central, door):
    central.enroll("ada", person(1))
    sync(door, central)
    central.remove("ada")
    with pytest.raises(GalleryError, match="is empty, and .* holds 1 people from it; nothing was changed"):
        sync(door, central)
    assert len(door) == 1
    assert sync(door, central, allow_empty=True).removed == ("ada",)


def test_sync_cut_off_leaves_a_door_that_works_and_is_completed_later(central, door, monkeypatch):
    for number in range(4):
        central.enroll(f"p{number}", person(number))
    sync(door, central)
    central.remove("p0")
    central.enroll("p9", person(9))
    by_uid = Collection.by_uid

    def down(*_):
        raise GalleryUnreachableError("down")

    monkeypatch.setattr(Collection, "by_uid", down)
    with pytest.raises(GalleryUnreachableError):
        sync(door, central)
    assert door.identify(person(0), threshold=0.9).subject == "p0"
    monkeypatch.setattr(Collection, "by_uid", by_uid)
    done = sync(door, central)
    assert (done.added, done.removed) == (("p9",), ("p0",))


def test_sync_by_the_command_line(central, address, door, capsys):
    central.enroll("ada", person(1))
    assert main(["gallery", "sync", door.path, address]) == 0
    assert "1 added, 0 changed, 0 removed, 0 of this door's own kept" in capsys.readouterr().out
    assert main(["gallery", "sync", door.path, address, "--json"]) == 0
    assert door.subjects() == ("ada",)


def test_sync_of_another_contract_changes_nothing(central, door):
    central.enroll("ada", person(1))
    door.enroll("eve", person(1, "qc1-other"))
    with pytest.raises(ContractMismatchError):
        sync(door, central)
    assert door.subjects() == ("eve",)
