"""The rules, pure: documents and their merge, pairing, membership.

No I/O, no clock, no tasks, no randomness: time and chance are arguments.
"""
