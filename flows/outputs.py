"""The files a person takes away: the overlay picture and the panoptic PNG with its JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zeropan.errors import BadImage, StoreError
from zeropan.machine.files import write_whole
from zeropan.pictures.encoding import EncodedPicture
from zeropan.pictures.panels import StepRecords
from zeropan.segmentation.coco_panoptic import coco_json, coco_png
from zeropan.segmentation.images import load_image, read_image_bytes
from zeropan.segmentation.records import (
    GroundedBoxes,
    Panoptic,
    StuffMasks,
    StuffRegions,
    ThingMasks,
    UInt8,
)
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.stages import stuff_logits
from zeropan.tasks.work import ImageRef, ImageWork, image_digest


@dataclass(frozen=True)
class OutputFiles:
    """Where one image's result files are."""

    overlay: Path
    panoptic_png: Path
    panoptic_json: Path


def read_steps(work: ImageWork) -> tuple[StepRecords, str | None]:
    """Every record of an image's chain that a picture needs, read back from the store.

    Returns:
        The records, and a sentence where the image itself is gone or is another one by now; the
        pictures then show the results on white.
    """
    store = ArtifactStore(work.store_url)
    panoptic = store.read(work.key("panoptic"), Panoptic)
    image, missing = image_of(work.image, panoptic, max_pixels=work.max_pixels)
    records = StepRecords(
        image=image,
        grounded=store.read(work.key("ground_things"), GroundedBoxes),
        stuff_logits=stuff_logits(work, store),
        things=store.read(work.key("things"), ThingMasks),
        regions=store.read(work.key("stuff_regions"), StuffRegions),
        stuff=store.read(work.key("stuff_masks"), StuffMasks),
        panoptic=panoptic,
        categories=work.categories,
    )
    return records, missing


def image_of(image: ImageRef, panoptic: Panoptic, *, max_pixels: int) -> tuple[UInt8, str | None]:
    """The image of a result, or white and a sentence where it is gone or another one by now."""
    location = image.location
    try:
        data = read_image_bytes(location)
        if image_digest(data) == image.sha256:
            return load_image(data, name=location, max_pixels=max_pixels), None
        reason = f"{location} is no longer the image that was segmented"
    except BadImage as error:
        reason = str(error)
    white = np.full((*panoptic.label_map.shape, 3), 255, dtype=np.uint8)
    return white, f"{reason}; the stored results are shown on white"


def write_outputs(
    folder: Path, work: ImageWork, panoptic: Panoptic, overlay: EncodedPicture
) -> tuple[OutputFiles, dict[str, bytes]]:
    """Write an image's result files, each whole or not at all.

    Returns:
        The paths, and the panoptic files' contents by name.
    """
    files = output_files(folder, work)
    contents = _contents(work, panoptic)
    files.overlay.parent.mkdir(parents=True, exist_ok=True)
    write_whole(files.overlay, overlay.png)
    _write_panoptic(files, contents)
    return files, contents


def write_panoptic(files: OutputFiles, work: ImageWork) -> None:
    """Write the panoptic PNG and JSON of an image whose result is stored; no picture.

    Raises:
        StoreError: the folder cannot be written to, such as a full disk.
    """
    panoptic = ArtifactStore(work.store_url).read(work.key("panoptic"), Panoptic)
    try:
        files.panoptic_png.parent.mkdir(parents=True, exist_ok=True)
        _write_panoptic(files, _contents(work, panoptic))
    except OSError as error:
        raise StoreError(
            f"the output folder {files.panoptic_png.parent.parent} cannot be written to: "
            f"{error.strerror or error}; check the place and its free space"
        ) from error


def output_files(folder: Path, work: ImageWork) -> OutputFiles:
    """Where an image's result files go."""
    target = folder / output_name(work)
    return OutputFiles(
        overlay=target / "overlay.png",
        panoptic_png=target / "panoptic.png",
        panoptic_json=target / "panoptic.json",
    )


def _contents(work: ImageWork, panoptic: Panoptic) -> dict[str, bytes]:
    stem = output_name(work)
    return {
        f"{stem}.png": coco_png(panoptic),
        f"{stem}.json": json.dumps(
            coco_json(panoptic, work.categories, image_id=1, file_name=Path(stem).name + ".png"),
            ensure_ascii=False,
            indent=1,
        ).encode(),
    }


def _write_panoptic(files: OutputFiles, contents: dict[str, bytes]) -> None:
    png, description = contents.values()
    write_whole(files.panoptic_png, png)
    # Last: where there is a JSON, there is a PNG.
    write_whole(files.panoptic_json, description)


def output_name(work: ImageWork) -> str:
    """A folder name for an image: its file's stem and a few digits of the result's key."""
    stem = re.sub(r"[^\w.-]+", "-", Path(work.image.location.rstrip("/")).stem)[:60].strip("-.")
    return f"{stem or 'image'}-{work.digests['panoptic'][:8]}"
