"""What `import zeropan` and its use bring into a process, looked at in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import zeropan

_HEAVY = ("torch", "numpy", "pydantic", "PIL", "transformers", "prefect", "zarr", "mlflow")


def modules_after(code: str) -> set[str]:
    script = (
        f"import json, sys\n{code}\nprint(json.dumps([m for m in sys.modules if '.' not in m]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_name_alone_imports_nothing_heavy() -> None:
    code = "import zeropan; zeropan.__version__; dir(zeropan)"
    assert modules_after(code).isdisjoint(_HEAVY)


def test_segmenting_without_a_store_imports_no_framework() -> None:
    code = (
        "import numpy, zeropan\n"
        "found = zeropan.segment(numpy.zeros((32, 48, 3), numpy.uint8), ['cup'], ['wood'])\n"
        "found.rerun(things={'box_threshold': 0.5}).overlay()\n"
    )
    found = modules_after(code)
    assert "torch" in found
    assert found.isdisjoint({"prefect", "zarr", "mlflow", "supervision", "typer"})


def test_the_public_names_are_these() -> None:
    assert zeropan.__all__ == [
        "Category", "Result", "Segment", "__version__", "segment", "segment_many",
    ]  # fmt: skip
    for name in zeropan.__all__:
        assert name in dir(zeropan)
        value = getattr(zeropan, name)
        assert isinstance(value, str) or value.__doc__
    with pytest.raises(AttributeError, match="no attribute 'segmnt'"):
        _ = zeropan.segmnt  # type: ignore[attr-defined]
