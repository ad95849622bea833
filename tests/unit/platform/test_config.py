from pathlib import Path

import pytest

from noggd.platform import config


def load(
    text: str, tmp_path: Path, environ: dict[str, str] | None = None, **flags: object
) -> config.Settings:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return config.load(file, required=True, environ=environ or {}, flags=flags)


def test_without_anything_said_the_defaults_hold(tmp_path: Path) -> None:
    assert config.load(tmp_path / "none", required=False, environ={}, flags={}) == config.Settings()


def test_a_file_that_somebody_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="no such config file"):
        config.load(tmp_path / "none", required=True, environ={}, flags={})


def test_flags_go_over_the_environment_over_the_file(tmp_path: Path) -> None:
    text = 'log_level = "error"\nlog_format = "json"\nlisten = "127.0.0.1:1"\n'
    environ = {"NOGG_LOG_FORMAT": "journal", "NOGG_LISTEN": "127.0.0.1:2,[::1]:2"}
    settings = load(text, tmp_path, environ, listen=["127.0.0.1:3"], log_level=None)
    assert settings == config.Settings(log_level="error", log_format="journal", listen=("127.0.0.1:3",))
    assert load(text, tmp_path, environ).listen == ("127.0.0.1:2", "[::1]:2")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("\n# a comment\nnonsense = 1\n", ":3: nonsense is no setting"),
        ("[peers]\nlisten = 1\n", ":1: peers is no setting"),
        ('listen = "127.0.0.1:1"\n"log_level" = 5\n', ":2: log_level wants one of debug"),
        ('log_level = "loud"\n', ":1: log_level wants one of debug"),
        ("\ndiscovery = 'maybe'\n", ":2: discovery wants true or false"),
        ("listen = 7734\n", ":1: listen wants"),
        ('listen = ["127.0.0.1:99999"]\n', ":1: listen wants a port"),
        ('listen = ["::1:80"]\n', ":1: listen write an IPv6 host in brackets"),
        ("log_format = \n", ":1: log_format is not TOML"),
        ('device_name = ""\n', ":1: device_name wants 1 to 64"),
        ("a.b = 1\n", ":1: a is no setting"),
        ('log_level = "info"\nlog_level = "info"\n', ":2: "),
    ],
)
def test_a_bad_setting_names_file_line_and_key(text: str, where: str, tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError) as refused:
        load(text, tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'config.toml'}{where}")


def test_bad_values_elsewhere_name_the_variable_or_the_flag(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match=r"^\$NOGG_LOG_LEVEL wants"):
        load("", tmp_path, {"NOGG_LOG_LEVEL": "loud"})
    with pytest.raises(config.ConfigError, match=r"^--log-level wants"):
        load("", tmp_path, log_level="loud")


def test_a_file_in_another_encoding_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b'device_name = "\xff"')
    with pytest.raises(config.ConfigError, match="cannot be read"):
        config.load(tmp_path / "config.toml", required=False, environ={}, flags={})


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::]:7734", ("::", 7734)),
        ("laptop.lan:65535", ("laptop.lan", 65535)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert config.parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", ":1", "host", "host:", "host:-1", "host:65536", "::1:1", "host:1e3", "host:\u0661"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"wants|write"):
        config.parse_address(text)


def test_a_reload_tells_what_can_change_at_once() -> None:
    old = config.Settings()
    new = config.Settings(log_level="debug", discovery=False)
    assert config.changed(old, new) == (["log_level"], ["discovery"])


def test_the_example_in_the_documentation_is_the_real_one(tmp_path: Path) -> None:
    documented = Path(__file__).parents[3] / "docs" / "config.example.toml"
    assert documented.read_text() == config.example()


def test_the_example_says_the_truth(tmp_path: Path) -> None:
    lines = [line.removeprefix("#") for line in config.example().splitlines() if line.startswith("#")]
    settings = load("\n".join(line for line in lines if not line.startswith(" ")), tmp_path)
    assert settings.device_name == "kitchen laptop"
    assert settings.listen == config.DEFAULT_LISTEN
    assert settings.log_level == config.Settings().log_level
