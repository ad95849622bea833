"""The local API: what apps and the command line talk to, over a Unix socket (contract, section 2).

`server` is the service, `connection` one app's socket, `requests` what a line means, `calls` the kinds of methods,
`caller` the app as methods see it, `subscriptions` who is told what, `methods` what each method does, and `ports`
what it all wants from its neighbours.
"""

from noggd.services.local_api.caller import Parts
from noggd.services.local_api.ports import House, Pairing, Peers
from noggd.services.local_api.server import Server, listen

__all__ = ["House", "Pairing", "Parts", "Peers", "Server", "listen"]
