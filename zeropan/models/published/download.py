"""One published file from the network, or from a folder, checked before anybody may use it.

The hub's own client fetches it, resumes what was interrupted and shows the progress; the hub's
settings hold: HF_ENDPOINT (a mirror), HF_TOKEN (gated models), HF_HUB_OFFLINE.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

from zeropan.errors import WeightsDamaged, WeightsMissing
from zeropan.machine.environment import environment
from zeropan.models.published.components import Component, RemoteFile


def fetch(file: RemoteFile, component: Component, incoming: Path, *, source: Path | None) -> Path:
    """A file below `incoming`, with the bytes that its SHA-256 names.

    Args:
        file: what to fetch; if it is there already and whole, nothing is fetched.
        component: for messages.
        incoming: where unfinished downloads are kept, and go on.
        source: a folder that holds the file; the network is not asked then.

    Raises:
        WeightsMissing: it could not be had.
        WeightsDamaged: what came is not what was published; it is removed.
    """
    incoming.mkdir(parents=True, exist_ok=True)
    target = incoming / file.name
    if not target.is_file():
        try:
            if source is not None:
                _copy(file, component, source, target)
            elif file.url is not None:
                _from_address(file.url, target, file, component)
            else:
                _from_hub(file, component, incoming)
        except OSError as error:
            if isinstance(error, WeightsMissing):
                raise
            raise WeightsMissing(
                f"{file.name} could not be written to {incoming} ({error.strerror or error}); "
                "make room there, or set ZEROPAN_MODELS to another folder, and pull again"
            ) from error
    check(target, file)
    return target


def check(path: Path, file: RemoteFile) -> str:
    """The SHA-256 of a file, made sure to be the published one where that is known.

    Raises:
        WeightsDamaged: it is another; the file is removed, so that the next pull fetches it anew.
    """
    size = path.stat().st_size
    found = sha256_of(path)
    if file.sha256 is not None and found != file.sha256:
        path.unlink()
        cut = file.bytes is not None and size < file.bytes
        what = (
            f"is cut off at {size:,} of {file.bytes:,} bytes"
            if cut
            else f"has SHA-256 {found}, not the published {file.sha256}"
        )
        raise WeightsDamaged(
            f"{file.name} from {file.source} {what}; it was removed, so pull again"
        )
    return found


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _copy(file: RemoteFile, component: Component, source: Path, target: Path) -> None:
    for candidate in (source / file.name, source / component.name / file.name):
        if candidate.is_file():
            part = target.with_name(f"{target.name}.part")
            shutil.copyfile(candidate, part)
            os.replace(part, target)
            return
    raise WeightsMissing(
        f"{file.name} of {component.name} is not in {source}; "
        f"put it there, or into a folder {component.name} in it (its source is {file.source})"
    )


def _from_hub(file: RemoteFile, component: Component, incoming: Path) -> None:
    """A file of a hub's repository.

    The client's own function begins anew in each process, so only the parts that it is made of are
    used: its headers, its errors, and its loop that resumes.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repository = str(file.repository)
    endpoint = environment().hub
    url = hf_hub_url(repository, file.name, revision=file.revision, endpoint=endpoint)
    try:
        found = get_hf_file_metadata(url)
    except GatedRepoError as error:
        raise WeightsMissing(
            f"{repository} is gated ({component.licence}); accept its terms on the hub's page, set "
            "HF_TOKEN to a token of that account, and pull again"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise WeightsMissing(
            f"the hub has no {repository} at {file.revision}, or not for this token; check "
            "HF_ENDPOINT and HF_TOKEN"
        ) from error
    except EntryNotFoundError as error:
        raise WeightsMissing(
            f"{repository} has no {file.name} at {file.revision}; check HF_ENDPOINT"
        ) from error
    except _network_errors() as error:
        raise WeightsMissing(_unreachable(file, component, error)) from error
    # What was begun is gone on with only if it is still the same file.
    part = incoming / f"{file.name}.{(found.etag or 'whole')[:16]}.incomplete"
    _download(url, part, file, component, size=found.size)
    if file.sha256 is None and found.etag and len(found.etag) == 64:
        check(part, replace(file, sha256=found.etag))
    os.replace(part, incoming / file.name)


def _from_address(url: str, target: Path, file: RemoteFile, component: Component) -> None:
    part = target.with_name(f"{target.name}.incomplete")
    _download(url, part, file, component, size=file.bytes)
    os.replace(part, target)


def _download(
    url: str, part: Path, file: RemoteFile, component: Component, *, size: int | None
) -> None:
    """Go on with a file where it stopped, in this process or an earlier one."""
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined] # documented

    hub = file.repository is not None
    try:
        with part.open("ab") as opened:
            http_get(
                url,
                opened,
                resume_size=opened.tell(),
                headers=build_hf_headers() if hub else None,
                expected_size=size,
                displayed_filename=file.name,
            )
    except _network_errors() as error:
        raise WeightsMissing(_unreachable(file, component, error)) from error
    except OSError as error:
        if error.errno is not None:
            raise
        # The client counts what came, and says by a plain OSError that it is not all.
        part.unlink(missing_ok=True)
        raise WeightsDamaged(
            f"{file.name} from {file.source} is not as long as its server says; pull again"
        ) from error


def _network_errors() -> tuple[type[Exception], ...]:
    # The base of its errors is that of its HTTP library, whichever that is.
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled  # type: ignore[attr-defined]

    return HTTPError, OfflineModeIsEnabled


def _unreachable(file: RemoteFile, component: Component, error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0].rstrip(".") if lines else type(error).__name__
    return (
        f"{file.name} of {component.name} could not be fetched from {file.source} ({reason}); "
        "what came is kept, so check the network or HF_ENDPOINT and pull again, or give the file "
        "with --from FOLDER"
    )
