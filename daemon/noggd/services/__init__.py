"""What runs: the local API, links to peers, pairing. Each is ready on entry of its context, drained on exit."""
