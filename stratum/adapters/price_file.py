"""Which price list is in force."""

from __future__ import annotations

import tomllib
from pathlib import Path

from stratum.adapters.durable_file import PUBLIC, write_durably
from stratum.domain.errors import InvalidConfig
from stratum.domain.pricing import DEFAULT_PRICES_TOML, PriceList, parse_prices


def load_prices(path: Path, patience: str) -> PriceList:
    """The list in a file; one that is missing is written with the defaults. Raises
    InvalidConfig."""
    try:
        if not path.exists():
            write_durably(path, DEFAULT_PRICES_TOML, PUBLIC)
        return parse_prices(tomllib.loads(path.read_text()), patience, str(path))
    except (OSError, ValueError) as error:
        raise InvalidConfig(f"{path}: {error}") from error
