import pytest

from nogg.ids import identity_id
from noggd.domain.membership import MAX_ADDS, adds_by, admit, digest, evaluate, memberships
from noggd.domain.statements import Add, Statement, make_genesis
from tests.unit.domain.group import Device, World

A, B, C, D, E = (Device(seed) for seed in range(5))


def ids(*devices: Device) -> set[str]:
    return {device.id for device in devices}


@pytest.fixture
def world() -> World:
    """A group of A (founder), B and C, where B took in C."""
    world = World(A)
    world.add(A, B)
    world.add(B, C)
    return world


def test_a_founder_alone_is_a_group_of_one() -> None:
    group = World(A).group()
    assert set(group.members) == {A.id}
    assert group.members[A.id].name == A.name
    assert group.members[A.id].certificate == A.certificate
    assert group.identity == identity_id(b"g" * 27)
    assert group.evicted == {}


def test_who_is_added_by_any_member_is_a_member(world: World) -> None:
    assert world.members() == ids(A, B, C)


def test_strangers_add_nobody(world: World) -> None:
    world.add(D, D, via=world.genesis.id)
    world.add(D, E, via=world.via(B))
    assert world.members() == ids(A, B, C)


def test_a_removal_takes_one_device_and_what_it_added_unless_kept(world: World) -> None:
    world.remove(A, B)
    assert world.members() == ids(A)


def test_a_removal_that_keeps_its_adds_takes_that_device_only(world: World) -> None:
    world.remove(A, B, adds_by(world.said, B.id))
    assert world.members() == ids(A, C)
    assert set(world.group().evicted) == {B.id}
    assert world.group().former == {B.id}


def test_the_founder_can_be_removed_and_nobody_is_orphaned(world: World) -> None:
    world.remove(C, A, adds_by(world.said, A.id))
    assert world.members() == ids(B, C)


def test_devices_that_remove_each_other_are_both_out(world: World) -> None:
    world.remove(B, C)
    world.remove(C, B)
    assert world.members() == {A.id}


def test_the_removed_does_not_return_by_its_own_hand_nor_by_a_friends(world: World) -> None:
    world.remove(A, B, adds_by(world.said, B.id))
    world.add(B, B)
    world.add(C, B)
    world.add(A, B)
    assert world.members() == ids(A, C)


def test_the_removed_lets_nobody_in(world: World) -> None:
    world.remove(A, B, adds_by(world.said, B.id))
    world.add(B, D)
    world.add(D, E)
    world.add(E, B)
    assert world.members() == ids(A, C)


def test_a_puppet_cannot_keep_itself_by_removing_its_master(world: World) -> None:
    puppet = world.add(B, D)
    world.remove(A, B, set())
    world.remove(D, B, {puppet.id})
    assert world.members() == {A.id}


def test_removals_by_strangers_do_not_count(world: World) -> None:
    world.remove(D, A)
    assert world.members() == ids(A, B, C)


def test_statements_of_another_group_do_not_count(world: World) -> None:
    other = World(D)
    other.add(D, E)
    other.remove(D, A)
    assert set(evaluate(world.genesis, [*world.said, *other.said]).members) == ids(A, B, C)


def test_who_left_is_neither_member_nor_evicted_and_what_it_added_stays(world: World) -> None:
    world.leave(B, keep=set(adds_by(world.said, B.id)))
    assert world.members() == ids(A, C)
    assert world.group().evicted == {}
    assert world.group().former == {B.id}


def test_who_left_can_be_added_again_with_the_same_key_and_add_others(world: World) -> None:
    world.leave(B, keep=set(adds_by(world.said, B.id)))
    world.add(C, B)
    world.add(B, D)
    assert world.members() == ids(A, B, C, D)
    assert world.group().former == set()


def test_who_left_adds_nobody_until_it_is_added_again(world: World) -> None:
    old = world.via(B)
    world.leave(B, keep=set(adds_by(world.said, B.id)))
    world.add(B, D, via=old)
    world.add(B, E, via=world.genesis.id)
    assert world.members() == ids(A, C)
    world.add(A, B)
    assert world.members() == ids(A, B, C)


def test_nobody_can_make_another_leave(world: World) -> None:
    world.leave(C, of={world.via(B), world.genesis.id})
    assert world.members() == ids(A, B, C)


def test_the_founder_can_leave_and_return(world: World) -> None:
    world.leave(A, keep=set(adds_by(world.said, A.id)))
    assert world.members() == ids(B, C)
    world.add(C, A)
    assert world.members() == ids(A, B, C)


def test_leaving_does_not_undo_a_removal(world: World) -> None:
    world.remove(A, B, adds_by(world.said, B.id))
    world.leave(B, keep=set(adds_by(world.said, B.id)))
    world.add(C, B)
    assert world.members() == ids(A, C)


def test_joiners_bring_their_old_identity_as_an_alias() -> None:
    world = World(A)
    world.add(A, B, aliases=(identity_id(b"b" * 27),))
    world.add(D, E, aliases=(identity_id(b"e" * 27),))
    world.add(A, C, aliases=(world.genesis.identity,))
    assert world.group().aliases == (identity_id(b"b" * 27),)


def test_aliases_of_the_founder_stay() -> None:
    old = identity_id(b"o" * 27)
    genesis = make_genesis(A, "a", identity_id(b"g" * 27), bytes(16), [old])
    assert evaluate(genesis, []).aliases == (old,)


def test_memberships_are_all_statements_that_took_a_device_in(world: World) -> None:
    again = world.add(A, B)
    first = world.said[0]
    assert memberships(world.genesis, world.said, B.id) == {first.id, again.id}
    assert memberships(world.genesis, world.said, A.id) == {world.genesis.id}


def test_digests_are_equal_for_equal_sets_only(world: World) -> None:
    one = [s.id for s in world.said]
    assert digest(world.genesis, one) == digest(world.genesis, reversed(one))
    assert digest(world.genesis, one) != digest(world.genesis, one[:1])


def by_id(statements: list[Statement]) -> dict[str, Statement]:
    return {s.id: s for s in statements}


def test_a_whole_set_is_admitted_in_any_order(world: World) -> None:
    world.remove(A, B, adds_by(world.said, B.id))
    assert admit(world.genesis, {}, reversed(world.said)) == by_id(world.said)
    assert admit(world.genesis, by_id(world.said), world.said) == {}


def test_what_hangs_in_the_air_is_not_admitted(world: World) -> None:
    joined = world.said[1]
    assert admit(world.genesis, {}, [joined]) == {}
    stranger = world.add(D, E, via=world.genesis.id)
    by_stranger = world.remove(D, A)
    assert admit(world.genesis, {}, [stranger, by_stranger]) == {}
    assert admit(world.genesis, {}, World(D).said) == {}


def test_a_flood_of_adds_is_bounded_and_leaves_room_for_its_authors_removal() -> None:
    world = World(A)
    world.add(A, B)
    for _ in range(MAX_ADDS + 5):
        world.add(B, B, via=world.said[0].id)
    held = admit(world.genesis, {}, world.said)
    assert len(held) == MAX_ADDS
    held.setdefault(world.said[0].id, world.said[0])
    removal = world.remove(A, B)
    assert removal.id in admit(world.genesis, held, [removal])


def test_a_flood_of_removals_leaves_room_for_those_of_others(world: World) -> None:
    flood = [world.remove(B, C, {f"{'A' * 40}{n:02d}A"}) for n in range(10, 99)]
    flood += [
        world.remove(B, A, {f"{'B' * 40}{n:02d}A"} | {f"{'C' * 40}{m}A" for m in range(10, 99)})
        for n in range(10, 40)
    ]
    held = admit(world.genesis, {}, world.said)
    assert len(held) < len(world.said)
    assert sum(len(s.raw) for s in held.values() if not isinstance(s, Add)) <= 64 * 1024
    answer = world.remove(A, B)
    assert answer.id in admit(world.genesis, held, [answer])
    assert flood
