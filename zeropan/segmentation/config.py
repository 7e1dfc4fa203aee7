"""The parameters of the four steps: one frozen pydantic model each.

The same models feed the command line, the Prefect UI's form, the YAML file, the cache key and
MLflow. A field that is here changes a result; nothing else (paths, devices, log levels) is. A field
that is added to a stage names its `neutral` value, and enters a key only where it differs from it.

`METHODS` holds the two named methods: "default" and "reference", the public proof of concept
panoptic-segment-anything (segments-ai, Apache-2.0), as far as it is well defined.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from zeropan.choices import Method

METHOD_NAMES: tuple[Method, ...] = get_args(Method)


class StageConfig(BaseModel):
    """Base of every stage's parameters: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def neutral(value: object) -> dict[str, Any]:
    """For `json_schema_extra` of a field that is added to a stage later: the value without effect.

    Where the field has it, results are those of the time before the field, and so are the keys.
    """
    return {"neutral": value}


def key_part(config: StageConfig) -> dict[str, Any]:
    """What of a stage's parameters enters its key, as JSON values.

    Every field, but for those that were added later and have their neutral value.
    """
    values = config.model_dump(mode="json")
    for name, field in type(config).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and "neutral" in extra and values[name] == extra["neutral"]:
            del values[name]
    return values


class ThingsConfig(StageConfig):
    """Step 1: which boxes are kept, and how SAM turns them into masks."""

    box_threshold: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Least detector score of a kept box; probability, 0 to 1.",
    )
    text_threshold: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Least score that every token of a category's prompt must reach for the box "
        "to bear that category; probability, 0 to 1.",
    )
    token_score: Literal["mean", "max"] = Field(
        default="mean", description="How a prompt's token scores become one score: mean or max."
    )
    nms_iou: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="Of two boxes, whatever their categories, that overlap by more than this "
        "intersection over union (0 to 1), the lower score is dropped; 1 keeps all.",
    )
    max_boxes: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Most boxes kept in an image, best scores first; count.",
    )
    mask_threshold: float = Field(
        default=0.0,
        ge=-20,
        le=20,
        description="SAM logit above which a pixel is in the mask; logit.",
    )


class StuffRegionsConfig(StageConfig):
    """Step 2: which pixels count as a stuff word's coarse region."""

    background_threshold: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Least probability (0 to 1) of the best stuff word; below it a pixel is "
        "unlabelled.",
    )
    thing_margin_px: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Things are grown by this many pixels before they are taken out of the "
        "regions; pixels.",
    )


class StuffMasksConfig(StageConfig):
    """Step 3: how points are sampled from the regions, and how SAM answers them."""

    prompt_by: Literal["region", "part"] = Field(
        default="region",
        description="Sampling `spread` prompts SAM once for a stuff word's whole region, or once "
        "for each connected part of it.",
    )
    points_per_region: int = Field(
        default=32, ge=1, le=1000, description="Points of one prompt; count."
    )
    sampling: Literal["spread", "score"] = Field(
        default="spread",
        description="spread: points far from the border and from each other; score: drawn at "
        "random in proportion to the region's scores, once for a whole region, the largest region "
        "getting all points and smaller ones fewer.",
    )
    erosion: float = Field(
        default=0.02,
        ge=0,
        le=0.5,
        description="Regions shrink by this much before points are sampled, as a share of the "
        "image's shorter side; 0 to 0.5.",
    )
    erosion_px: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Side of a square kernel that erodes the regions, used instead of `erosion` "
        "when above 0; pixels.",
    )
    min_region_area: float = Field(
        default=0.002,
        ge=0,
        le=1,
        description="Connected parts of a region below this share of the image (0 to 1) prompt "
        "nothing.",
    )
    multimask: Literal["single", "best", "union"] = Field(
        default="single",
        description="SAM's answer: its single-mask output, the best of its three outputs by its "
        "own estimate, or the union of the three.",
    )
    mask_threshold: float = Field(
        default=-2.2,
        ge=-20,
        le=20,
        description="SAM logit above which a pixel is in the mask; logit.",
    )
    negative_points: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Points on other stuff words' regions that the mask must not hold, for each "
        "prompt of sampling `spread`; count.",
    )
    majority: bool = Field(
        default=False,
        description="Refuse an answer of SAM of which another stuff word's region covers more "
        "than the region that asked for it.",
    )
    min_agreement: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Least share (0 to 1) of an answer of SAM that must lie on the region that "
        "asked for it; else the answer is refused.",
    )
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="Seed of the random point sampling; integer."
    )


class PanopticConfig(StageConfig):
    """Step 4: who gets a pixel that several masks claim, and what is too small to stay."""

    overlap: Literal["score", "small", "paint"] = Field(
        default="small",
        description="A pixel that several things claim goes to the higher score, to the smaller "
        "mask, or to the one painted last (paint: best score first, as the proof of concept does).",
    )
    min_thing_area: float = Field(
        default=0.0005,
        ge=0,
        le=1,
        description="Things whose visible part is below this share of the image are dropped; "
        "0 to 1.",
    )
    min_stuff_area: float = Field(
        default=0.005,
        ge=0,
        le=1,
        description="Stuff whose visible part is below this share of the image is dropped; 0 to 1.",
    )
    max_hole_area: float = Field(
        default=0.0005,
        ge=0,
        le=1,
        description="Holes in a thing's mask up to this share of the image are filled; 0 to 1.",
    )
    max_crumb_area: float = Field(
        default=0.0005,
        ge=0,
        le=1,
        description="Detached parts of a thing's mask up to this share of the image are removed, "
        "but for the largest; 0 to 1.",
    )
    min_visible_share: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="A thing of whose mask less than this share (0 to 1) stays visible under "
        "better ones is dropped.",
    )
    fill: Literal["none", "confirmed", "region"] = Field(
        default="none",
        description="Pixels that no mask claims: none: left unlabelled; confirmed: taken from the "
        "coarse regions of stuff words that have a SAM mask; region: from any coarse region.",
    )


class PipelineConfig(StageConfig):
    """The parameters of the four steps together."""

    things: ThingsConfig = Field(
        default=ThingsConfig(), description="Step 1: boxes of things become masks."
    )
    stuff_regions: StuffRegionsConfig = Field(
        default=StuffRegionsConfig(), description="Step 2: the coarse regions of stuff."
    )
    stuff_masks: StuffMasksConfig = Field(
        default=StuffMasksConfig(), description="Step 3: the regions become masks."
    )
    panoptic: PanopticConfig = Field(
        default=PanopticConfig(), description="Step 4: things and stuff become one label map."
    )


METHODS: dict[Method, PipelineConfig] = {
    "default": PipelineConfig(),
    "reference": PipelineConfig(
        things=ThingsConfig(
            box_threshold=0.3, text_threshold=0.25, token_score="max", nms_iou=1.0, max_boxes=10_000
        ),
        stuff_regions=StuffRegionsConfig(background_threshold=0.1),
        stuff_masks=StuffMasksConfig(
            points_per_region=1000,
            sampling="score",
            erosion=0,
            erosion_px=20,
            min_region_area=0,
            multimask="union",
            # The proof of concept holds SAM's probability, not its logit, against 0.1.
            mask_threshold=-2.1972246,
            majority=False,
            min_agreement=0,
        ),
        panoptic=PanopticConfig(
            overlap="paint",
            min_thing_area=0,
            min_stuff_area=0,
            max_hole_area=0,
            max_crumb_area=0,
            min_visible_share=0,
            fill="none",
        ),
    ),
}
