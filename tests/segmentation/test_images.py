"""Image files of every kind, good and bad."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from zeropan.errors import BadImage, ZeropanError
from zeropan.segmentation.images import load_image, read_image_bytes, shown, to_eight_bits

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("TIFF", {}), ("BMP", {}), ("WEBP", {"lossless": True}), ("PPM", {})],
)
def test_lossless_formats_come_back_exactly(kind: str, options: dict[str, object]) -> None:
    image = load_image(encode(Image.fromarray(COLOURS), kind, **options))
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable
    np.testing.assert_array_equal(image, COLOURS)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    turn = {
        1: COLOURS,
        2: COLOURS[:, ::-1],
        3: COLOURS[::-1, ::-1],
        4: COLOURS[::-1],
        5: COLOURS.transpose(1, 0, 2),
        6: np.rot90(COLOURS, -1),
        7: COLOURS[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(COLOURS),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = load_image(encode(Image.fromarray(COLOURS), kind, exif=exif))
    np.testing.assert_array_equal(image, turn[orientation])


def test_a_damaged_exif_block_does_not_refuse_the_picture() -> None:
    data = encode(Image.fromarray(COLOURS), "PNG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff")
    np.testing.assert_array_equal(load_image(data), COLOURS)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_by_1_257(kind: str) -> None:
    grey = np.array([[0, 257, 65535, 128 * 257 + 100]], dtype=np.uint16)
    image = load_image(encode(Image.fromarray(grey), kind))
    assert image[0, :, 0].tolist() == [0, 1, 255, 128]
    assert (image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all()


def test_a_dark_sixteen_bit_image_stays_dark() -> None:
    image = load_image(encode(Image.fromarray(np.full((2, 2), 200, dtype=np.uint16))))
    assert image.max() == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([np.nan, 0.25, np.inf], [0, 64, 255]),
        ([-5.0, -5.0, -5.0], [0, 0, 0]),
    ],
)
def test_float_images_are_mapped_to_eight_bits(values: list[float], expected: list[int]) -> None:
    data = encode(Image.fromarray(np.array([values], dtype=np.float32)), "TIFF")
    assert load_image(data)[0, :, 0].tolist() == expected


def test_wide_integers_are_taken_for_the_range_they_lie_in() -> None:
    assert to_eight_bits(np.array([0, 255], dtype=np.int32)).tolist() == [0, 255]
    assert to_eight_bits(np.array([0, 65535], dtype=np.int32)).tolist() == [0, 255]
    assert to_eight_bits(np.array([0, 10**6], dtype=np.int32)).tolist() == [0, 255]
    assert to_eight_bits(np.array([0, 65535], dtype=">u2")).tolist() == [0, 255]
    assert to_eight_bits(np.array([0, 255], dtype=">u2")).tolist() == [0, 1]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_any_colour_mode_becomes_rgb(mode: str) -> None:
    grey = Image.fromarray(np.full((3, 4, 3), 255, dtype=np.uint8)).convert("RGB")
    image = load_image(encode(grey.convert(mode), "TIFF"))
    assert image.shape == (3, 4, 3)
    assert image.min() >= 253


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_over_white(mode: str) -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0)).convert(mode)
    image.putpixel((1, 0), (0, 0, 0, 255) if mode == "RGBA" else (0, 255))
    assert load_image(encode(image)).tolist() == [[[255] * 3, [0] * 3]]


def test_a_palette_with_transparency_is_laid_over_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putpixel((1, 0), 1)
    data = encode(image, transparency=b"\x00\xff")
    assert load_image(data).tolist() == [[[255] * 3, [10, 20, 30]]]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_read(kind: str) -> None:
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    image = load_image(encode(red, kind, save_all=True, append_images=[blue]))
    assert image[4, 4, 0] > 200 and image[4, 4, 2] < 60


def test_a_path_and_its_bytes_are_the_same_image(tmp_path: Path) -> None:
    path = tmp_path / "tasse – 茶碗.png"
    path.write_bytes(encode(Image.fromarray(COLOURS)))
    for source in (path, str(path), path.read_bytes(), f"file://{path}"):
        np.testing.assert_array_equal(load_image(source), COLOURS)


def test_a_remote_image_is_read_through_fsspec() -> None:
    with fsspec.open("memory://pictures/cup.png", "wb") as file:
        file.write(encode(Image.fromarray(COLOURS)))
    np.testing.assert_array_equal(load_image("memory://pictures/cup.png"), COLOURS)


def test_bad_places_are_named_with_a_remedy(tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.touch()
    places: list[tuple[str | Path, str]] = [
        (tmp_path / "none.png", "none.png does not exist; check the path"),
        (tmp_path, "is a folder; name an image file in it"),
        (empty, r"empty.png is empty \(0 bytes\)"),
        ("memory://none.png", "memory://none.png does not exist"),
        ("nosuch://x/y.png", "cannot be opened here"),
        ("a\x00b.png", "cannot be read"),
    ]
    for place, message in places:
        with pytest.raises(BadImage, match=message) as caught:
            read_image_bytes(place)
        assert "\n" not in str(caught.value)
    with pytest.raises(BadImage, match=r"the given image is empty"):
        load_image(b"")


def test_messages_keep_the_secrets_of_a_url() -> None:
    assert shown("s3://key:secret@bucket/cup.png?token=1") == "s3://bucket/cup.png"
    assert shown("photos/a?b@c.png") == "photos/a?b@c.png"


def test_text_is_no_image() -> None:
    with pytest.raises(BadImage, match=r"^notes\.txt is not an image that can be read; give a PNG"):
        load_image(b"hello, this is text", name="notes.txt")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF"])
def test_a_truncated_image_is_refused_and_named(kind: str) -> None:
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind)
    with pytest.raises(BadImage, match=r"^cup\.img is .*(cut off|not an image)"):
        load_image(data[: len(data) // 2], name="cup.img")
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_too_many_pixels_are_refused_before_decoding() -> None:
    # Were it decoded first, the cut-off pixels would be what is complained about.
    data = encode(Image.fromarray(RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)))
    with pytest.raises(BadImage, match="has 30 x 20 pixels, more than the limit of 599"):
        load_image(data[:200], max_pixels=599)
    assert load_image(data, max_pixels=600).shape == (20, 30, 3)


def test_a_decompression_bomb_is_refused_without_a_warning() -> None:
    def header(side: int) -> bytes:
        data = bytearray(encode(Image.new("L", (1, 1)), "BMP"))
        data[18:26] = side.to_bytes(4, "little") * 2
        return bytes(data)

    with pytest.raises(BadImage, match="12000 x 12000 pixels, more than the limit"):
        load_image(header(12_000))
    with pytest.raises(BadImage, match="has far more pixels, more than the limit"):
        load_image(header(30_000))


@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    st.integers(0, 400),
)
def test_damaged_bytes_give_an_image_or_a_sentence(
    kind: str, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(encode(Image.fromarray(COLOURS), kind))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        image = load_image(bytes(data[: len(data) - cut % len(data)]), max_pixels=10_000)
    except ZeropanError as error:
        assert isinstance(error, BadImage)
        assert "\n" not in str(error)
    else:
        assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
