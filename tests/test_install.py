"""Installing takes no name that is not ours, and gives the modules to any script, wherever it lies."""

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "results*", "docs")


def run(*command, cwd):
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def clone(tmp_path):
    """A copy of the sources in a folder that is named as the package is."""
    return shutil.copytree(ROOT, tmp_path / "nhpinn", ignore=LEFT_OUT)


@pytest.fixture
def fresh(tmp_path):
    """A new environment that sees the libraries of this one: its Python and its site-packages."""
    venv.create(tmp_path / "env", symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=tmp_path).strip())
    (site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"])
    (site / "tables.py").write_text("owner = 'PyTables'\n")
    return python, site


def install(fresh, *what, cwd):
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "--python", fresh[0], "install", *options, *what, cwd=cwd)


MODULES = {"nhpinn", "nhpinn_networks", "nhpinn_functions", "fem", "fem_cells"}


def test_what_is_installed_is_the_method_and_nothing_else():
    listed = re.search(r"py-modules = \[(.*?)\]", (ROOT / "pyproject.toml").read_text())[1]
    assert set(re.findall(r"\w+", listed)) == MODULES


@pytest.mark.slow
def test_a_wheel_holds_the_method_and_nothing_else(clone, fresh, tmp_path):
    install(fresh, clone, cwd=tmp_path)
    record = next(fresh[1].glob("nhpinn-*.dist-info")) / "RECORD"
    installed = {line.split(",")[0] for line in record.read_text().splitlines()}
    packaged = {str(path.relative_to(ROOT)) for path in ROOT.glob("nhpinn_tools/*.py")}
    ours = {name for name in installed if name.endswith((".py", ".typed"))}
    assert ours == {f"{name}.py" for name in MODULES} | packaged | {"nhpinn_tools/py.typed"}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = "import tables, nhpinn, fem; print(tables.owner, nhpinn.homogenize.__name__, nhpinn.__file__)"
    owner, name, file = run(fresh[0], "-c", code, cwd=elsewhere).split()
    assert (owner, name, Path(file)) == ("PyTables", "homogenize", fresh[1] / "nhpinn.py")
    check_snippets(fresh[0], elsewhere)


def check_snippets(python, folder):
    """The README's snippets print what it says, but for times and last digits."""
    readme = (ROOT / "README.md").read_text()
    pairs = re.findall(r"```python\n(.*?)```\n.*?```\n(.*?)```", readme, re.S)
    (folder / "snippets.py").write_text("\n".join(code for code, _ in pairs))
    both = run(python, "snippets.py", cwd=folder), "".join(output for _, output in pairs)
    printed, expected = (re.sub(r"in [\d.]+ s", "", text) for text in both)
    number = r"-?\d[\d.]*(?:e-?\d+)?"
    assert re.sub(number, "", printed).split() == re.sub(number, "", expected).split()
    found, known = (map(float, re.findall(number, text)) for text in (printed, expected))
    for value, stated in zip(found, known, strict=True):
        assert value == pytest.approx(stated, rel=1e-5 if abs(stated) > 0.1 else 0.1, abs=1e-6)


@pytest.mark.slow
def test_an_editable_install_serves_a_script_beside_the_clone(clone, fresh, tmp_path):
    """There Python sees a folder `nhpinn` without __init__.py, which must not pass for the module."""
    install(fresh, "--editable", clone, cwd=tmp_path)
    (tmp_path / "script.py").write_text("import nhpinn, tables; print(nhpinn.homogenize.__name__, tables.owner)")
    assert run(fresh[0], "script.py", cwd=tmp_path).split() == ["homogenize", "PyTables"]
    check_snippets(fresh[0], tmp_path)
