"""The files a person takes away: the overlay picture and the panoptic PNG with its JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zeropan.errors import BadImage, StoreError, TransientError
from zeropan.machine.files import write_whole
from zeropan.pictures.encoding import EncodedPicture
from zeropan.pictures.panels import StepRecords
from zeropan.segmentation.coco_panoptic import coco_json, coco_png
from zeropan.segmentation.records import (
    GroundedBoxes,
    Panoptic,
    StuffMasks,
    StuffRegions,
    ThingMasks,
    UInt8,
)
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.pixels import image_pixels
from zeropan.tasks.stages import stuff_logits
from zeropan.tasks.work import ImageRef, ImageWork


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
    try:
        return image_pixels(image, max_pixels=max_pixels), None
    except (BadImage, TransientError) as error:
        white = np.full((*panoptic.label_map.shape, 3), 255, dtype=np.uint8)
        return white, f"{error}; the stored results are shown on white"


def write_overlay(files: OutputFiles, overlay: EncodedPicture) -> None:
    """Write an image's overlay picture.

    Raises:
        StoreError: the folder cannot be written to, such as a full disk.
    """
    with _writing(files):
        write_whole(files.overlay, overlay.png)


def write_panoptic(files: OutputFiles, work: ImageWork) -> None:
    """Write the panoptic PNG and JSON of an image whose result is stored; no picture.

    Raises:
        StoreError: the folder cannot be written to, such as a full disk.
    """
    panoptic = ArtifactStore(work.store_url).read(work.key("panoptic"), Panoptic)
    png, description = panoptic_files(work, panoptic).values()
    with _writing(files):
        write_whole(files.panoptic_png, png)
        # Last: where there is a JSON, there is a PNG.
        write_whole(files.panoptic_json, description)


@contextmanager
def _writing(files: OutputFiles) -> Iterator[None]:
    folder = files.panoptic_png.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise StoreError(
            f"the output folder {folder.parent} cannot be written to: "
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


def panoptic_files(work: ImageWork, panoptic: Panoptic) -> dict[str, bytes]:
    """The panoptic PNG and its JSON, by names that tell images apart."""
    stem = output_name(work)
    return {
        f"{stem}.png": coco_png(panoptic),
        f"{stem}.json": json.dumps(
            coco_json(panoptic, work.categories, image_id=1, file_name=Path(stem).name + ".png"),
            ensure_ascii=False,
            indent=1,
        ).encode(),
    }


def output_name(work: ImageWork) -> str:
    """A folder name for an image: its file's stem and a few digits of the result's key."""
    stem = re.sub(r"[^\w.-]+", "-", Path(work.image.location.rstrip("/")).stem)[:60].strip("-.")
    return f"{stem or 'image'}-{work.digests['panoptic'][:8]}"
