"""Presets: named sets of the three models, and where their files are.

The tiny preset ships with zeropan. A published model is a folder of its component's name under
`ZEROPAN_MODELS` (by default ~/.cache/zeropan/models), as `zeropan models pull` makes it.

A preset may be followed by components that stand in for its own: "base+sam_vit_l".
"""

from __future__ import annotations

import difflib
from collections.abc import ItemsView
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zeropan.choices import Method
from zeropan.errors import BadConfig, WeightsMissing
from zeropan.machine.environment import environment
from zeropan.models.folders import WEIGHTS, folder_identity
from zeropan.models.protocols import ModelIdentity
from zeropan.models.published.components import COMPONENTS, Component, Role
from zeropan.segmentation.config import METHODS, PipelineConfig

BUNDLED = Path(__file__).parent / "weights" / "tiny"
ROLES: tuple[Role, ...] = ("detector", "segmenter", "text_segmenter")
TINY = (
    Component("grounding_dino", "detector", "groundingdino", "tiny Grounding DINO", "ours", ()),
    Component("segment_anything", "segmenter", "segment_anything", "tiny SAM", "ours", ()),
    Component("clipseg", "text_segmenter", "clipseg", "tiny CLIPSeg", "ours", ()),
)
"""The models that ship with zeropan."""


@dataclass(frozen=True)
class Preset:
    """A named set of three models."""

    name: str
    description: str
    components: tuple[Component, ...]
    """One of each role, in the order of `ROLES`."""
    overrides: tuple[tuple[str, str, Any], ...] = ()
    """(stage, field, value): where this preset's default method differs from the general one,
    by measurement."""

    def component(self, role: Role) -> Component:
        """The model in this role."""
        return self.components[ROLES.index(role)]

    def config_for(self, method: Method) -> PipelineConfig:
        """The parameters of a method with this preset; the reference is the same for all."""
        config = METHODS[method]
        if method == "reference":
            return config
        stages = {stage: getattr(config, stage) for stage, _, _ in self.overrides}
        for stage, field, value in self.overrides:
            stages[stage] = stages[stage].model_copy(update={field: value})
        return config.model_copy(update=stages)


def _published(*names: str) -> tuple[Component, ...]:
    return tuple(COMPONENTS[name] for name in names)


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "tiny",
            "small models trained on rendered tabletop scenes; they know only those words",
            TINY,
        ),
        Preset(
            "base",
            "the published models, with the smallest SAM",
            _published("grounding_dino_swin_t", "sam_vit_b", "clipseg_rd64"),
        ),
        Preset(
            "reference",
            "the published models of the proof of concept",
            _published("grounding_dino_swin_t", "sam_vit_h", "clipseg_rd64"),
        ),
        Preset(
            "large",
            "the largest Grounding DINO and SAM",
            _published("grounding_dino_swin_b", "sam_vit_h", "clipseg_rd64"),
        ),
    )
}


@dataclass(frozen=True)
class ModelIdentities:
    """Which three models a preset's results come from."""

    detector: ModelIdentity
    segmenter: ModelIdentity
    text_segmenter: ModelIdentity

    def items(self) -> ItemsView[Role, ModelIdentity]:
        """Pairs of role and identity."""
        return {role: getattr(self, role) for role in ROLES}.items()


def models_folder() -> Path:
    """Where weights that do not ship with zeropan are kept."""
    configured = environment().models
    return Path(configured) if configured else Path.home() / ".cache" / "zeropan" / "models"


def folder_of(component: Component) -> Path:
    """Where a component's files are, or should be."""
    return (BUNDLED if component in TINY else models_folder()) / component.name


def parse_preset(name: str) -> Preset:
    """A preset from its name, with the components that stand in for its own.

    Args:
        name: such as "base", or "base+sam_vit_l+mm_grounding_dino_tiny".

    Raises:
        BadConfig: no preset or component has such a name.
    """
    first, *others = (part.strip() for part in name.split("+"))
    preset = PRESETS[_known(first, list(PRESETS), "preset")]
    components = list(preset.components)
    for other in others:
        component = COMPONENTS[_known(other, list(COMPONENTS), "model")]
        components[ROLES.index(component.role)] = component
    return replace(preset, name="+".join([first, *others]), components=tuple(components))


def _known(name: str, known: list[str], what: str) -> str:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0)
        raise BadConfig(
            f"{what} {name!r} is not known; use one of {', '.join(known)} "
            f"(the nearest is {near[0]!r})"
        )
    return name


def find_preset(name: str, *, need_weights: bool = True) -> Preset:
    """The preset of this name, with all its files there unless they are not needed.

    Raises:
        BadConfig: no preset or component has such a name.
        WeightsMissing: a model's files are absent.
    """
    preset = parse_preset(name)
    missing = [
        component
        for component in preset.components
        if need_weights and not (folder_of(component) / WEIGHTS).is_file()
    ]
    if bundled := [component for component in missing if component in TINY]:
        raise WeightsMissing(
            f"{folder_of(bundled[0])}, which ships with zeropan, is not there; "
            "install zeropan again"
        )
    if missing:
        files = [file for component in missing for file in component.files]
        listed = ", ".join(f"{file.name} ({size_text(file.bytes)})" for file in files)
        raise WeightsMissing(
            f"preset {name!r} needs files that are not in {models_folder()}: {listed}; get them "
            f"with `zeropan models pull {name}`, or from a folder of files fetched otherwise with "
            f"`zeropan models pull {name} --from FOLDER`, or copy the models folder of a machine "
            "that has them and set ZEROPAN_MODELS to it"
        )
    return preset


def size_text(number: int | None) -> str:
    """Bytes for people, in decimal units."""
    if number is None:
        return "size not published"
    if number >= 10**9:
        return f"{number / 1e9:.2f} GB"
    return f"{number / 1e6:.0f} MB" if number >= 10**6 else f"{max(number // 1000, 1)} kB"


def identities(name: str) -> ModelIdentities:
    """The identities of a preset's three models, by the bytes of their files.

    Raises:
        BadConfig: no preset has this name.
        WeightsMissing: a model's files are absent.
    """
    preset = find_preset(name)
    return ModelIdentities(
        **{role: folder_identity(folder_of(preset.component(role))) for role in ROLES}
    )
