import ipaddress

from noggd.platform.network import local_addresses


def test_addresses_of_this_machine_can_be_told_to_others() -> None:
    found = [ipaddress.ip_address(address) for address in local_addresses()]
    assert len(found) == len(set(found))
    assert not any(address.is_loopback or address.is_unspecified for address in found)
    assert not any(address.version == 6 and address.is_link_local for address in found)
