"""What has to be known of a machine to compare two runs. Nothing here is measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

_LIBRARIES = ("pycrdt", "websockets", "cryptography", "pydantic")
_PROGRAMS = {"node": ["node", "--version"], "redis": ["redis-server", "--version"]}


def machine() -> dict[str, str]:
    """The processor, its cores, memory, system, disk, and what the two sides run on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "disk": _disk(tempfile.gettempdir()),
        "python": _python(),
        "sqlite": sqlite3.sqlite_version,
    }
    found |= {name: importlib.metadata.version(name) for name in _LIBRARIES}
    for name, command in _PROGRAMS.items():
        if shutil.which(command[0]):
            said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
            if version := re.search(r"\d+\.\d+\.\d+", said):
                found[name] = version[0]
    return found


def _python() -> str:
    """The version, and whose: those of distributions are built with profile-guided optimisation, worth a tenth."""
    return platform.python_version() + (", the system's" if sys.base_prefix == "/usr" else "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _disk(folder: str) -> str:
    """The file system and the device of `folder`, which is where the daemons that are measured keep their state."""
    if shutil.which("findmnt") is None:
        return "unknown"
    command = ["findmnt", "-n", "-o", "FSTYPE,SOURCE", "-T", folder]
    said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.split()
    if len(said) < 2:
        return "unknown"
    kind, source = said[0], Path(said[1]).name
    queue = next(Path("/sys/block").glob(f"{source.rstrip('0123456789')}*/queue"), None)
    details = []
    if queue is not None:
        details.append((queue / "write_cache").read_text(encoding="ascii").strip() + " cache")
    return ", ".join([f"{kind} on {source}", *details])
