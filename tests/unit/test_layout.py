"""The rules of the tree itself: what may stand where, who may import whom, how large a piece may grow."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (ROOT / "queue" / "headrace_queue", ROOT / "daemon" / "headrace_daemon")
MODULES = sorted(module for package in PACKAGES for module in package.rglob("*.py"))
MODULE_LINES = 400
FUNCTION_LINES = 60
# where this is developed; nobody else has these folders
MACHINE_PATHS = re.compile(r"/(?:work|farm)/[a-z.]")


def named(module: Path) -> str:
    return str(module.relative_to(ROOT))


def tracked_files() -> list[Path]:
    """What is committed, or will be: not what git ignores."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing tells what belongs to it")
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def nodes_of(module: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(module.read_text(encoding="utf-8")))


@cache
def imported_packages(module: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in nodes_of(module):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return frozenset(found)


def test_there_are_modules_to_look_at() -> None:
    assert {module.parts[len(ROOT.parts)] for module in MODULES} == {"queue", "daemon"}


@pytest.mark.parametrize("folder", ["queue", "daemon"])
def test_folder_is_no_package(folder: str) -> None:
    # queue/__init__.py would shadow the standard library's queue for everything started at the root
    assert not (ROOT / folder / "__init__.py").exists()


def test_standard_queue_is_found_from_the_root() -> None:
    command = "import queue, sys; queue.SimpleQueue(); sys.stdout.write(queue.__file__)"
    found = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not Path(found).is_relative_to(ROOT / "queue")


def test_client_imports_nothing_of_the_daemon() -> None:
    client = [module for module in MODULES if module.is_relative_to(ROOT / "queue")]
    wrong = [named(module) for module in client if "headrace_daemon" in imported_packages(module)]
    assert wrong == []


@pytest.mark.parametrize(
    "library", ["aioboto3", "aiobotocore", "boto3", "botocore", "awscrt", "pyreqwest", "aiohttp", "lxml"]
)
def test_client_imports_no_s3_library(library: str) -> None:
    client = [module for module in MODULES if module.is_relative_to(ROOT / "queue")]
    assert [named(module) for module in client if library in imported_packages(module)] == []


def test_modules_stay_small() -> None:
    lines = {named(module): len(module.read_text(encoding="utf-8").splitlines()) for module in MODULES}
    assert {name: count for name, count in lines.items() if count > MODULE_LINES} == {}


def test_functions_stay_small() -> None:
    long = []
    for module in MODULES:
        for node in nodes_of(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
                if count > FUNCTION_LINES:
                    long.append(f"{named(module)}:{node.lineno} {node.name}: {count} lines")
    assert long == []


def test_no_path_of_a_developers_machine() -> None:
    wrong = []
    for file in tracked_files():
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or an archive has no paths to follow
        wrong += [f"{named(file)}: {match.group()}" for match in MACHINE_PATHS.finditer(text)]
    assert wrong == []


def test_lock_names_no_registry_host() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "http" not in re.sub(r"^\S*http\S*==", "", lock, flags=re.MULTILINE)


def test_lock_holds_every_direct_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = project["dependencies"] + [name for extra in project["optional-dependencies"].values() for name in extra]
    names = {re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower() for requirement in direct}
    locked = set(
        re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert names - locked - {"headrace"} == set()
