"""Finding the person's other devices on the local network, and the window that a code belongs to.

`announcement` says what is told to everybody there and what it means to members, `radio` is the multicast itself,
`service` decides when which is on. What it finds is a hint: whoever dials proves who is there. Never imported by
another service: `noggd.app` joins them.
"""

from noggd.services.discovery.service import Discovery, Surroundings

__all__ = ["Discovery", "Surroundings"]
