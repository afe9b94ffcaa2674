"""What the documents say exists: files that they link, commands that they name, numbers of the results."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from lab import command, published

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("docs", "docs/results", "benchmarks", "examples")
PAGES = [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def commands_of(text):
    """Commands of Python in code, in lines of their own or in a sentence, without what follows a # or a pipe."""
    lines = re.findall(r"^\s*(?:\$ )?(python .*)$", text, re.M) + re.findall(r"`(python [^`]*)`", text)
    return sorted({re.split(r"\s+#|\s*[|>]|\s+&", line)[0].strip() for line in lines})


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_command_is_one_that_exists(page):
    """Its script or module is there, and run_all.py takes its options."""
    for line in commands_of(page.read_text(encoding="utf-8")):
        _, *words = shlex.split(line)
        script, *options = words[1:] if words[0] == "-m" else words
        if words[0] == "-m":
            assert importlib.util.find_spec(script), line
        elif script.endswith(".py") and script != "mine.py":
            assert (ROOT / script).exists(), line
        known = not {"mine.py", "DIR", "FILE.py", "SPEC", "mpi"} & set(options) and "..." not in line
        if script == "run_all.py" and known and "--verify" not in options:
            command.parse(options)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_table_has_rows_of_one_length(page):
    """A bar in a cell, as in |e2 - e4|, would begin another cell, and GitHub would show no table at all."""
    for table in re.findall(r"(?:^\|.*\n)+", page.read_text(encoding="utf-8"), re.M):
        lengths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(lengths) == 1, table


def test_the_reading_order_has_every_module_and_about_its_lines():
    rows = re.findall(r"^\| \d+ \| `(\w+\.py)` \| (\d+) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert {name for name, _ in rows} == {path.name for path in ROOT.glob("*.py")} - {"run_all.py"}
    for name, lines in rows:
        assert int(lines) == pytest.approx(len((ROOT / name).read_text(encoding="utf-8").splitlines()), rel=0.1), name


def test_the_results_are_small_and_those_of_a_method_are_of_one_clean_commit(monkeypatch):
    """All seeds of a problem and a method are of one, so that their means are."""
    monkeypatch.chdir(ROOT)
    commits = {}
    for task, result in published.load(published.FOLDER).items():
        commits.setdefault((task.problem, task.method), set()).add(result["commit"])
    for (commit,) in commits.values():
        assert commit != "unknown" and not commit.endswith("dirty")
    assert sum(path.stat().st_size for path in published.FOLDER.rglob("*") if path.is_file()) < 300_000


def test_the_numbers_of_the_documents_are_those_of_the_results(monkeypatch):
    """`python -m lab.published` writes them again."""
    monkeypatch.chdir(ROOT)
    for path, text in published.documents(published.FOLDER).items():
        written = path.read_text(encoding="utf-8").splitlines()
        differing = [pair for pair in zip(written, text.splitlines(), strict=False) if pair[0] != pair[1]]
        assert not differing and len(written) == len(text.splitlines()), f"{path}: {differing[:1]}"
