"""Which price list is in force."""

from __future__ import annotations

import tomllib

from stratum.app.config import Config
from stratum.domain.errors import InvalidConfig
from stratum.domain.pricing import DEFAULT_PRICES_TOML, PriceList, parse_prices


def load_prices(config: Config) -> PriceList:
    """The configured list; a file that is missing is written with the defaults. Raises
    InvalidConfig."""
    path = config.prices
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(DEFAULT_PRICES_TOML)
        return parse_prices(tomllib.loads(path.read_text()), config.patience, str(path))
    except (OSError, ValueError) as error:
        raise InvalidConfig(f"{path}: {error}") from error
