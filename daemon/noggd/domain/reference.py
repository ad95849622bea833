"""One microcosm reference as an app sees it.

Immutable values only; how they come about is the business of `fold` and `session`.
"""

from __future__ import annotations

from json.encoder import encode_basestring
from typing import Any


class Reference:
    """A reference at one moment: what the person has of one microcosm.

    `last_accessed` is in Unix milliseconds. `revision` is the session revision of the last visible explicit
    change, `changed` that of the last visible change of any kind (a touch included).
    """

    __slots__ = ("_json", "changed", "last_accessed", "microcosm_id", "password", "revision", "view")

    def __init__(
        self,
        microcosm_id: str,
        last_accessed: int,
        password: str | None,
        view: str | None,
        revision: int = 0,
        changed: int = 0,
    ) -> None:
        self.microcosm_id = microcosm_id
        self.last_accessed = last_accessed
        self.password = password
        self.view = view
        self.revision = revision
        self.changed = changed
        self._json: bytes | None = None

    def value(self) -> dict[str, Any]:
        """Return the reference under the names of the local API."""
        return {
            "microcosmID": self.microcosm_id,
            "lastAccessed": self.last_accessed,
            "password": self.password,
            "view": self.view,
            "revision": self.revision,
        }

    def json(self) -> bytes:
        """Return the reference as one compact JSON object; encoded once, then kept."""
        if self._json is None:
            # put together by hand: it is made for each change and each access, and an encoder takes thrice as long
            password = "null" if self.password is None else encode_basestring(self.password)
            view = "null" if self.view is None else encode_basestring(self.view)
            self._json = (
                f'{{"microcosmID":"{self.microcosm_id}","lastAccessed":{self.last_accessed},'
                f'"password":{password},"view":{view},"revision":{self.revision}}}'
            ).encode()
        return self._json

    def same_fields(self, other: Reference) -> bool:
        """Tell whether the explicit fields (password and view) are equal."""
        return self.password == other.password and self.view == other.view

    def touched(self, last_accessed: int) -> Reference:
        """Return the reference with a later time of last access and nothing else changed."""
        return Reference(
            self.microcosm_id, last_accessed, self.password, self.view, self.revision, self.changed
        )

    def __repr__(self) -> str:
        secret = "None" if self.password is None else "'***'"
        return (
            f"Reference({self.microcosm_id!r}, {self.last_accessed}, {secret}, {self.view!r}, "
            f"revision={self.revision})"
        )
