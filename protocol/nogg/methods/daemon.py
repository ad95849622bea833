"""The daemon itself: `hello`, `rpc.discover`, `daemon.*`."""

from typing import Annotated, Any, NotRequired

from typing_extensions import TypedDict

from nogg.errors import UnsupportedProtocol
from nogg.methods.method import Method
from nogg.methods.objects import Count, DeviceName, Empty, Epoch, Name, Params
from nogg.methods.rules import Field

#: the protocol version that this package speaks
PROTOCOL = 1


class Client(Params):
    """Who is calling; it shows up as the origin of changes."""

    name: Name
    version: NotRequired[Name]


class HelloParams(Params):
    """The version that the client wants, and its name."""

    protocol: NotRequired[Annotated[int, Field(ge=0, le=1_000_000)]]
    client: NotRequired[Client]


class Version(TypedDict):
    """A program and its version."""

    name: str
    version: str


class Hello(TypedDict):
    """What the daemon speaks and who it is; `ready` once the store is loaded."""

    protocol: int
    supported: list[int]
    daemon: Version
    device: DeviceName
    epoch: Epoch
    ready: bool
    capabilities: list[str]


class Health(TypedDict):
    """Whether all is well, and what is not."""

    ok: bool
    problems: list[str]


class Setting(TypedDict):
    """A setting that is in force, and where it came from: default, file and line, variable, or flag."""

    setting: str
    value: str | bool | list[str] | None
    origin: str


class DaemonStatus(TypedDict):
    """One screen about the daemon; sizes are bytes, `places` are paths by what is there."""

    version: str
    versions: dict[str, str]
    protocol: int
    pid: int
    uptime_s: float
    ready: bool
    epoch: Epoch
    device: DeviceName
    counts: dict[str, Count]
    sizes: dict[str, Count]
    health: Health
    places: NotRequired[dict[str, str]]
    settings: NotRequired[list[Setting]]


class Check(TypedDict):
    """One thing that was looked at, and what to do if it is not well."""

    name: str
    ok: bool
    message: str
    fix: str | None


class Diagnosis(TypedDict):
    """All checks."""

    checks: list[Check]


class Metrics(TypedDict):
    """Counters and gauges in Prometheus' text format."""

    text: str


METHODS = (
    Method("hello", HelloParams, Hello, "Agree on a version; optional.", errors=(UnsupportedProtocol,)),
    Method("rpc.discover", Params, dict[str, Any], "Describe this API as an OpenRPC document."),
    Method("daemon.status", Params, DaemonStatus, "Describe the daemon: versions, counts, sizes, health."),
    Method("daemon.doctor", Params, Diagnosis, "Check what can be wrong, and say how to mend it."),
    Method("daemon.metrics", Params, Metrics, "Give the daemon's metrics."),
    Method("daemon.shutdown", Params, Empty, "Stop the daemon."),
)
