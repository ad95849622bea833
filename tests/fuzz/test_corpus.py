"""The whole corpus again, and a short fuzz around it: whatever comes, parse it or raise what is documented."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.fuzz.readers import CORPUS, Reader, TrustFile, changed, readers, seeds

NAMES = sorted(path.stem for path in CORPUS.glob("*.hex"))
INPUTS = 2000


@pytest.fixture(scope="module")
def found() -> Iterator[dict[str, Reader]]:
    trust = TrustFile()
    yield readers(trust)
    trust.close()


def test_every_reader_has_a_corpus(found: dict[str, Reader]) -> None:
    assert sorted(found) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_corpus_and_what_is_near_it(found: dict[str, Reader], name: str) -> None:
    reader, corpus, dice = found[name], seeds(name), random.Random(name)
    outcomes = set()
    near = (changed(dice.choice(corpus), corpus, dice) for _ in range(INPUTS))
    for data in (b"", *corpus, *near):
        try:
            reader.read(data)
            outcomes.add("read")
        except reader.errors:
            outcomes.add("refused")
        except Exception as error:
            raise AssertionError(f"{name}: {data.hex()}") from error
    assert "refused" in outcomes
    assert "read" in outcomes or name == "trust", "the corpus holds what is lawful too"
