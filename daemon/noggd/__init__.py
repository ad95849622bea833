"""noggd, the session daemon: private code behind the local socket; apps import `nogg` instead."""
