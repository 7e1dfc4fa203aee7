"""One suite for every place that a store can be in."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zarr.storage import ZipStore

from zeropan.errors import (
    ArtifactDamaged,
    ArtifactMissing,
    BadConfig,
    BadInput,
    StoreError,
)
from zeropan.segmentation.records import (
    GroundedBoxes,
    ImageEmbedding,
    Panoptic,
    Record,
    SegmentInfo,
    StuffLogits,
    StuffMasks,
    StuffRegions,
    ThingMasks,
    rounded,
)
from zeropan.storage.files import LocalFiles
from zeropan.storage.keys import ArtifactKey, artifact_key
from zeropan.storage.layout import SETTING, pack, unpack
from zeropan.storage.store import ArtifactStore
from zeropan.storage.upkeep import entries, prune, resolve, verify


@pytest.fixture(params=["local", "memory", "local, zip"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "memory":
        return ArtifactStore(f"memory://{uuid.uuid4().hex}")
    made = ArtifactStore(str(tmp_path / "a store"))
    if request.param == "local, zip":
        made.set_layout("zip")
    return made


def things(count: int = 3, height: int = 17, width: int = 21, seed: int = 0) -> ThingMasks:
    rng = np.random.default_rng(seed)
    return ThingMasks(
        boxes_xyxy=rng.random((count, 4), dtype=np.float32),
        masks=rng.random((count, height, width)) > 0.5,
        scores=rng.random(count, dtype=np.float32),
        mask_quality=rng.random(count, dtype=np.float32),
        category_ids=rng.integers(1, 5, count).astype(np.int32),
    )


def key(number: int = 0, stage: str = "things") -> ArtifactKey:
    return artifact_key(stage, version=1, inputs={"n": number})


RECORDS: list[Record] = [
    things(),
    things(count=0),
    things(count=2, height=1, width=1),
    ImageEmbedding(np.ones((4, 2, 3), np.float32), (5, 6), (50, 60)),
    GroundedBoxes(
        np.zeros((1, 5, 4), np.float32),
        np.zeros((1, 5, 7), np.float32),
        np.full((1, 7), -1, np.int32),
        ("cup", "茶碗 / 皿"),
        (5, 6),
    ),
    GroundedBoxes(
        np.zeros((0, 0, 4), np.float32),
        np.zeros((0, 0, 0), np.float32),
        np.zeros((0, 0), np.int32),
        (),
        (5, 6),
    ),
    StuffLogits(np.linspace(-9, 9, 24, dtype=np.float32).reshape(2, 3, 4), ("a", "b"), (9, 9)),
    StuffRegions(np.eye(4, dtype=np.int32), np.eye(4, dtype=np.float16)),
    StuffMasks(
        np.ones((1, 3, 9), np.bool_),
        np.ones(1, np.float32),
        np.ones(1, np.int32),
        np.zeros((2, 2), np.float32),
        np.zeros(2, np.int32),
    ),
    Panoptic(
        np.array([[0, 1], [2, 2]], np.int32),
        (
            SegmentInfo(1, 3, True, 1, (1, 0, 1, 1), 0.5),
            SegmentInfo(2, 4, False, 2, (0, 1, 2, 1), 1.0),
        ),
    ),
]


def assert_same(first: Record, second: Record) -> None:
    assert type(first) is type(second)
    for name, value in vars(first).items():
        other = getattr(second, name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, other)
            assert value.dtype == other.dtype
        else:
            assert value == other


@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_every_record_comes_back_as_it_was(store: ArtifactStore, number: int) -> None:
    record = RECORDS[number]
    ref = store.write(key(), record, provenance={"seconds": 1.5})
    assert_same(record, store.read(ref, type(record)))
    assert store.find(key()) == store.marker(key())
    assert store.is_whole(ref)
    assert store.provenance(key()) == {"seconds": 1.5}


@pytest.mark.parametrize("value", [1e5, np.inf, np.nan])
def test_what_half_precision_cannot_hold_is_kept_whole(store: ArtifactStore, value: float) -> None:
    features = np.full((2, 3, 4), value, np.float32)
    features[0] = 1 / 3
    store.write(key(), ImageEmbedding(features, (5, 6), (50, 60)), provenance={})
    found = store.read(key(), ImageEmbedding).features
    np.testing.assert_array_equal(found, features)
    assert found.dtype == np.float32


def test_what_half_precision_holds_takes_half_the_bytes_and_loses_nothing(
    store: ArtifactStore,
) -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((64, 16, 16), dtype=np.float32)
    record = rounded(ImageEmbedding(noise, (5, 6), (50, 60)))
    ref = store.write(key(), record, provenance={})
    stored = sum(len(data) for data in store.load(store.marker(key())).values())
    assert stored < 0.55 * noise.nbytes
    assert_same(record, store.read(ref, ImageEmbedding))
    np.testing.assert_allclose(record.features, noise, rtol=2**-11, atol=1e-7)


@settings(suppress_health_check=list(HealthCheck))
@given(
    count=st.integers(0, 4),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0),
)
def test_masks_of_any_shape_come_back(count: int, height: int, width: int, seed: int) -> None:
    store = ArtifactStore(f"memory://{uuid.uuid4().hex}")
    record = things(count, height, width, seed)
    assert_same(record, store.read(store.write(key(), record, provenance={}), ThingMasks))


def test_nothing_is_found_before_it_is_written(store: ArtifactStore) -> None:
    assert store.find(key()) is None
    assert list(entries(store)) == []
    with pytest.raises(ArtifactMissing, match="no artifact"):
        store.read(key(), ThingMasks)


def test_the_first_writer_wins(store: ArtifactStore) -> None:
    first = store.write(key(), things(seed=1), provenance={})
    second = store.write(key(), things(seed=2), provenance={})
    assert first == second
    assert_same(store.read(key(), ThingMasks), things(seed=1))
    assert [check.status for check in verify(store)] == ["ok"]


def test_racing_writers_agree(store: ArtifactStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        refs = list(pool.map(lambda n: store.write(key(), things(seed=n), provenance={}), range(8)))
    stored = store.find(key())
    assert stored is not None and store.is_whole(stored.ref)
    if not store.url.startswith("memory"):
        assert set(refs) == {stored.ref}
        assert [check.status for check in verify(store)] == ["ok"]


def test_another_kind_of_record_is_refused(store: ArtifactStore) -> None:
    store.write(key(), things(), provenance={})
    with pytest.raises(ArtifactDamaged, match="expected a Panoptic"):
        store.read(key(), Panoptic)


def all_files(store: ArtifactStore) -> list[str]:
    return sorted(name for name, _, _ in store.files.walk() if name != SETTING)


def a_chunk(store: ArtifactStore, digest: str = "") -> str:
    """A file that holds numbers: a chunk of an array, or the ZIP file that it is in."""
    return next(n for n in all_files(store) if digest in n and ("/c/" in n or n.endswith(".zip")))


def test_any_damaged_file_is_found_and_mended(store: ArtifactStore) -> None:
    record = things()
    ref = store.write(key(), record, provenance={})
    for name in all_files(store):
        good = store.files.read(name)
        for bad in (good[: len(good) // 2], good[:-1] + bytes([good[-1] ^ 1]), b"", None):
            if bad is None:
                store.files.delete(name)
            else:
                store.files.publish(name, bad, replace=True)
            assert not store.is_whole(ref), name
            with pytest.raises((ArtifactDamaged, ArtifactMissing)):
                store.read(key(), ThingMasks)
            store.files.publish(name, good, replace=True)
            assert store.is_whole(ref)
    victim = all_files(store)[-1]
    store.files.publish(victim, b"broken", replace=True)
    again = store.write(key(), record, provenance={})
    assert store.is_whole(again)
    assert_same(store.read(key(), ThingMasks), record)


def test_prune_removes_what_is_broken_and_nothing_else(store: ArtifactStore) -> None:
    good = store.write(key(1), things(), provenance={})
    bad = store.write(key(2), things(), provenance={})
    store.files.publish(a_chunk(store, bad.digest), b"x", replace=True)
    orphan = f"things/{key(3).digest}/0123456789abcdef0123456789abcdef/zarr.json"
    store.files.publish(orphan, b"{}", replace=True)
    assert sorted(c.status for c in verify(store)) == ["damaged", "ok", "orphan"]
    assert len(prune(store, grace_s=0, dry_run=True).removed) == 2
    assert len(prune(store, grace_s=1e9).removed) == 1
    assert len(prune(store, grace_s=0).removed) == 1
    assert [(c.name, c.status) for c in verify(store)] == [(str(good.key), "ok")]


def test_prune_keeps_the_attempt_beside_a_damaged_one(store: ArtifactStore) -> None:
    store.write(key(), things(), provenance={})
    store.files.publish(a_chunk(store), b"x", replace=True)
    other = f"things/{key().digest}/0123456789abcdef0123456789abcdef/zarr.json"
    store.files.publish(other, b"{}", replace=True)
    report = prune(store)
    assert [check.name for check in report.removed] == [str(key())]
    assert all_files(store) == [other]
    assert prune(store, grace_s=0).freed_bytes == 2
    assert all_files(store) == []


def test_a_torn_marker_goes_first_and_its_files_after_the_grace(store: ArtifactStore) -> None:
    store.write(key(), things(), provenance={})
    count = len(all_files(store))
    store.files.publish(f"{key()}.json", b'{"marker"', replace=True)
    assert [c.status for c in verify(store)] == ["damaged", "orphan"]
    prune(store)
    assert len(all_files(store)) == count - 1
    prune(store, grace_s=0)
    assert all_files(store) == []


def test_a_marker_left_aside_is_an_orphan(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    store.write(key(), things(), provenance={})
    left = tmp_path / "things" / ".marker-0123"
    left.write_bytes(b"{}")
    assert sorted(check.status for check in verify(store)) == ["ok", "orphan"]
    assert prune(store).removed == [] and left.exists()
    assert len(prune(store, grace_s=0).removed) == 1 and not left.exists()
    assert [check.status for check in verify(store)] == ["ok"]


class StoppedAfterPublishing(LocalFiles):
    """Ctrl-C in the moment after the marker became visible."""

    def publish(self, name: str, data: bytes, *, replace: bool) -> bool:
        super().publish(name, data, replace=replace)
        raise KeyboardInterrupt


class StoppedBeforePublishing(LocalFiles):
    """Ctrl-C in the moment before the marker would become visible."""

    def publish(self, name: str, data: bytes, *, replace: bool) -> bool:
        raise KeyboardInterrupt


def test_an_interrupt_leaves_all_or_nothing(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    store.files = StoppedBeforePublishing(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        store.write(key(1), things(), provenance={})
    assert all_files(store) == []
    store.files = StoppedAfterPublishing(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        store.write(key(1), things(), provenance={})
    assert [check.status for check in verify(store)] == ["ok"]


def test_a_marker_is_as_readable_as_the_rest(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    ref = store.write(key(), things(), provenance={})
    group = Path(store.path_of(ref)) / "zarr.json"
    assert (tmp_path / f"{key()}.json").stat().st_mode == group.stat().st_mode


def test_an_url_that_nothing_can_open_is_one_sentence() -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        ArtifactStore("no-such-thing://bucket/store")


def test_prune_by_age_and_stage(store: ArtifactStore) -> None:
    store.write(key(1), things(), provenance={})
    store.write(key(1, "panoptic"), RECORDS[-1], provenance={})
    assert prune(store, older_than_s=1e9).expired == []
    report = prune(store, older_than_s=-10, stages=["panoptic"])
    assert report.expired == [key(1, "panoptic")]
    assert [a.key for a in entries(store)] == [key(1)]


def test_a_key_is_found_by_its_first_digits(store: ArtifactStore) -> None:
    keys = [store.write(key(n), things(), provenance={}).key for n in range(20)]
    assert resolve(store, str(keys[0])) == keys[0]
    assert resolve(store, keys[3].digest[:12]) == keys[3]
    alone = store.write(key(0, "panoptic"), RECORDS[-1], provenance={}).key
    assert resolve(store, "panoptic") == alone
    assert resolve(store, str(keys[5])[:19]) == keys[5]
    with pytest.raises(BadInput, match="fits"):
        resolve(store, "")
    with pytest.raises(ArtifactMissing):
        resolve(store, "pan")


@pytest.mark.parametrize("layout", ["folder", "zip"])
def test_the_group_opens_with_zarr_alone(tmp_path: Path, layout: str) -> None:
    store = ArtifactStore(str(tmp_path))
    store.set_layout(layout)
    record = things()
    ref = store.write(key(), record, provenance={"seconds": 1})
    path = store.path_of(ref)
    group = zarr.open_group(ZipStore(path) if layout == "zip" else path, mode="r")
    packed = group["masks"]
    assert isinstance(packed, zarr.Array)
    assert packed.metadata.dimension_names == ("instance", "y", "x_bits")
    masks = np.unpackbits(np.asarray(packed[...]), axis=-1, count=record.masks.shape[2])
    np.testing.assert_array_equal(masks.astype(bool), record.masks)
    assert group.attrs["provenance"] == {"seconds": 1}


def test_a_store_may_hold_both_layouts(tmp_path: Path) -> None:
    url = str(tmp_path)
    ArtifactStore(url).write(key(1), things(), provenance={})
    before = len(all_files(ArtifactStore(url)))
    ArtifactStore(url).set_layout("zip")
    ArtifactStore(url).write(key(2), things(), provenance={})
    store = ArtifactStore(url)
    assert len(all_files(store)) == before + 2
    for number in (1, 2):
        assert_same(store.read(key(number), ThingMasks), things())
    assert [check.status for check in verify(store)] == ["ok", "ok"]
    assert prune(store, grace_s=0).removed == []
    assert store.layout == "zip"


def test_a_layout_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    with pytest.raises(BadConfig, match="'tar' is not known; set it with zeropan store layout"):
        store.set_layout("tar")
    for bad in (b"{", b"[]", b'{"layout": "tar"}'):
        store.files.publish(SETTING, bad, replace=True)
        with pytest.raises(BadConfig, match="set it with"):
            store.write(key(), things(), provenance={})
    assert all_files(store) == []


def test_packing_is_exact_and_always_the_same() -> None:
    contents = {"zarr.json": b"{}", "masks/c/0/0": bytes(range(256))}
    assert pack(contents) == pack(dict(reversed(contents.items())))
    assert unpack(pack(contents)) == contents
    assert unpack(contents) is contents
    with pytest.raises(ArtifactDamaged, match="no ZIP file"):
        unpack({"group.zip": b"PK"})


@pytest.mark.parametrize("stage, digest", [("../up", "0" * 32), ("things", "../../etc"), ("", "")])
def test_no_name_leads_out_of_the_store(stage: str, digest: str) -> None:
    with pytest.raises(StoreError, match="not an artifact key"):
        ArtifactKey(stage, digest)


def test_a_file_in_the_stores_place_is_one_sentence(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("in the way")
    with pytest.raises(StoreError, match="cannot write"):
        ArtifactStore(str(place)).write(key(), things(), provenance={})
    assert place.read_text() == "in the way"
