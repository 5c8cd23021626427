"""Configuration: where values come from, which one wins, and what is refused."""

from pathlib import Path

import pytest

from stratum.app.config import KEYS, EncryptionConfig, load_config
from stratum.domain.encryption import EncryptionConfiguration, SseMethod
from stratum.domain.errors import InvalidConfig
from stratum.domain.names import Tier

COLD = {
    "STRATUM_TIERS_COLD_ENDPOINT": "https://s3.example",
    "STRATUM_TIERS_COLD_BUCKET": "b",
    "STRATUM_TIERS_COLD_ACCESS_KEY_ID": "AKID",
    "STRATUM_TIERS_COLD_SECRET_ACCESS_KEY": "very secret",
}


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # ./stratum.toml is looked up
    return tmp_path / "data"


def load(data, environ=(), flags=(), file=None, text=None):
    if text is not None:
        file = data.with_name("some.toml")
        file.write_text(text)
    return load_config(data, file, dict(environ), dict(flags))


def test_defaults(data):
    config = load(data)
    assert config.listen == "127.0.0.1:9000"
    assert config.disks[Tier.HOT] == tuple(data / "hot" / f"disk{n}" for n in range(6))
    assert config.disks[Tier.WARM] == tuple(data / "warm" / f"disk{n}" for n in range(6))
    assert config.remote is None
    assert (config.profile.data, config.profile.parity, config.write_quorum) == (4, 2, 5)
    assert config.journal == data / "metadata" / "journal.db"
    assert config.access_log == data / "metadata" / "access.db"
    assert config.prices == data / "prices.toml"


def test_flags_win_over_environment_over_file_over_defaults(data):
    text = '[server]\nlisten = "127.0.0.1:1"\nregion = "file"\n[tiering]\nday_s = 5\n'
    environ = {"STRATUM_SERVER_LISTEN": "127.0.0.1:2", "STRATUM_SERVER_REGION": "environment"}
    config = load(data, environ, {"server.listen": "127.0.0.1:3"}, text=text)
    assert (config.listen, config.region, config.day_s) == ("127.0.0.1:3", "environment", 5.0)
    assert load(data, environ, text=text).listen == "127.0.0.1:2"
    assert load(data, text=text).listen == "127.0.0.1:1"


def test_the_file_in_the_data_directory_and_the_one_in_the_working_directory(data):
    Path("stratum.toml").write_text('[server]\nregion = "here"\n')
    assert load(data).region == "here"
    data.mkdir()
    (data / "stratum.toml").write_text('[server]\nregion = "data"\n')
    assert load(data).region == "data"
    with pytest.raises(InvalidConfig, match="missing"):
        load(data, file=Path("missing.toml"))


@pytest.mark.parametrize("key", KEYS)
def test_every_key_can_come_from_the_environment(data, key):
    name = "STRATUM_" + key.upper().replace(".", "_")
    default = KEYS[key][0]
    if isinstance(default, bool | int | float):
        with pytest.raises(InvalidConfig, match=key):
            load(data, {name: "nonsense"})
    elif key not in ("server.listen", "tiering.patience", "metadata.url"):
        load(data, {**COLD, name: "https://x"} if "cold" in key else {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nlisen = 'x'", "unknown key server.lisen"),
        ("[srver]\nlisten = 'x'", "unknown key srver.listen"),
        ("listen = 'x'", "unknown key listen"),
        ("[server]\nlisten = 9000", "server.listen: expected text"),
        ("[server]\nlisten = '9000'", "HOST:PORT"),
        ("[server]\nlisten = '127.0.0.1:70000'", "HOST:PORT"),
        ("[server]\nlisten = ':9000'", "HOST:PORT"),
        ("[server]\ndomains = 'one'", "a list of texts"),
        ("[server]\nconnections_max = 1.5", "a whole number"),
        ("[server]\nconnections_max = true", "a whole number"),
        ("[server]\nconnections_max = 0", "outside"),
        ("[erasure]\ndata = 5", "not supported"),
        ("[erasure]\nwrite_quorum = 3", "outside 4 … 6"),
        ("[erasure]\nwrite_quorum = 7", "outside 4 … 6"),
        ("[erasure]\nbuffers = 3", "outside"),
        ("[tiering]\nenabled = 'yes'", "true or false"),
        ("[tiering]\nday_s = 0", "outside"),
        ("[tiering]\nday_s = nan", "outside"),
        ("[tiering]\nday_s = -1", "outside"),
        ("[tiering]\npatience = 'never'", "thrifty, balanced or fast"),
        ("[metadata]\nurl = 'postgres://x'", "only sqlite:///"),
        ("[tiers.hot]\ndisks = ['a', 'b']", "need 6"),
        ("[tiers.hot]\ndisks = ['a', 'b', 'c', 'd', 'e', 'e']", "listed twice"),
        ("[tiers.hot]\ndisks = ['a', 'b', 'c', 'd', 'e', './e']", "listed twice"),
        ("[tiers.cold]\nendpoint = 's3.example'", "http"),
        ("[tiers.cold]\nendpoint = 'https://s3.example'", "needed with tiers.cold.endpoint"),
        ("not toml", "some.toml"),
    ],
)
def test_what_is_refused_and_why(data, text, message):
    with pytest.raises(InvalidConfig, match=message):
        load(data, text=text)


def test_one_directory_cannot_be_a_disk_of_two_tiers(data):
    hot = ["a", "b", "c", "d", "e", "f"]
    warm = ["g", "h", "i", "j", "k", "f"]
    with pytest.raises(InvalidConfig, match="of both tiers"):
        load(data, text=f"[tiers.hot]\ndisks = {hot}\n[tiers.warm]\ndisks = {warm}\n")


def test_disks_are_relative_to_the_data_directory(data):
    names = "a,b,c,d,e,/absolute"
    config = load(data, {"STRATUM_TIERS_HOT_DISKS": names})
    assert config.disks[Tier.HOT][0] == data / "a"
    assert config.disks[Tier.HOT][5] == Path("/absolute")


def test_where_the_journal_is(data):
    for url, path in (
        ("sqlite:////var/lib/journal.db", "/var/lib/journal.db"),
        ("sqlite:////mnt/DATA/journal.db", "/mnt/DATA/journal.db"),
        ("sqlite:///DATA/else/journal.db", str(data / "else" / "journal.db")),
    ):
        assert load(data, {"STRATUM_METADATA_URL": url}).journal == Path(path)


def test_the_secret_of_the_cold_tier_does_not_show(data):
    config = load(data, COLD)
    assert config.remote
    assert config.remote.secret_access_key == "very secret"
    assert "very secret" not in repr(config)
    for missing in list(COLD)[1:]:
        with pytest.raises(InvalidConfig, match="needed"):
            load(data, {key: value for key, value in COLD.items() if key != missing})


def test_domains_are_lower_case(data):
    config = load(data, {"STRATUM_SERVER_DOMAINS": "S3.Example.com, two.example"})
    assert config.domains == ("s3.example.com", "two.example")


def test_encryption(data):
    assert load(data).encryption == EncryptionConfig(
        None, data / "encryption-keys.toml", (), "aws/s3", "local"
    )
    environ = {
        "STRATUM_ENCRYPTION_DEFAULT": "aws:kms",
        "STRATUM_ENCRYPTION_KEY_FILE": "/elsewhere/keys",
        "STRATUM_ENCRYPTION_KMS_KEYS": "one, two",
        "STRATUM_ENCRYPTION_KMS_DEFAULT_KEY": "",
        "STRATUM_ENCRYPTION_CUSTOMER_KEYS_OVER_HTTP": "never",
    }
    assert load(data, environ).encryption == EncryptionConfig(
        EncryptionConfiguration(SseMethod.KMS), Path("/elsewhere/keys"), ("one", "two"), "", "never"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [("DEFAULT", "SSE-C"), ("DEFAULT", "aes256"), ("CUSTOMER_KEYS_OVER_HTTP", "yes")],
)
def test_encryption_that_is_none(data, key, value):
    with pytest.raises(InvalidConfig, match=f"encryption.{key.lower()}"):
        load(data, {f"STRATUM_ENCRYPTION_{key}": value})
