"""Documentation is a promise: what it names exists, what exists is named, its links lead somewhere.

What a page says beyond names is held by the tests that README's promise tables point to.
"""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import nogg
from benchmarks import record
from benchmarks.__main__ import BENCHMARKS
from docs import local_api
from nogg import errors, openrpc
from nogg.methods import METHODS, NOTIFICATIONS
from noggd.cli import tree
from noggd.platform import config

REPOSITORY = Path(__file__).parents[2]
LEFT_OUT = {".git", ".venv", "node_modules", ".peers", "__pycache__", "dist"}
COMMON_FLAGS = {"--help"}
FILE_ENDINGS = {"py", "sock", "json", "key", "noggd"}
BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def files() -> list[Path]:
    """Every file of the project: what git knows, or in an unpacked release what is there."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True
    )
    if listing.returncode == 0 and listing.stdout:
        found = [REPOSITORY / line for line in listing.stdout.splitlines()]
    else:
        found = [path for path in REPOSITORY.rglob("*") if not LEFT_OUT & set(path.parts)]
    return [path for path in found if path.is_file()]


PAGES = [path for path in files() if path.suffix == ".md"]


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def text_of(page: Path | str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def code_spans(text: str) -> list[str]:
    """What a page shows as code: its blocks line by line, and the spans within its prose."""
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines()]
    return lines + re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))


def section(text: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\s*$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"README has no section '## {heading}'"
    return found[1]


# README


@pytest.mark.parametrize(("heading", "last"), [("Run it", "nogg demo"), ("Test it", "-m pytest")])
def test_readme_says_it_in_one_command(heading: str, last: str) -> None:
    block = BLOCK.search(section(text_of("README.md"), heading))
    assert block
    lines = block[1].strip().splitlines()
    assert len(lines) == 1
    assert lines[0].endswith(last)


def promises() -> Iterator[tuple[Path, str, str]]:
    """Each test or benchmark that a page names as what shows something: (file, name, page)."""
    for page in PAGES:
        for label, target in re.findall(r"\[`([\w-]+)`\]\(([^)]+\.py)\)", page.read_text(encoding="utf-8")):
            yield (page.parent / target).resolve(), label, name_of(page)


def test_readme_has_promises() -> None:
    assert len([page for _, _, page in promises() if page == "README.md"]) > 20


@pytest.mark.parametrize(("path", "label", "page"), list(promises()), ids=str)
def test_what_shows_a_promise_exists(path: Path, label: str, page: str) -> None:
    assert path.is_file(), f"{page} names {path}"
    text = path.read_text(encoding="utf-8")
    if label.startswith("test_"):
        assert re.search(rf"def {label}\(", text), f"{page}: no {label} in {path.name}"
    else:
        assert f'"{label}": (' in text, f"{page}: no benchmark {label}"


@pytest.mark.parametrize("path", sorted(record.pages()), ids=name_of)
def test_figures_that_pages_show_are_the_recorded_ones(path: Path) -> None:
    """After a change: python -m benchmarks.record."""
    assert path.read_text(encoding="utf-8") == record.pages()[path]


def test_every_benchmark_is_described_and_no_figure_is_of_another() -> None:
    first_cells = re.findall(r"^\| (`.*?`) \|", text_of("benchmarks/README.md"), re.MULTILINE)
    described = {name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)}
    assert described == set(BENCHMARKS) >= set(record.load(record.FIGURES)[1])


# Links and names of machines


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"(https?|mailto):", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{name_of(page)} links to {link}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{name_of(page)} links to {link}"


def test_no_file_names_a_developers_machine() -> None:
    # in halves, or this file would be the first to be found
    halves = [("/", "work/"), ("/tmp/", "plan"), (".", "library"), ("/root/", ".pyenv"), ("../", "shared")]
    places = ["".join(half) for half in halves]
    texts = {name_of(path): path.read_bytes().decode("utf-8", "replace") for path in files()}
    assert not [(name, place) for name, text in texts.items() for place in places if place in text]


# Commands


def commands(
    group: click.Group, before: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command of the tree with its words, groups included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*before, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))


COMMANDS = dict(commands(tree.root))


def flags_of(command: click.Command) -> set[str]:
    return {
        flag for option in command.params for flag in (*option.opts, *option.secondary_opts)
    } | COMMON_FLAGS


def shown_commands() -> Iterator[tuple[str, str]]:
    """Each `nogg …` that a page shows, as (page, words after nogg)."""
    for page in PAGES:
        for code in code_spans(page.read_text(encoding="utf-8")):
            for shown in re.findall(r"(?:^|[|&$ /])nogg ([a-z][^|&;#`]*)", code):
                yield name_of(page), shown.strip()


@pytest.mark.parametrize(("page", "shown"), sorted(set(shown_commands())))
def test_commands_that_pages_show_exist(page: str, shown: str) -> None:
    words = shown.split()
    path: tuple[str, ...] = ()
    for word in words:
        if (*path, word) not in COMMANDS:
            break
        path = (*path, word)
    alternatives = words[len(path)].split("\\|")[0].split("|") if len(words) > len(path) else []
    assert path or all((word,) in COMMANDS for word in alternatives), f"{page}: there is no `nogg {shown}`"
    used = {word.split("=")[0].strip("[]") for word in words if word.strip("[").startswith("--")}
    assert not used - flags_of(COMMANDS[path]), (
        f"{page}: `nogg {shown}` has no {used - flags_of(COMMANDS[path])}"
    )


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_flag_is_described(path: tuple[str, ...]) -> None:
    page = text_of("docs/cli.md")
    assert f"nogg {' '.join(path)}" in page
    described = set(re.findall(r"--[a-z][a-z-]+", page))
    assert {flag for flag in flags_of(COMMANDS[path]) if flag.startswith("--")} <= described | COMMON_FLAGS


# Settings, methods, errors, dependencies


def test_every_setting_is_described_and_nothing_else() -> None:
    described = re.findall(r"^#([a-z_]+) = ", text_of("docs/config.example.toml"), re.MULTILINE)
    assert described == list(config.ROWS)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_variables_that_pages_name_exist(page: Path) -> None:
    known = {f"NOGG_{key.upper()}" for key in config.ROWS}
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (REPOSITORY / "protocol/nogg").rglob("*.py")
    )
    known |= set(re.findall(r"\bNOGG_[A-Z_]+\b", sources))
    assert set(re.findall(r"\bNOGG_[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8"))) <= known


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_methods_that_pages_name_exist(page: Path) -> None:
    known = METHODS.keys() | NOTIFICATIONS.keys()
    nouns = {name.split(".")[0] for name in known if "." in name}
    members = {*dir(nogg.Session), *dir(nogg.Reference), *dir(nogg.SessionState), *FILE_ENDINGS}
    for code in code_spans(page.read_text(encoding="utf-8")):
        for noun, verb in re.findall(r"(?<![\w./-])([a-z]+)\.([a-z]+)(?![\w./(-])", code):
            if noun in nouns and verb not in members:
                assert f"{noun}.{verb}" in known, f"{name_of(page)} names {noun}.{verb}"


def test_the_local_api_page_is_made_from_the_declarations() -> None:
    """After a change: python -m nogg.openrpc > docs/openrpc.json && python docs/local_api.py."""
    assert json.loads(text_of("docs/openrpc.json")) == openrpc.document()
    assert text_of("docs/local-api.md") == local_api.page(openrpc.document())


def test_the_local_api_page_names_all_of_it() -> None:
    page = text_of("docs/local-api.md")
    for name in METHODS.keys() | NOTIFICATIONS.keys():
        assert f"`{name}`" in page
    for error in subclasses(errors.NoggError):
        if error.code:
            assert f"| {error.code} | `{error.type}` |" in page, error.__name__


def subclasses(kind: type[errors.NoggError]) -> Iterator[type[errors.NoggError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *(each for extra in extras.values() for each in extra)]
    names = {re.split(r"[ <>=\[~!]", requirement)[0] for requirement in needed}
    page = text_of("docs/decisions/005-dependencies.md")
    listed = {
        name.split(" ")[0]
        for row in re.findall(r"^\| ([a-z][^|]*?) \|", page, re.MULTILINE)
        for name in row.split(", ")
    }
    assert listed - {"dependency", "for"} == names
