"""Grounding DINO where OpenCV cannot be imported, as in a container without libGL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

GROUND = """
import importlib.util
import sys

import numpy as np
from zeropan.models.loading import detector, segmenter, text_segmenter

pixels = np.zeros((64, 96, 3), np.uint8)
found = detector("tiny", "cpu").ground(pixels, ["cup"])
assert found.boxes_xyxy.shape[0] == 1, found.boxes_xyxy.shape
segmenter("tiny", "cpu").embed(pixels)
text_segmenter("tiny", "cpu").score(pixels, ["wood"])
# Whoever wants to draw with the package finds its own module, not what stood in for it.
real = importlib.util.find_spec("groundingdino.util.visualizer")
assert real is not None and real.origin.endswith("visualizer.py"), real
drawing = sorted({"cv2", "matplotlib", "pycocotools", "supervision"} & set(sys.modules))
assert not drawing, drawing
"""


def python(code: str, *first: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*first, ROOT]))},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_all_models_run_where_opencv_finds_no_libgl(tmp_path: Path) -> None:
    broken = tmp_path / "cv2"
    broken.mkdir()
    (broken / "__init__.py").write_text(
        'raise ImportError("libGL.so.1: cannot open shared object file: No such file")\n'
    )
    done = python("import cv2", tmp_path)
    assert "libGL.so.1" in done.stderr
    done = python(GROUND, tmp_path)
    assert done.returncode == 0, done.stderr
