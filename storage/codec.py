"""A record as the files of one Zarr v3 group, and back.

Array fields become arrays with the record's axis names; other fields, and the provenance, become
the group's attributes. The group is built in memory, so that what is hashed is what is written,
and what was checked is what is read.
"""

from __future__ import annotations

import asyncio
import dataclasses
import typing
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from zeropan.errors import ArtifactDamaged, RecordError
from zeropan.segmentation.records import Record
from zeropan.storage.background import wait_for

SCHEMA = 1
"""Raised when the layout of the files changes; raise every stage's algorithm version with it, so
that no key leads to the old layout."""
COMPRESSION_LEVEL = 3
"""Zstandard level; benchmarks/mask_codecs.py measures what it and the layout give."""

R = TypeVar("R", bound=Record)


def to_files(record: Record, provenance: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a Zarr v3 group that holds the record: name within the group → bytes.

    Booleans are packed eight to a byte along their last axis; float32 fields that a record names
    in HALF_PRECISION are stored as float16 where that loses nothing, and read back as float32.
    """
    from zarr.buffer.cpu import Buffer

    arrays: dict[str, dict[str, Any]] = {}
    fields: dict[str, Any] = {}
    values: dict[str, tuple[NDArray[Any], list[str]]] = {}
    contents: dict[str, Buffer] = {}
    axes: Mapping[str, tuple[str, ...]] = record.AXES
    halves: frozenset[str] = getattr(record, "HALF_PRECISION", frozenset())
    # mypy takes the class for one of its instances when it asks whether it can be hashed.
    kind: Any = type(record)
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if not isinstance(value, np.ndarray):
            adapter = _adapters(kind)[field.name]
            fields[field.name] = adapter.dump_python(value, mode="json")
            continue
        names = list(axes[field.name])
        packed = value.dtype == np.bool_
        arrays[field.name] = {"shape": list(value.shape), "packed": packed}
        if field.name in halves and _is_half(value):
            arrays[field.name]["half"] = True
            value = value.astype(np.float16)
        if packed:
            value = np.packbits(value, axis=-1)
            names[-1] += "_bits"
        values[field.name] = np.ascontiguousarray(value), names
    attributes = {
        "zeropan_schema": SCHEMA,
        "record": kind.__name__,
        "arrays": arrays,
        "fields": fields,
        "provenance": dict(provenance),
    }
    wait_for(_write_group(contents, values, attributes))
    return {name: buffer.to_bytes() for name, buffer in contents.items()}


async def _write_group(
    contents: dict[str, Any],
    values: Mapping[str, tuple[NDArray[Any], list[str]]],
    attributes: dict[str, Any],
) -> None:
    """All arrays at once: a trip to the loop's thread for each costs more than its bytes."""
    from zarr.api.asynchronous import create_group
    from zarr.codecs import ZstdCodec
    from zarr.storage import MemoryStore

    group = await create_group(
        store=MemoryStore(store_dict=contents), zarr_format=3, attributes=attributes
    )
    await asyncio.gather(
        *(
            group.create_array(
                name,
                data=value,
                chunks=tuple(max(1, length) for length in value.shape),
                compressors=ZstdCodec(level=COMPRESSION_LEVEL),
                dimension_names=names,
            )
            for name, (value, names) in values.items()
        )
    )


def from_files(files: Mapping[str, bytes], kind: type[R]) -> R:
    """The record that `to_files` put into these files.

    Raises:
        ArtifactDamaged: the files hold another kind of record, or none.
    """
    cls: Any = kind
    try:
        attributes, arrays = wait_for(_read_group(files))
        if attributes["record"] != kind.__name__ or attributes["zeropan_schema"] != SCHEMA:
            raise ArtifactDamaged(
                f"expected a {kind.__name__} of schema {SCHEMA}, got a {attributes['record']} of "
                f"schema {attributes['zeropan_schema']}; prune the store and run again"
            )
        values: dict[str, Any] = {
            name: _adapters(cls)[name].validate_python(value)
            for name, value in attributes["fields"].items()
        }
        for name, about in attributes["arrays"].items():
            values[name] = _unpacked(arrays[name], about)
        return kind(**values)
    except (KeyError, ValueError, TypeError, ValidationError, RecordError) as error:
        if isinstance(error, ArtifactDamaged):
            raise
        raise ArtifactDamaged(
            f"the files do not hold a {kind.__name__} ({error}); prune the store and run again"
        ) from error


async def _read_group(
    files: Mapping[str, bytes],
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The group's attributes and arrays, all arrays at once."""
    from zarr import AsyncArray
    from zarr.api.asynchronous import open_group
    from zarr.buffer.cpu import Buffer
    from zarr.storage import MemoryStore

    memory = MemoryStore(
        store_dict={name: Buffer.from_bytes(data) for name, data in files.items()},
        read_only=True,
    )
    group = await open_group(memory, mode="r", zarr_format=3)
    attributes: dict[str, Any] = dict(group.attrs)

    async def read(name: str) -> NDArray[Any]:
        array = await group.getitem(name)
        if not isinstance(array, AsyncArray):
            raise TypeError(f"{name} is no array")
        return np.asarray(await array.getitem(...))

    names = list(attributes["arrays"])
    found = await asyncio.gather(*(read(name) for name in names))
    return attributes, dict(zip(names, found, strict=True))


def _is_half(array: NDArray[Any]) -> bool:
    """Whether half precision holds every value; what is stored is what was given, bit for bit."""
    with np.errstate(over="ignore"):
        return bool(np.array_equal(array.astype(np.float16).astype(array.dtype), array))


def _unpacked(array: NDArray[Any], about: Mapping[str, Any]) -> NDArray[Any]:
    if about.get("half"):
        return array.astype(np.float32)
    if not about["packed"]:
        return array
    shape = tuple(about["shape"])
    return np.unpackbits(array, axis=-1, count=shape[-1]).astype(np.bool_).reshape(shape)


@lru_cache(maxsize=32)
def _adapters(kind: Any) -> dict[str, TypeAdapter[Any]]:
    """How each field that is no array turns into JSON and back."""
    hints = typing.get_type_hints(kind)
    return {
        field.name: TypeAdapter(hints[field.name])
        for field in dataclasses.fields(kind)
        if field.name not in kind.AXES
    }
