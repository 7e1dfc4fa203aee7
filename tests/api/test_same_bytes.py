"""The API with and without a store, and the tasks of a flow: one result, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zeropan
from zeropan.choices import Method
from zeropan.flows.chain import run_chain
from zeropan.models.loading import resolve_precisions
from zeropan.models.presets import identities
from zeropan.scenes.render import render_scene
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.config import METHODS
from zeropan.segmentation.images import DEFAULT_MAX_PIXELS
from zeropan.segmentation.records import Panoptic
from zeropan.storage.store import ArtifactStore
from zeropan.tasks.planning import ChosenModels, plan_image
from zeropan.tasks.work import STAGES, ImageRef, ImageWork, image_digest

THINGS, STUFF = ["nigiri", "cup", "egg"], ["wood", "cloth", "marble"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "table.png"
    Image.fromarray(render_scene(1001).image).save(path)
    return path


def work_of(file: Path, store: Path, method: Method) -> ImageWork:
    models = ChosenModels("tiny", identities("tiny"), resolve_precisions("tiny", "auto", "auto"))
    image = ImageRef(location=str(file), sha256=image_digest(file.read_bytes()))
    return plan_image(
        image, Categories.from_words(THINGS, STUFF), METHODS[method], models,
        store_url=str(store), max_pixels=DEFAULT_MAX_PIXELS,
    )  # fmt: skip


@pytest.mark.parametrize("method", ["default", "reference"])
def test_the_api_with_and_without_a_store_and_the_chain_agree(
    file: Path, tmp_path: Path, method: Method
) -> None:
    alone = zeropan.segment(file, THINGS, STUFF, method=method)
    kept = zeropan.segment(file, THINGS, STUFF, method=method, store=tmp_path / "api")
    work = work_of(file, tmp_path / "chain", method)
    outcomes = run_chain(work, as_tasks=False)
    chained = ArtifactStore(work.store_url).read(work.key("panoptic"), Panoptic)
    assert alone.computed == kept.computed == STAGES
    assert [one.how for one in outcomes] == ["computed"] * len(STAGES)
    for found in (alone, kept):
        np.testing.assert_array_equal(found.label_map, chained.label_map)
        assert [(s.id, s.score, s.area) for s in found.segments] == [
            (s.id, s.score, s.area) for s in chained.segments_info
        ]
    for stage in STAGES:
        for key in work.artifacts(stage):
            one, other = (
                ArtifactStore(str(tmp_path / name)).load(
                    ArtifactStore(str(tmp_path / name)).marker(key)
                )
                for name in ("api", "chain")
            )
            chunks = {name for name in one if not name.endswith("zarr.json")}
            assert chunks and {n: one[n] for n in chunks} == {n: other[n] for n in chunks}


def test_a_store_that_one_has_written_serves_the_other(file: Path, tmp_path: Path) -> None:
    zeropan.segment(file, THINGS, STUFF, store=tmp_path / "api")
    outcomes = run_chain(work_of(file, tmp_path / "api", "default"), as_tasks=False)
    assert [one.how for one in outcomes] == ["cached"] * len(STAGES)
    run_chain(work_of(file, tmp_path / "chain", "default"), as_tasks=False)
    served = zeropan.segment(file, THINGS, STUFF, store=str(tmp_path / "chain"))
    assert served.computed == ()
    fewer = served.rerun(things={"box_threshold": 0.6})
    assert fewer.computed == ("things", "stuff_regions", "stuff_masks", "panoptic")
    assert len(fewer.segments) <= len(served.segments)


def test_a_damaged_artifact_is_computed_again(file: Path, tmp_path: Path) -> None:
    first = zeropan.segment(file, THINGS, STUFF, store=tmp_path / "api")
    chunk = next(path for path in (tmp_path / "api" / "panoptic").rglob("0") if path.is_file())
    chunk.write_bytes(b"changed")
    again = zeropan.segment(file, THINGS, STUFF, store=tmp_path / "api")
    assert again.computed == ("panoptic",)
    np.testing.assert_array_equal(again.label_map, first.label_map)


def test_a_word_more_or_less_scores_that_word_alone(file: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    words = [STUFF[:2], STUFF, [STUFF[2], STUFF[0]], ["slate", *STUFF]]
    scored = []
    for stuff in words:
        zeropan.segment(file, THINGS, stuff, store=store)
        scored.append(len(list((store / "score_stuff").glob("*.json"))))
    assert scored == [2, 3, 3, 4]
    assert len(list((store / "embed_image").glob("*.json"))) == 1
    assert len(list((store / "ground_things").glob("*.json"))) == 1
