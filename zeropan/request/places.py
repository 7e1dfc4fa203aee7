"""Where a run keeps what it makes: one folder, unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zeropan.errors import BadConfig
from zeropan.machine.environment import environment
from zeropan.request.setup import How
from zeropan.segmentation.images import shown


@dataclass(frozen=True)
class Places:
    """The folders and URLs of one zeropan home."""

    home: Path
    store_url: str
    output: Path

    @classmethod
    def of(cls, how: How) -> Places:
        """The places of a setup."""
        return cls.resolve(home=how.home, store=how.store, output=how.output)

    @classmethod
    def resolve(
        cls, *, home: str | None = None, store: str | None = None, output: str | None = None
    ) -> Places:
        """What was asked for, else ZEROPAN_HOME and ZEROPAN_STORE, else ./zeropan-data."""
        said = environment()
        base = Path(home or said.home or "zeropan-data").expanduser().absolute()
        url = store or said.store or str(base / "store")
        if "://" in url and shown(url) != url:
            raise BadConfig(
                f"the store {shown(url)} was given with a user, a password or a query in its "
                "address; put them into the environment, as the fsspec package for it says"
            )
        if "://" not in url:
            url = str(Path(url).expanduser().absolute())
        return cls(
            home=base,
            store_url=url,
            output=Path(output).expanduser().absolute() if output else base / "output",
        )
