"""Whatever is written when, and however links break: replicas that talk long enough are equal.

The documents are the simplest that show the dangers of real ones: logs that must be applied without holes, and
deletions that no state vector shows. Storing takes time, and a link that breaks loses what was on its way.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from noggd.domain.frames import read_frame, write_frame
from noggd.domain.replica import Action, Answer, Ask, Merge, Replica, Send
from noggd.domain.update import decode_state_vector, encode_state_vector

DOCUMENTS = ["person", "session/a"]


class Log:
    """A document: how many operations of each client are here, and which were deleted."""

    def __init__(self) -> None:
        self.clocks: dict[int, int] = {}
        self.deleted: set[tuple[int, int]] = set()

    def state(self) -> tuple[bytes, bytes]:
        digest = hashlib.sha256(repr(sorted(self.deleted)).encode()).digest()
        return encode_state_vector(self.clocks), digest

    def missing(self, vector: bytes) -> bytes:
        has = decode_state_vector(vector)
        parts = [[client, has.get(client, 0), clock] for client, clock in self.clocks.items()]
        return json.dumps([parts, sorted(self.deleted)]).encode()

    def merge(self, update: bytes) -> bool:
        parts, deleted = json.loads(update)
        if any(start > self.clocks.get(client, 0) for client, start, _ in parts):
            return False
        for client, _, end in parts:
            self.clocks[client] = max(self.clocks.get(client, 0), end)
        self.deleted |= {(client, clock) for client, clock in deleted}
        return True


class Node:
    """A device: documents, links, and work that is done later, as a disk does it."""

    def __init__(self, client: int) -> None:
        self.client = client
        self.logs = {"person": Log()}
        self.links: dict[Node, Link] = {}
        self.work: deque[Callable[[], object]] = deque()
        self.gaps = 0

    def write(self, document: str, delete: bool) -> None:
        log = self.logs.setdefault(document, Log())
        clock = log.clocks.get(self.client, 0)
        deleted = [(self.client, clock - 1)] if delete and clock else []
        update = json.dumps([[[self.client, clock, clock + 1]], deleted]).encode()
        self.work.append(lambda: self.store(document, update, None))

    def store(self, document: str, update: bytes, source: Link | None) -> bool:
        log = self.logs.setdefault(document, Log())
        before = log.state()
        if not log.merge(update):
            return False
        if log.state() == before:
            return True  # nothing new is told to nobody, or it would go round for ever
        for link in self.links.values():
            if link is not source:
                link.carry_out(link.replica.changed(document, update))
        return True

    def states(self) -> dict[str, tuple[bytes, bytes]]:
        return {document: log.state() for document, log in self.logs.items()}


class Link:
    """One side of a link; `inbox` is what is on its way to it."""

    def __init__(self, node: Node, held_back: bool) -> None:
        self.node = node
        self.inbox: deque[bytes] = deque()
        self.replica = Replica(held_back=held_back)
        self.other: Link

    def carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            self.carry_out_one(action)

    def carry_out_one(self, action: Action) -> None:
        node = self.node
        match action:
            case Send(frame):
                self.other.inbox.append(write_frame(frame))
            case Ask(document):
                node.work.append(lambda: self.ask(document))
            case Answer(document, vector, _):
                node.work.append(lambda: self.answer(action, document, vector))
            case Merge(document, update, _):
                node.work.append(lambda: self.merge(action, document, update))

    def up(self) -> bool:
        return self in self.node.links.values()

    def ask(self, document: str) -> None:
        from noggd.domain.frames import Step1

        if self.up():
            self.other.inbox.append(
                write_frame(Step1(document, self.node.logs.get(document, Log()).state()[0]))
            )

    def answer(self, action: Answer, document: str, vector: bytes) -> None:
        """Look it up now, hand it over later: changes come in between."""
        update = self.node.logs.get(document, Log()).missing(vector)
        self.node.work.append(lambda: self.found(action, update))

    def found(self, action: Answer, update: bytes) -> None:
        if self.up():
            self.carry_out(self.replica.answered(action, update))

    def merge(self, action: Merge, document: str, update: bytes) -> None:
        if not self.node.store(document, update, self):
            self.node.gaps += 1
            if self.up():
                self.carry_out(self.replica.refused(action))
        elif self.up():
            self.replica.merged(document, {client: end for client, _, end in json.loads(update)[0]})
            self.carry_out(self.replica.stored(document, self.node.logs[document].state()[0]))

    def receive(self) -> None:
        self.carry_out(self.replica.receive(read_frame(self.inbox.popleft())))


def connect(one: Node, other: Node, held_back: bool = False) -> None:
    here, there = Link(one, held_back), Link(other, False)
    here.other, there.other = there, here
    one.links[other], other.links[one] = here, there
    for link in (here, there):
        vectors = {document: state[0] for document, state in link.node.states().items()}
        link.carry_out(link.replica.begin(vectors))


def disconnect(one: Node, other: Node) -> None:
    one.links.pop(other, None)
    other.links.pop(one, None)


def settle(nodes: list[Node]) -> None:
    """Let everything that is on its way arrive, and do all work."""
    moved, rounds = True, 0
    while moved:
        moved, rounds = False, rounds + 1
        assert rounds < 1000, "they never stop talking"
        for node in nodes:
            while node.work:
                node.work.popleft()()
                moved = True
            for link in list(node.links.values()):
                while link.inbox:
                    link.receive()
                    moved = True


def round_of_summaries(nodes: list[Node]) -> None:
    for node in nodes:
        for link in node.links.values():
            link.carry_out(link.replica.summarise(node.states()))
    settle(nodes)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2), st.sampled_from(DOCUMENTS), st.booleans()),
        st.tuples(st.just("work"), st.integers(0, 2)),
        st.tuples(st.just("receive"), st.integers(0, 2), st.integers(0, 1)),
        st.tuples(st.just("summaries"), st.integers(0, 2)),
        st.tuples(st.just("connect"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("disconnect"), st.integers(0, 2)),
        st.tuples(st.just("hold"), st.integers(0, 2), st.booleans()),
    ),
    max_size=60,
)


def take(nodes: list[Node], step: tuple[object, ...]) -> None:
    kind, which, *rest = step
    assert isinstance(which, int)
    node, other = nodes[which], nodes[(which + 1) % len(nodes)]
    if kind == "write":
        node.write(str(rest[0]), bool(rest[1]))
    elif kind == "work" and node.work:
        node.work.popleft()()
    elif kind == "receive":
        links = list(node.links.values())
        assert isinstance(rest[0], int)
        if rest[0] < len(links) and links[rest[0]].inbox:
            links[rest[0]].receive()
    elif kind == "summaries":
        for link in node.links.values():
            link.carry_out(link.replica.summarise(node.states()))
    elif kind == "connect" and other not in node.links:
        connect(node, other, bool(rest[0]))
    elif kind == "disconnect":
        disconnect(node, other)
    elif kind == "hold":
        for link in node.links.values():
            link.carry_out(link.replica.hold_back(bool(rest[0])))


@given(steps)
@settings(max_examples=400, deadline=None)
def test_replicas_that_talk_long_enough_are_equal(steps: list[tuple[object, ...]]) -> None:
    nodes = [Node(client) for client in (1, 2, 3)]
    for step in steps:
        take(nodes, step)
    for one, other in ((0, 1), (1, 2)):  # the third pair hears of each other through the one between
        if nodes[other] not in nodes[one].links:
            connect(nodes[one], nodes[other])
    for node in nodes:
        for link in node.links.values():
            link.carry_out(link.replica.hold_back(False))
    settle(nodes)
    for _ in range(3):
        round_of_summaries(nodes)
    states = [node.states() for node in nodes]
    assert states[0] == states[1] == states[2]
    for node in nodes:
        for link in node.links.values():
            assert link.replica.in_step(node.states())
            for document, log in node.logs.items():
                assert dict(link.replica.peer_has(document)) == log.clocks


@given(steps)
@settings(max_examples=200, deadline=None)
def test_a_peer_is_never_thought_to_have_what_it_has_not(steps: list[tuple[object, ...]]) -> None:
    nodes = [Node(client) for client in (1, 2, 3)]
    for step in steps:
        take(nodes, step)
        for node in nodes:
            for peer, link in node.links.items():
                for document in DOCUMENTS:
                    has = peer.logs[document].clocks if document in peer.logs else {}
                    assert all(clock <= has.get(c, 0) for c, clock in link.replica.peer_has(document).items())


between_two = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 1), st.sampled_from(DOCUMENTS), st.booleans()),
        st.tuples(st.just("work"), st.integers(0, 1)),
        st.tuples(st.just("receive"), st.integers(0, 1), st.just(0)),
    ),
    max_size=40,
)


@given(between_two, between_two)
@settings(max_examples=400, deadline=None)
def test_an_unbroken_link_shows_no_gap_and_needs_no_repair(
    before: list[tuple[object, ...]], after: list[tuple[object, ...]]
) -> None:
    nodes = [Node(client) for client in (1, 2)]
    for step in before:
        take(nodes, step)
    connect(nodes[0], nodes[1])
    for step in after:
        take(nodes, step)
    settle(nodes)
    assert [node.gaps for node in nodes] == [0, 0]
    assert nodes[0].states() == nodes[1].states()
