"""The architecture is a test: who may import whom, and how light the parts that apps and terminals load are."""

import subprocess
import sys

import pytest

REASONS = {
    "pydantic": "150 ms at every start of the command line",
    "asyncio": "40 ms, and a blocking client needs no event loop",
    "websockets": "only the daemon talks to other devices",
    "pycrdt": "only the daemon's document holds the CRDT",
    "click": "an app is not a command line",
    "cryptography": "only the daemon holds keys",
    "platformdirs": "needed only where the platform is not Linux",
}


def test_imports_go_only_downwards() -> None:
    """Runs import-linter in a process of its own, for it configures logging and keeps a cache."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout, "the contracts must really have been read"


@pytest.mark.parametrize(
    "imports",
    [
        "import nogg",
        "import nogg; nogg.Session, nogg.Connection",
        "import nogg.blocking",
        "import nogg.errors, nogg.ids, nogg.paths, nogg.wire",
    ],
)
def test_what_apps_import_first_is_light(imports: str) -> None:
    code = f"import sys; {imports}; print(*sorted(set(sys.modules) & {set(REASONS)}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert not loaded, {name: REASONS[name] for name in loaded}


LATER = {
    "pydantic": "its engine checks requests; the rest, 6 MB and 0.1 s, is for who asks to have the API described",
    "cryptography": "8 MB and 25 ms for who pairs, evicts or leaves; a start trusts what was checked before",
    "spake2": "2 MB for who pairs",
    "zeroconf": "4 MB for who looks for devices",
}


def test_what_a_daemon_needs_only_sometimes_it_does_not_load_at_once() -> None:
    code = f"import sys, noggd.__main__, noggd.app; print(*sorted(set(sys.modules) & {set(LATER)}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert not loaded, {name: LATER[name] for name in loaded}
