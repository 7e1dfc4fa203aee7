"""The Python API: an image and words in, a `Result` out. No server, no tracking, no files.

It runs the stages that the command runs, under the same keys, over a store in memory or, with
`store=`, over the command's own. Models are loaded once a process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zeropan.choices import Method, PrecisionChoice
from zeropan.errors import BadConfig
from zeropan.given import (
    GivenImage,
    Picture,
    Word,
    changed_config,
    given_image,
    given_words,
)
from zeropan.models.loading import PresetModels, resolve_device, resolve_precisions
from zeropan.models.presets import find_preset, identities
from zeropan.result import Result, Segment
from zeropan.segmentation.categories import Categories, Category
from zeropan.segmentation.config import METHOD_NAMES, PipelineConfig
from zeropan.segmentation.images import DEFAULT_MAX_PIXELS
from zeropan.segmentation.records import Panoptic
from zeropan.storage.memory import MemoryStore
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.planning import ChosenModels, plan_image
from zeropan.tasks.reuse import run_stages
from zeropan.tasks.stages import Means

__all__ = ["Category", "Picture", "Result", "Segment", "Word", "segment", "segment_many"]


def segment(
    image: Picture,
    things: str | Iterable[Word] = (),
    stuff: str | Iterable[Word] = (),
    *,
    preset: str = "tiny",
    config: Mapping[str, Mapping[str, Any]] | PipelineConfig | None = None,
    method: Method = "default",
    device: str = "auto",
    precision: PrecisionChoice = "auto",
    store: str | os.PathLike[str] | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Result:
    """Segment one image.

    Args:
        image: a path, an fsspec URL, a file's bytes, a Pillow image, or uint8 (H, W, 3) in RGB.
        things: countable objects: words, or categories such as
            {"name": "cup", "prompts": ["cup", "mug"], "box_threshold": 0.4}; or one text with
            commas between the words.
        stuff: surfaces and materials, likewise, with `background_threshold`.
        preset: the models: "tiny" is bundled and knows only rendered tabletop scenes; "base",
            "reference" and "large" are published ones, which `zeropan models pull` gets.
        config: parameters that differ from the method's, by step:
            {"things": {"box_threshold": 0.25}}; or a whole `PipelineConfig`.
        method: "default", or "reference": the parameters of the proof of concept.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: of the backbones: "fp32", "bf16", or "auto": bf16 where the device is fast at it.
        store: a folder or an fsspec URL: what is stored there is not computed again, and what is
            computed is stored, under the keys of the command. None keeps it in the result.
        max_pixels: larger images are refused before they are decoded.

    Returns:
        The label map and its segments.

    Raises:
        BadImage: the image is missing, damaged, too large, or of another type or shape.
        BadCategories: no word at all, a word twice, or a category that cannot be understood.
        BadConfig: a name is not known, or a parameter is unknown or out of range.
        WeightsMissing: the preset's files are not there.
        StoreError: the store cannot be written to.
    """
    session = _Session.of(
        given_words(things, stuff), config, preset, method, device, precision, store, max_pixels
    )
    return session.segment(given_image(image, max_pixels), session.new_store())


def segment_many(
    images: Iterable[Picture],
    things: str | Iterable[Word] = (),
    stuff: str | Iterable[Word] = (),
    *,
    preset: str = "tiny",
    config: Mapping[str, Mapping[str, Any]] | PipelineConfig | None = None,
    method: Method = "default",
    device: str = "auto",
    precision: PrecisionChoice = "auto",
    store: str | os.PathLike[str] | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Iterator[Result]:
    """Segment images one after the other, each when its result is asked for.

    Words, parameters and models are checked at once, before the first image. The arguments are
    those of `segment`. For many thousands of images, several processes, and images that may be
    broken, there is the command `zeropan run`.

    Raises:
        BadImage: an image cannot be used; those after it are not reached.
        ZeropanError: as `segment`.
    """
    session = _Session.of(
        given_words(things, stuff), config, preset, method, device, precision, store, max_pixels
    )

    def results() -> Iterator[Result]:
        for image in images:
            yield session.segment(given_image(image, max_pixels), session.new_store())

    return results()


@dataclass(frozen=True, eq=False)
class _Session:
    """What is the same for all images of a call."""

    categories: Categories
    """In the user's order."""
    config: PipelineConfig
    models: ChosenModels
    store: str | None
    max_pixels: int

    @classmethod
    def of(
        cls,
        categories: Categories,
        config: Mapping[str, Mapping[str, Any]] | PipelineConfig | None,
        preset: str,
        method: str,
        device: str,
        precision: PrecisionChoice,
        store: str | os.PathLike[str] | None,
        max_pixels: int,
    ) -> _Session:
        if method not in METHOD_NAMES:
            raise BadConfig(f"method {method!r} is not known; use one of {', '.join(METHOD_NAMES)}")
        if precision not in ("auto", "fp32", "bf16"):
            raise BadConfig(f"precision {precision!r} is not known; use auto, fp32 or bf16")
        chosen = find_preset(preset)
        usual = chosen.config_for("reference" if method == "reference" else "default")
        resolve_device(device)
        models = ChosenModels(
            chosen.name,
            identities(preset),
            resolve_precisions(preset, device, precision),
            device,
        )
        place = None if store is None else os.fspath(store)
        if place is not None and "://" not in place:
            place = str(Path(place).expanduser().absolute())
        whole = (
            config if isinstance(config, PipelineConfig) else changed_config(usual, config or {})
        )
        return cls(categories, whole, models, place, max_pixels)

    def new_store(self) -> MemoryStore | ArtifactStore:
        return MemoryStore() if self.store is None else ArtifactStore(self.store)

    def segment(self, image: GivenImage, store: MemoryStore | ArtifactStore) -> Result:
        work = plan_image(
            image.ref, self.categories, self.config, self.models,
            store_url=store.url, max_pixels=self.max_pixels,
        )  # fmt: skip
        models = PresetModels(work.preset, work.device, work.precisions)
        outcomes = run_stages(work, store, Means(models, lambda _: image.pixels()))

        def rerun(changes: Mapping[str, Mapping[str, Any]]) -> Result:
            changed = replace(self, config=changed_config(self.config, changes))
            # What is in memory is shared; what the re-run adds belongs to its result.
            again = store.copy() if isinstance(store, MemoryStore) else store
            return changed.segment(image, again)

        return Result(
            store.read(work.key("panoptic"), Panoptic),
            self.categories,
            name=image.name,
            computed=tuple(one.stage for one in outcomes if one.how == "computed"),
            image=image.pixels,
            rerun=rerun,
        )
