"""An environment without zeropan, and the package as it is built and installed."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tree import copy_to


@dataclass(frozen=True)
class Environment:
    """A virtual environment that sees the packages of this one, but no zeropan of its."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(
        self, *command: str | Path, cwd: Path, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment."""
        return subprocess.run(
            [self.folder / "bin" / command[0], *command[1:]], cwd=cwd, env=clean() | (env or {}),
            capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip


def clean() -> dict[str, str]:
    """This process's environment without what leads Python to this repository."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def new_environment(folder: Path) -> Environment:
    venv.create(folder, with_pip=False, symlinks=True)
    made = Environment(folder)
    own = made.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))",
                   cwd=folder)  # fmt: skip
    # The other packages' folder is added as a mere folder: what its .pth files say, such as where
    # an editable install of zeropan lies, does not count in the new environment.
    shared = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(own.stdout.strip()) / "others.pth").write_text("\n".join(sorted(shared)) + "\n")
    return made


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist of the tracked files, and the wheel that is built from that sdist."""
    tree = copy_to(tmp_path_factory.mktemp("build") / "tree")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "build", "--no-isolation", "--outdir", "../dist"],
        cwd=tree, env=clean(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DeprecationWarning" not in done.stdout + done.stderr
    (sdist,), (wheel,) = tree.parent.glob("dist/*.tar.gz"), tree.parent.glob("dist/*.whl")
    return Built(sdist, wheel)


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with every package but zeropan."""
    return new_environment(tmp_path_factory.mktemp("bare") / "venv")


@pytest.fixture(scope="session")
def with_zeropan(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment into which the wheel was installed."""
    made = new_environment(tmp_path_factory.mktemp("installed") / "venv")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", made.python, "install", "--quiet", "--no-deps",
         "--no-index", built.wheel], check=True, env=clean(), timeout=120,
    )  # fmt: skip
    return made
