"""macOS' agent, as far as it can be seen without macOS."""

import plistlib
from pathlib import Path

from noggd.cli.service import launchd
from noggd.cli.service.place import Place


def test_the_agent_runs_this_copy_and_nothing_in_a_name_breaks_it() -> None:
    python = '/Users/ada/a <b> & "c" 100%/bin/python'
    place = Place("pipx", python, ("-I",), ())
    agent = plistlib.loads(launchd.agent(place, Path("/Users/ada/log")))
    assert agent["ProgramArguments"] == [python, "-I", "-m", "noggd"]
    assert agent["Label"] == "in.nodenogg.noggd"
    assert agent["RunAtLoad"] is True
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["Umask"] == 0o077
    assert agent["StandardErrorPath"] == "/Users/ada/log/noggd.log"
