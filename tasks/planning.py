"""Everything that an image's stages need, with all keys; nothing runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zeropan.choices import Precision
from zeropan.models.presets import ModelIdentities
from zeropan.models.published.components import Role
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import PipelineConfig
from zeropan.tasks.cache_rule import plan_keys
from zeropan.tasks.work import ImageRef, ImageWork, Stage


@dataclass(frozen=True)
class ChosenModels:
    """Which models answer, and in which arithmetic."""

    preset: str
    identities: ModelIdentities
    precisions: Mapping[Role, Precision]
    """As they are on this machine: `zeropan.models.loading.resolve_precisions`."""
    device: str = "auto"


def plan_image(
    image: ImageRef,
    categories: Categories,
    config: PipelineConfig,
    models: ChosenModels,
    *,
    store_url: str,
    max_pixels: int,
    force: tuple[Stage, ...] = (),
) -> ImageWork:
    """What the stages of one image need.

    Args:
        image: where its bytes are, and which.
        categories: in any order.
        config: the parameters of the four steps.
        models: which ones, and how they run.
        store_url: where artifacts are.
        max_pixels: larger images are refused.
        force: stages to compute even if their artifacts are stored.
    """
    keys = plan_keys(image, categories, config, models.identities, models.precisions)
    return ImageWork(
        image=image,
        categories=categories.canonical,
        config=config,
        preset=models.preset,
        models={
            role: {"architecture": one.architecture, "sha256": one.sha256}
            for role, one in models.identities.items()
        },
        device=models.device,
        precisions=dict(models.precisions),
        store_url=store_url,
        max_pixels=max_pixels,
        digests={stage: key.digest for stage, key in keys.stages.items()},
        word_digests={prompt: key.digest for prompt, key in keys.words.items()},
        force=force,
    )
