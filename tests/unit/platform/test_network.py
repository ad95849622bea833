import ipaddress

from noggd.platform.network import link_local_addresses, local_addresses


def test_addresses_of_this_machine_can_be_told_to_others() -> None:
    found = [ipaddress.ip_address(address) for address in local_addresses()]
    assert len(found) == len(set(found))
    assert not any(address.is_loopback or address.is_unspecified for address in found)
    assert not any(address.version == 6 and address.is_link_local for address in found)


def test_link_local_addresses_are_kept_apart() -> None:
    assert not set(link_local_addresses()) & set(local_addresses())
    assert all(ipaddress.IPv6Address(address).is_link_local for address in link_local_addresses())
