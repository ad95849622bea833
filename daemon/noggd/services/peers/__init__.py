"""Links to the person's other devices: making them, talking over them, and saying how they stand.

`listener` and `dialling` make connections (`connection`), `link` talks over one, `documents` keeps
documents equal on it, `links` knows them all, `members` follows the group, `report` and `waiting` answer
the local API, `service` joins the parts. Never imported by another service: `noggd.app` joins them.
"""

from noggd.services.peers.service import Peers, open_peers

__all__ = ["Peers", "open_peers"]
