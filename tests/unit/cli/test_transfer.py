"""Export and import: what goes into files, and what a rehearsal asks."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Nogg
from tests.unit.cli.fake import FakeDaemon, reference

DOCUMENT = {"format": "x", "microcosms": [{"microcosmID": "garden.1"}]}
SEED = {"json": {"active": None, "microcosms": [["garden.1", {}]]}, "meta": {}}


@pytest.fixture
def store(daemon: FakeDaemon) -> FakeDaemon:
    daemon.answers |= {
        "session.export": {"document": DOCUMENT},
        "session.import": {"imported": 2, "skipped": 1, "quarantined": [{"id": None, "reason": "no id"}]},
        "session.open": {"session": "memory-1", "epoch": "e", "revision": 0},
        "session.transact": {"revision": 1, "results": []},
        "reference.list": {"references": [], "revision": 1},
    }
    return daemon


def test_export_to_stdout_is_the_document_alone(nogg: Nogg, store: FakeDaemon) -> None:
    assert json.loads(nogg("export").out) == DOCUMENT
    assert json.loads(nogg("export", "-", "--json").out) == DOCUMENT
    assert all(params["secrets"] is False for name, params in store.asked)


def test_export_takes_passwords_only_on_request(nogg: Nogg, store: FakeDaemon) -> None:
    nogg("export", "--show-secrets")
    assert store.params("session.export") == {"secrets": True}


def test_export_to_a_file_is_private_and_whole(nogg: Nogg, store: FakeDaemon, tmp_path: Path) -> None:
    file = tmp_path / "out" / "session.json"
    assert nogg("export", str(file)).status == 1, "no folder is made for it"
    file.parent.mkdir()
    assert nogg("export", str(file)).out == f"wrote {file}\n"
    assert json.loads(file.read_text()) == DOCUMENT
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("document", [DOCUMENT, SEED, [["garden.1", {"lastAccessed": 1}]]])
def test_import_hands_the_document_over(nogg: Nogg, store: FakeDaemon, tmp_path: Path, document: Any) -> None:
    file = tmp_path / "in.json"
    file.write_text(json.dumps(document))
    run = nogg("import", str(file))
    assert run.status == 0
    assert run.out == "2 imported, 1 skipped\n"
    assert "(no id): no id" in run.err
    assert store.params("session.import") == {"document": document}


def test_import_reads_stdin(nogg: Nogg, store: FakeDaemon) -> None:
    answer = nogg("import", "-", "--json", stdin=json.dumps(DOCUMENT)).json
    assert (answer["imported"], answer["dry_run"], answer["session"]) == (2, False, "default")


@pytest.mark.parametrize(("content", "status"), [("{", 1), (None, 1)])
def test_what_cannot_be_read_is_named(
    nogg: Nogg, store: FakeDaemon, tmp_path: Path, content: str | None, status: int
) -> None:
    file = tmp_path / "in.json"
    if content is not None:
        file.write_text(content)
    run = nogg("import", str(file))
    assert run.status == status
    assert str(file) in run.err


def test_a_rehearsal_works_on_a_copy_in_memory(nogg: Nogg, store: FakeDaemon) -> None:
    gone = {**reference("gone.1"), "removedAt": 1}
    store.answers["reference.list"] = {"references": [gone], "revision": 1}
    run = nogg("import", "-", "--dry-run", stdin=json.dumps(SEED))
    assert run.out == "2 would be imported, 1 would be skipped\n"
    changing = [(name, params["session"]) for name, params in store.asked if name in CHANGES]
    assert changing == [
        ("session.import", "memory-1"),
        ("session.transact", "memory-1"),
        ("session.transact", "memory-1"),
        ("session.import", "memory-1"),
    ]
    assert store.asked[-1][1]["document"] == SEED
    assert ("session.open", {"ephemeral": True}) in store.asked


CHANGES = {"session.import", "session.transact"}
