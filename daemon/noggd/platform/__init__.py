"""What the operating system and TLS want: configuration, logging, systemd, TLS contexts, the clock."""
