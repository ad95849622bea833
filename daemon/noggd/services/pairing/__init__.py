"""Pairing: the window on this device (`inviting`), going through another's (`joining`), and both in `service`.

What it needs of the links is in `ports`. Never imported by another service: `noggd.app` joins them.
"""

from noggd.services.pairing.service import Pairing, open_pairing

__all__ = ["Pairing", "open_pairing"]
