"""Installing the daemon as a service: systemd's user or system manager on Linux, a LaunchAgent on macOS.

place    how this copy of noggd was installed, and who could run it
units    the shipped units, and how paths are written into them
plan     what an installation writes and runs; changes nothing itself
manager  systemctl and loginctl
"""
