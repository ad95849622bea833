"""What an app needs to talk to the session daemon: ids, models, the wire, errors, paths and a client."""
