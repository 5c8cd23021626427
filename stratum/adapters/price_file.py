"""Which price list is in force: a file, or one of the presets that come with the program."""

from __future__ import annotations

import tomllib
from pathlib import Path

from stratum.adapters.durable_file import PUBLIC, write_durably
from stratum.domain.errors import InvalidConfig
from stratum.domain.pricing import DEFAULT_PRICES_TOML, PriceList, parse_prices

PRESETS_FOLDER = Path(__file__).parents[1] / "prices"


def preset_names() -> tuple[str, ...]:
    """All presets, by name."""
    return tuple(sorted(path.stem for path in PRESETS_FOLDER.glob("*.toml")))


def load_prices(path: Path, patience: str) -> PriceList:
    """The list in a file or, if there is none and it is called like a preset, that. A `.toml` that
    is missing is written with the defaults. Raises InvalidConfig."""
    try:
        if not path.exists() and path.suffix == ".toml":
            write_durably(path, DEFAULT_PRICES_TOML, PUBLIC)
    except OSError as error:
        raise InvalidConfig(f"{path}: {error}") from error
    return read_prices(path, patience)


def read_prices(path: Path, patience: str) -> PriceList:
    """The same without writing anything: a missing file is an error."""
    chosen = path
    if not path.exists() and path.name in preset_names():
        chosen = PRESETS_FOLDER / f"{path.name}.toml"
    try:
        return parse_prices(tomllib.loads(chosen.read_text()), patience, str(chosen))
    except FileNotFoundError:
        raise InvalidConfig(
            f"{path}: there is no such price list; presets are {', '.join(preset_names())}"
        ) from None
    except (OSError, ValueError) as error:
        raise InvalidConfig(f"{chosen}: {error}") from error
