"""The rules, pure: documents and their merge, pairing, membership. No I/O, no clock, no tasks: time is an argument."""
