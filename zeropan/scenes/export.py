"""Rendered scenes as a COCO-panoptic data set that other tools can read.

FOLDER/images/scene-000000.png          the picture
FOLDER/annotations/panoptic.json        images, segments and categories
FOLDER/annotations/panoptic/*.png       segment ids, R + 256 G + 256^2 B
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from zeropan.choices import Pairs
from zeropan.errors import BadInput
from zeropan.scenes.render import render_scene
from zeropan.scenes.truth import panoptic_of
from zeropan.scenes.vocabulary import COLOURS, STUFF, THINGS
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.coco_panoptic import category_entries, coco_png, segment_entry


def export_scenes(
    folder: Path,
    seeds: Iterable[int],
    *,
    height: int = 256,
    width: int = 256,
    pairs: Pairs = "all",
) -> None:
    """Render scenes into a new folder, which appears whole or not at all.

    Args:
        folder: must not exist yet, or be empty.
        seeds: one scene each; also the images' ids.
        height: of every picture, pixels.
        width: of every picture, pixels.
        pairs: which colours things may have, as `render_scene` takes it.

    Raises:
        BadInput: the folder holds something, or cannot be made.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise BadInput(f"{folder} is not empty; name a new folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    except OSError as error:
        raise BadInput(f"{folder} cannot be made ({error}); name another folder") from error
    try:
        _write(aside, seeds, height, width, pairs)
        aside.chmod(0o755)
        if folder.is_dir():
            folder.rmdir()
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _write(folder: Path, seeds: Iterable[int], height: int, width: int, pairs: Pairs) -> None:
    categories = Categories.from_words(THINGS, STUFF)
    pictures, codes = folder / "images", folder / "annotations" / "panoptic"
    pictures.mkdir()
    codes.mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for seed in seeds:
        scene = render_scene(seed, height=height, width=width, pairs=pairs)
        truth = panoptic_of(scene, categories)
        name = f"scene-{seed:06d}.png"
        Image.fromarray(scene.image).save(pictures / name)
        (codes / name).write_bytes(coco_png(truth))
        images.append({"id": seed, "file_name": name, "height": height, "width": width})
        phrases = {segment.id: segment.phrase for segment in scene.segments}
        annotations.append(
            {
                "image_id": seed,
                "file_name": name,
                "segments_info": [
                    segment_entry(segment) | {"phrase": phrases[segment.id]}
                    for segment in truth.segments_info
                ],
            }
        )
    content = {
        "info": {
            "description": "Tabletop scenes rendered by zeropan, with exact ground truth",
            "colours": list(COLOURS),
        },
        "images": images,
        "annotations": annotations,
        "categories": category_entries(categories),
    }
    path = folder / "annotations" / "panoptic.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
