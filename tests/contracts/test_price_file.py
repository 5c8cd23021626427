"""Price lists from files and presets; what the presets say."""

import tomllib

import pytest

from stratum.adapters.price_file import PRESETS_FOLDER, load_prices, preset_names, read_prices
from stratum.domain.errors import InvalidConfig
from stratum.domain.names import Tier
from stratum.domain.pricing import DEFAULT_PRICES_TOML, parse_prices

HOT, WARM, COLD = Tier
DEFAULT = parse_prices(tomllib.loads(DEFAULT_PRICES_TOML))


def test_the_default_is_a_preset():
    assert (PRESETS_FOLDER / "self-hosted.toml").read_text() == DEFAULT_PRICES_TOML


def test_a_missing_file_is_written_with_the_default(tmp_path):
    path = tmp_path / "data" / "prices.toml"
    path.parent.mkdir()
    assert load_prices(path, "balanced") == DEFAULT
    assert path.read_text() == DEFAULT_PRICES_TOML


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_can_be_named(tmp_path, name):
    for patience in ("thrifty", "balanced", "fast"):
        assert load_prices(tmp_path / name, patience).patience == patience
    assert not list(tmp_path.iterdir())


def test_a_file_is_stronger_than_a_preset_of_its_name(tmp_path):
    (tmp_path / "wasabi").write_text(DEFAULT_PRICES_TOML)
    assert load_prices(tmp_path / "wasabi", "balanced") == DEFAULT


def test_names_that_are_neither(tmp_path):
    for read in (load_prices, read_prices):
        with pytest.raises(InvalidConfig, match="presets are aws-glacier-ir, backblaze-b2"):
            read(tmp_path / "wassabi", "balanced")
    with pytest.raises(InvalidConfig, match="there is no such price list"):
        read_prices(tmp_path / "prices.toml", "balanced")
    (tmp_path / "bad.toml").write_text("[hot]\n")
    with pytest.raises(InvalidConfig, match=r"bad\.toml"):
        load_prices(tmp_path / "bad.toml", "balanced")


def test_a_remote_that_is_dearer_than_warm_drops_out(tmp_path):
    prices = load_prices(tmp_path / "cloudflare-r2", "balanced")
    assert prices.usable(tuple(Tier), 1.0) == (HOT, WARM)
    assert load_prices(tmp_path / "wasabi", "balanced").usable(tuple(Tier), 1.0) == tuple(Tier)
