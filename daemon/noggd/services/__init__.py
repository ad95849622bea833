"""What runs: the local API, links to peers, pairing. Each is an async context manager: ready on entry, drained on exit."""
