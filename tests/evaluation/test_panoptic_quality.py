"""Panoptic quality: cases by hand, and against two independent implementations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from PIL import Image

from zeropan.errors import RecordError
from zeropan.evaluation.panoptic_quality import PanopticQuality, Quality, QualityReport
from zeropan.evaluation.truth import GroundTruth, TruthSegment
from zeropan.segmentation.categories import Categories
from zeropan.segmentation.records import Panoptic, SegmentInfo

ISTHING = {1: True, 2: True, 3: False, 4: False}


def truth_of(
    label_map: ArrayLike, categories: dict[int, int], crowds: tuple[int, ...] = ()
) -> GroundTruth:
    labels = np.array(label_map, dtype=np.int32)
    return GroundTruth(
        labels,
        tuple(
            TruthSegment(i, categories[i], iscrowd=i in crowds)
            for i in np.unique(labels[labels != 0]).tolist()
        ),
    )


def result_of(label_map: ArrayLike, categories: dict[int, int]) -> Panoptic:
    labels = np.array(label_map, dtype=np.int32)
    ids, areas = np.unique(labels[labels != 0], return_counts=True)
    return Panoptic(
        labels,
        tuple(
            SegmentInfo(i, categories[i], ISTHING[categories[i]], area, (0, 0, 1, 1), 1.0)
            for i, area in zip(ids.tolist(), areas.tolist(), strict=True)
        ),
    )


def quality_of(truth: GroundTruth, prediction: Panoptic) -> QualityReport:
    quality = PanopticQuality(ISTHING)
    quality.add(truth, prediction)
    return quality.result()


def test_a_perfect_result_scores_one_whatever_its_ids() -> None:
    truth = truth_of([[1, 1, 2, 2], [3, 3, 3, 3]], {1: 1, 2: 1, 3: 3})
    prediction = result_of([[9, 9, 4, 4], [7, 7, 7, 7]], {9: 1, 4: 1, 7: 3})
    report = quality_of(truth, prediction)
    assert report.all == Quality(1.0, 1.0, 1.0, 2)
    assert report.things == Quality(1.0, 1.0, 1.0, 1)
    assert report.stuff == Quality(1.0, 1.0, 1.0, 1)
    assert not report.per_category[2].occurs


def test_nothing_against_nothing_has_no_quality() -> None:
    report = quality_of(truth_of([[0, 0]], {}), result_of([[0, 0]], {}))
    assert (report.all, report.things, report.stuff) == (None, None, None)


def test_an_empty_prediction_misses_every_segment() -> None:
    report = quality_of(truth_of([[1, 1, 2]], {1: 1, 2: 3}), result_of([[0, 0, 0]], {}))
    assert report.all == Quality(0.0, 0.0, 0.0, 2)
    assert [report.per_category[i].false_negatives for i in (1, 2, 3)] == [1, 0, 1]


def test_a_shifted_segment_scores_its_iou() -> None:
    # 4 true pixels, 4 predicted, 3 shared: IoU 3/5.
    truth = truth_of([[1, 1, 1, 1, 2]], {1: 1, 2: 3})
    prediction = result_of([[2, 1, 1, 1, 1]], {1: 1, 2: 3})
    report = quality_of(truth, prediction)
    assert report.things == Quality(3 / 5, 3 / 5, 1.0, 1)
    assert report.stuff == Quality(0.0, 0.0, 0.0, 1)
    assert (report.per_category[3].false_positives, report.per_category[3].false_negatives) == (
        1,
        1,
    )


def test_half_an_overlap_is_no_match() -> None:
    report = quality_of(truth_of([[1, 1]], {1: 1}), result_of([[5, 0]], {5: 1}))
    assert report.per_category[1].true_positives == 0
    assert report.per_category[1].false_positives == 1
    assert report.per_category[1].false_negatives == 1


def test_two_merged_instances_match_neither() -> None:
    truth = truth_of([[1, 1, 2, 2]], {1: 1, 2: 1})
    counts = quality_of(truth, result_of([[5, 5, 5, 5]], {5: 1})).per_category[1]
    assert (counts.true_positives, counts.false_positives, counts.false_negatives) == (0, 1, 2)


def test_a_split_instance_matches_its_larger_part() -> None:
    truth = truth_of([[1, 1, 1]], {1: 1})
    counts = quality_of(truth, result_of([[5, 5, 6]], {5: 1, 6: 1})).per_category[1]
    assert (counts.true_positives, counts.false_positives, counts.false_negatives) == (1, 1, 0)
    assert counts.pq == pytest.approx(2 / 3 / 1.5)


def test_another_category_is_no_match() -> None:
    report = quality_of(truth_of([[1, 1]], {1: 1}), result_of([[1, 1]], {1: 2}))
    assert report.per_category[1].false_negatives == 1
    assert report.per_category[2].false_positives == 1


def test_void_does_not_count_for_the_union() -> None:
    truth = truth_of([[1, 1, 1, 0, 0]], {1: 1})
    report = quality_of(truth, result_of([[5, 5, 5, 5, 5]], {5: 1}))
    assert report.things == Quality(1.0, 1.0, 1.0, 1)


def test_a_prediction_mostly_in_void_is_ignored() -> None:
    truth = truth_of([[1, 0, 0, 0]], {1: 3})
    assert quality_of(truth, result_of([[5, 5, 5, 5]], {5: 1})).per_category[1].false_positives == 0
    half = quality_of(truth, result_of([[5, 5, 0, 0]], {5: 1})).per_category[1]
    assert half.false_positives == 1


def test_crowds_are_neither_matched_nor_missed() -> None:
    truth = truth_of([[1, 1, 1, 2]], {1: 1, 2: 1}, crowds=(1,))
    exact = quality_of(truth, result_of([[5, 5, 5, 6]], {5: 1, 6: 1})).per_category[1]
    assert (exact.true_positives, exact.false_positives, exact.false_negatives) == (1, 0, 0)
    other = quality_of(truth, result_of([[5, 5, 5, 6]], {5: 2, 6: 1}))
    assert other.per_category[2].false_positives == 1


def test_counts_of_images_merge_in_any_order() -> None:
    images = [
        (truth_of([[1, 1, 2]], {1: 1, 2: 3}), result_of([[1, 2, 2]], {1: 1, 2: 3})),
        (truth_of([[1, 1, 2]], {1: 1, 2: 3}), result_of([[1, 1, 2]], {1: 1, 2: 3})),
    ]
    together, first, second = (PanopticQuality(ISTHING) for _ in range(3))
    for truth, prediction in images:
        together.add(truth, prediction)
    first.add(*images[0])
    second.add(*images[1])
    second.merge(first)
    assert second.result() == together.result()


def test_other_categories_are_refused() -> None:
    quality = PanopticQuality({1: True})
    truth, prediction = truth_of([[1]], {1: 1}), result_of([[1]], {1: 2})
    with pytest.raises(RecordError, match=r"prediction: expected category ids of \[1\], got \[2\]"):
        quality.add(truth, prediction)
    with pytest.raises(RecordError, match="merge counts of the same categories"):
        quality.merge(PanopticQuality(ISTHING))
    with pytest.raises(RecordError, match=r"expected \(1, 2\)"):
        PanopticQuality(ISTHING).add(truth_of([[1, 1]], {1: 1}), result_of([[1]], {1: 1}))


def test_categories_give_ids_in_order() -> None:
    quality = PanopticQuality.of(Categories.from_words(["cup"], ["wood"]))
    quality.add(truth_of([[1, 2]], {1: 1, 2: 2}), result_of([[1, 2]], {1: 1, 2: 3 - 1}))
    report = quality.result()
    assert report.things is not None and report.things.categories == 1
    assert report.stuff is not None and report.stuff.categories == 1


def test_truth_lists_exactly_the_ids_of_its_map() -> None:
    labels = np.array([[1, 0]], dtype=np.int32)
    with pytest.raises(RecordError, match=r"ids \[1\], got \[\]"):
        GroundTruth(labels, ())
    with pytest.raises(RecordError, match=r"ids \[1\], got \[1, 2\]"):
        GroundTruth(labels, (TruthSegment(1, 1), TruthSegment(2, 1)))
    with pytest.raises(RecordError, match="label_map: expected"):
        GroundTruth(labels.astype(np.int64), (TruthSegment(1, 1),))


def test_a_result_is_its_own_truth() -> None:
    prediction = result_of([[1, 2, 0]], {1: 1, 2: 3})
    assert quality_of(GroundTruth.of(prediction), prediction).all == Quality(1.0, 1.0, 1.0, 2)


@st.composite
def image_pairs(
    draw: st.DrawFn, *, unlabelled: bool = True, one_stuff: bool = False
) -> tuple[GroundTruth, Panoptic]:
    """A truth with void and at most one crowd a category, and a disturbed copy as prediction."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 6))
    height, width = 12, 14
    maps = []
    centres = rng.random((count + 1, 2)) * (height, width)
    for noise in (0.0, draw(st.sampled_from([0.0, 1.0, 3.0]))):
        y, x = np.mgrid[:height, :width]
        moved = centres + rng.normal(size=centres.shape) * noise
        distance = (y[..., None] - moved[:, 0]) ** 2 + (x[..., None] - moved[:, 1]) ** 2
        maps.append(distance.argmin(axis=2).astype(np.int32))
    true_map, guess_map = maps
    if not unlabelled:
        guess_map = np.where(guess_map == 0, count + 1, guess_map).astype(np.int32)
    category_of = dict(enumerate(rng.integers(1, 5, size=count + 1).tolist(), start=1))
    guess_of = {
        i: c if rng.random() < 0.8 else int(rng.integers(1, 5)) for i, c in category_of.items()
    }
    if one_stuff:
        true_map, category_of = _one_segment_each(true_map, category_of)
        guess_map, guess_of = _one_segment_each(guess_map, guess_of)
    crowds: dict[int, int] = {}
    if unlabelled:
        for label in np.unique(true_map[true_map != 0]).tolist():
            if rng.random() < 0.3:
                crowds.setdefault(category_of[label], label)
    return truth_of(true_map, category_of, tuple(crowds.values())), result_of(guess_map, guess_of)


def _one_segment_each(
    labels: np.ndarray, categories: dict[int, int]
) -> tuple[np.ndarray, dict[int, int]]:
    merged = {i: (100 + c if not ISTHING[c] else i) for i, c in categories.items()}
    out = np.array([merged.get(i, 0) for i in range(max(categories) + 1)], dtype=np.int32)[labels]
    return out, {merged[i]: c for i, c in categories.items()}


@given(st.lists(image_pairs(), min_size=1, max_size=3))
def test_agrees_with_hotcoco(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[GroundTruth, Panoptic]]
) -> None:
    panoptic = pytest.importorskip("hotcoco.panoptic")
    folder = tmp_path_factory.mktemp("pq")
    quality = PanopticQuality(ISTHING)
    for truth, prediction in pairs:
        quality.add(truth, prediction)
    report = quality.result()
    true_json = _write_coco(folder, "true", [truth for truth, _ in pairs])
    guess_json = _write_coco(folder, "guess", [GroundTruth.of(guess) for _, guess in pairs])
    evaluation = panoptic.PanopticEval(str(true_json), str(guess_json))
    evaluation.evaluate()
    expected = evaluation.results()
    for name, mine in (("All", report.all), ("Things", report.things), ("Stuff", report.stuff)):
        if mine is None:
            assert expected[name]["n"] == 0
            continue
        assert expected[name]["n"] == mine.categories
        for key in ("pq", "sq", "rq"):
            assert getattr(mine, key) == pytest.approx(expected[name][key], abs=1e-9)


def _write_coco(folder: Path, name: str, images: list[GroundTruth]) -> Path:
    (folder / name).mkdir()
    annotations = []
    for index, image in enumerate(images):
        labels = image.label_map.astype(np.uint32)
        rgb = np.stack([labels % 256, labels // 256 % 256, labels // 65536], axis=2)
        Image.fromarray(rgb.astype(np.uint8)).save(folder / name / f"{index}.png")
        segments = [
            {
                "id": segment.id,
                "category_id": segment.category_id,
                "iscrowd": int(segment.iscrowd),
                "area": int((labels == segment.id).sum()),
                "bbox": [0, 0, 1, 1],
            }
            for segment in image.segments
        ]
        annotations.append(
            {"image_id": index, "file_name": f"{index}.png", "segments_info": segments}
        )
    height, width = images[0].label_map.shape
    content = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "height": height, "width": width}
            for i in range(len(images))
        ],
        "annotations": annotations,
        "categories": [
            {"id": i, "name": str(i), "isthing": int(isthing)} for i, isthing in ISTHING.items()
        ],
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return path


@given(st.lists(image_pairs(unlabelled=False, one_stuff=True), min_size=1, max_size=2))
def test_agrees_with_torchmetrics(pairs: list[tuple[GroundTruth, Panoptic]]) -> None:
    # torchmetrics also ignores what a prediction leaves unlabelled, which COCO does not, so here
    # predictions are whole and nothing is a crowd.
    detection = pytest.importorskip("torchmetrics.detection")
    torch = pytest.importorskip("torch")
    quality = PanopticQuality(ISTHING)
    metric = detection.PanopticQuality(
        things={i for i, isthing in ISTHING.items() if isthing},
        stuffs={i for i, isthing in ISTHING.items() if not isthing},
        allow_unknown_preds_category=True,
        return_sq_and_rq=True,
    )
    void = 99
    for truth, prediction in pairs:
        quality.add(truth, prediction)
        images = []
        for truth_like in (GroundTruth.of(prediction), truth):
            lookup = {segment.id: segment.category_id for segment in truth_like.segments} | {
                0: void
            }
            labels = truth_like.label_map
            category = np.vectorize(lookup.__getitem__, otypes=[np.int64])(labels)
            images.append(torch.from_numpy(np.stack([category, labels.astype(np.int64)], -1))[None])
        images[1][images[1][..., 0] == void] = torch.tensor(metric.void_color)
        metric.update(*images)
    report = quality.result()
    assert report.all is not None
    pq, sq, rq = metric.compute().tolist()
    # torchmetrics works in float32.
    assert (report.all.pq, report.all.sq, report.all.rq) == pytest.approx((pq, sq, rq), abs=1e-6)
