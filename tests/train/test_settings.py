"""Settings: their ranges, their names, and their TOML form."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from elman.errors import ConfigError
from elman.train import config
from elman.train.config import Config


def test_config_goes_to_toml_and_back(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for each in (
        Config.of("text"),
        Config.of("text", 'odd "name"\\ with\ttab, \x7f and 🙂', cell="a\nb.py:c", steps=3, minutes=0.25, bytes=True),
        Config.of("text", "x", cell="projected_lstm", sizes={"P": 64, "Ω": 1}),
        Config.of("text", clip=math.inf, checkpoint_seconds=math.inf),
    ):
        config.write(path, each)
        assert config.read(path) == each


def test_a_byte_order_mark_and_windows_line_ends_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    config.write(path, Config.of("text", "x", hidden=7))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert config.read(path) == Config.of("text", "x", hidden=7)


@pytest.mark.parametrize("text", ["hidden = 'many'", "task = 9", "nosuch = 1", "hidden = ", "hidden = 0", "\x00"])
def test_a_damaged_config_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        config.read(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 0}, "`hidden` must be at least 1 and below 536,870,912, got 0"),
        (
            {"source": "caf\udce9.txt"},
            "`source` 'caf.udce9.txt': a name in UTF-8 expected; rename it, or make a link to",
        ),
        ({"cell": "caf\udce9.py:mine"}, "`cell` 'caf.udce9.py:mine': a name in UTF-8 expected"),
        ({"dropout": 1.0}, "`dropout` must be from 0 to less than 1"),
        ({"validation": 0.0}, "`validation` must be between 0 and 1"),
        ({"learning_rate": -1.0}, "`learning_rate` must be above 0"),
        ({"learning_rate": math.nan}, "`learning_rate` must be above 0 and finite, got nan"),
        ({"learning_rate": math.inf}, "`learning_rate` must be above 0 and finite, got inf"),
        ({"steps": 0}, "`steps` must be at least 1"),
        ({"minutes": 0.0}, "`minutes` must be above 0"),
        ({"minutes": math.inf}, "`minutes` must be above 0 and finite, got inf"),
        ({"seed": -1}, "`seed` must be at least 0"),
    ],
)
def test_ranges(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.of("text", **settings)


def test_minutes_have_a_default_only_without_steps() -> None:
    assert Config.of("text").budget.seconds == 300
    assert Config.of("text", steps=5).budget.seconds is None
    assert Config.of("text", steps=5, minutes=2).budget.seconds == 120


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": "many"}, "`hidden`: expected int, got str, here 'many'"),
        ({"hidden": 1.5}, "`hidden`: expected int, got float, here 1.5"),
        ({"bytes": 1}, "`bytes`: expected bool, got int, here 1"),
        ({"cell": None}, "`cell`: expected str, got null, here None"),
        ({"precision": "float16"}, "`precision`: invalid enum value 'float16', here 'float16'"),
        ({"nosuch": 3}, "there is no setting `nosuch`; there are bytes, validation, cell"),
    ],
)
def test_settings_of_another_kind(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        Config.of("text", **settings)
    with pytest.raises(ConfigError, match=r"^`network`: expected object, got int, here 3"):
        Config(task="text", network=3)  # type: ignore[arg-type]
