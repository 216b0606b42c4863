"""`elman sample`: strategies, constraints, comparison, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from elman.formats import model_file
from tests.cli.conftest import Program
from tests.decode import small


@pytest.fixture
def model(tmp_path: Path) -> Path:
    model_file.save(tmp_path / "model", small.model_file(("lstm",), symbols="\n 0123456789abcdef", hidden=12))
    return tmp_path / "model"


@pytest.fixture
def bytewise(tmp_path: Path) -> Path:
    model_file.save(tmp_path / "bytes", small.model_file(("gru",), kind="bytes", hidden=12))
    return tmp_path / "bytes"


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam", "exact"])
def test_strategies(elman: Program, model: Path, strategy: str) -> None:
    ended = elman("sample", model, "--prompt", "abc", "--strategy", strategy, "--length", 6, "--budget", 100_000)
    assert ended.status == 0
    assert re.fullmatch(r"abc[\n 0-9a-f]{6}\n", ended.out)
    told = json.loads(elman("sample", model, "--prompt", "abc", "--strategy", strategy, "--length", 6, "--json").out)
    assert "abc" + told["text"] + "\n" == ended.out
    assert told["strategy"] == strategy
    assert told["outputs"][0]["log_probability"] == pytest.approx(sum(told["outputs"][0]["log_probabilities"]))
    assert ("proved" in told, "tree" in told) == (strategy == "exact", strategy == "beam")
    assert ("no sequence is likelier" in ended.err) == (strategy == "exact")


def test_several_outputs(elman: Program, model: Path) -> None:
    ended = elman("sample", model, "--prompt", "a", "--count", 3, "--length", 5, "--allowed", "bcd")
    assert re.fullmatch(r"(a[bcd]{5}\n){3}", ended.out)
    assert re.fullmatch(r"([123]: log p -\d+\.\d{3}, length\n){3}", ended.err)
    beam = elman("sample", model, "--strategy", "beam", "--count", 12, "--length", 3, "--json")
    assert len(json.loads(beam.out)["outputs"]) == 12


CONSTRAINED = [
    (("--regex", "[0-9]{3}-?[a-f]+"), r"[0-9]{3}[a-f]+"),
    (("--starts", "cafe"), r"cafe.*"),
    (("--contains", "00"), r".*00.*"),
    (("--allowed", "ab"), r"[ab]*"),
    (("--lexicon", "words"), r"face|fade|bad"),
    (("--lexicon", "words", "--separator", " "), r"(face|fade|bad)( (face|fade|bad))*"),
    (("--grammar", "grammar"), r"[0-9]+( [0-9]+)*"),
    (("--json-schema", "schema"), r"[13]"),
    (("--regex", "a*b*", "--first-match"), r""),
    (("--stop", "a", "--stop", "0"), r"[^a0]*"),
]


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam"])
@pytest.mark.parametrize(
    ("options", "expected"), CONSTRAINED, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_constraints(
    elman: Program, model: Path, tmp_path: Path, options: tuple[str, ...], expected: str, strategy: str
) -> None:
    (tmp_path / "words").write_text("face\n\nfade\nbad")
    (tmp_path / "schema").write_text('\ufeff{"enum": [1, "one", 3]}', "utf-8")
    (tmp_path / "grammar").write_text('s ::= n (" " n)*   n ::= [0-9]+\n')
    ended = elman("sample", model, "--strategy", strategy, "--length", 12, "--json", *options)
    assert ended.status == 0, ended.err
    assert re.fullmatch(expected, json.loads(ended.out)["text"], re.DOTALL)


def test_words_that_cannot_be_written_are_told(elman: Program, model: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_bytes("\ufefffade\r\nzoo\r\nface\r\n".encode())
    for options in ((), ("--compare",)):
        ended = elman("sample", model, "--length", 6, "--lexicon", "words", "--json", *options)
        assert ended.status == 0, ended.err
        told = "1 of the lexicon's 3 words have characters that no token writes, and are left out: 'zoo'\n"
        assert ended.err == told
    drawn = elman("sample", model, "--count", 50, "--temperature", 9, "--length", 6, "--lexicon", "words", "--json")
    texts = [output["text"] for output in json.loads(drawn.out)["outputs"]]
    assert set(texts) == {"fade", "face"}  # the first word is there, without the mark in front of it
    (tmp_path / "words").write_text("zoo\nlynx\n")
    ended = elman("sample", model, "--lexicon", "words")
    assert (ended.status, ended.out) == (1, "")
    assert (
        "2 of the lexicon's 2 words have characters that no token writes: 'zoo', 'lynx'; no word is left" in ended.err
    )


def test_whole_characters_of_bytes(elman: Program, bytewise: Path) -> None:
    for seed in range(5):
        ended = elman(
            "sample", bytewise, "--prompt", "€", "--length", 30, "--utf8", "--temperature", 1.5, "--seed", seed
        )
        assert ended.status == 0
        assert "\ufffd" not in ended.out


def test_stop_strings_are_not_shown(elman: Program, model: Path) -> None:
    for seed in range(10):
        ended = elman("sample", model, "--prompt", "b", "--stop", "ca", "--stop", "a", "--length", 40, "--seed", seed)
        told = elman(
            "sample", model, "--prompt", "b", "--stop", "ca", "--stop", "a", "--length", 40, "--seed", seed, "--json"
        )
        assert ended.out == "b" + json.loads(told.out)["text"] + "\n"
        assert "a" not in ended.out


def test_compare(elman: Program, model: Path) -> None:
    arguments = ("sample", model, "--prompt", "ab", "--compare", "--length", 5)
    told = json.loads(elman(*arguments, "--json").out)
    best = {name: told[name]["log_probability"] for name in ("greedy", "sample", "beam", "exact")}
    assert best["exact"] == max(best.values())
    assert best["exact"] >= best["beam"] >= best["greedy"]
    assert told["exact"]["proved"] is True
    ended = elman(*arguments)
    assert ended.status == 0
    for word in ("greedy", "sample", "beam", "exact (proved)", "log p", "bits each", "ended by"):
        assert word in ended.out
    plain = " ".join(ended.out.split())
    if best["beam"] > best["greedy"]:
        assert re.search(r"beam found a text .* times as likely as greedy's\. They part after", plain)
    else:
        assert "beam found nothing likelier than greedy." in plain


def test_comparing_with_options_that_not_all_strategies_know(elman: Program, model: Path) -> None:
    own = ("--temperature", 0.3, "--width", 3, "--alpha", 0.7, "--budget", 50, "--count", 2, "--regex", "[0-9]*")
    told = json.loads(elman("sample", model, "--prompt", "ab", "--compare", "--length", 5, "--json", *own).out)
    assert all(re.fullmatch("[0-9]{5}", told[name]["text"]) for name in ("greedy", "sample", "beam"))
    assert told["exact"]["steps"] <= 50


def test_what_a_beam_finds_that_greedy_misses(elman: Program, tmp_path: Path) -> None:
    for seed in range(20):  # one of these models has a better second choice
        model_file.save(tmp_path / "m", small.model_file(("lstm",), symbols="\nabcd", hidden=6, seed=seed))
        ended = elman("sample", tmp_path / "m", "--prompt", "a", "--compare", "--length", 6)
        found = re.search(
            r"beam found a text ([\d.]+) times as likely .* greedy takes '(.*)' \(p ([\d.]+)\), "
            r"beam takes '(.*)' \(p ([\d.]+)\)",
            " ".join(ended.out.split()),
        )
        if found:
            assert float(found[1]) > 1
            assert float(found[3]) >= float(found[5])
            return
    pytest.fail("no model of twenty has a likelier text than greedy's")


def test_the_tree(elman: Program, model: Path, tmp_path: Path) -> None:
    ended = elman(
        "sample", model, "--strategy", "beam", "--width", 3, "--length", 4, "--tree", "--svg", tmp_path / "t.svg"
    )
    assert ended.status == 0
    assert sum(line.startswith("=") for line in ended.out.split("\n")) == 3
    assert ElementTree.parse(tmp_path / "t.svg").getroot().tag.endswith("svg")


def test_unknown_characters(elman: Program, model: Path) -> None:
    refused = elman("sample", model, "--prompt", "aXb")
    assert (refused.status, refused.out) == (1, "")
    assert "character 'X' (U+0058) at position 1" in refused.err
    skipped = json.loads(elman("sample", model, "--prompt", "aXb", "--unknown", "skip", "--length", 9, "--json").out)
    replaced = elman(
        "sample", model, "--prompt", "aXb", "--unknown", "replace", "--replacement", "0", "--length", 9, "--json"
    )
    assert skipped["text"] == json.loads(elman("sample", model, "--prompt", "ab", "--length", 9, "--json").out)["text"]
    assert (
        json.loads(replaced.out)["text"]
        == json.loads(elman("sample", model, "--prompt", "a0b", "--length", 9, "--json").out)["text"]
    )


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--prompt", ""), 1, "a prompt of at least one token"),
        (("--regex", "x"), 1, "can never be met"),
        (("--regex", "("), 1, "regular expression '(', position 0"),
        (("--grammar", "missing"), 1, "missing"),
        (("--json-schema", "latin"), 1, "latin: text in UTF-8 expected"),
        (("--json-schema", "text"), 1, "text: JSON expected: Expecting value"),
        (("--json-schema", "deep"), 1, "deep: JSON expected"),
        (("--regex", "(a|b)*a(a|b){9}", "--max-states", 100), 1, "raise max_states (now 100)"),
        (("--lexicon", "latin"), 1, "latin: text in UTF-8 expected"),
        (("--strategy", "greedy", "--temperature", "0.5"), 1, "temperature is for strategy 'sample'"),
        (("--strategy", "sample", "--width", "3"), 1, "width is for strategy 'beam'"),
        (("--tree",), 1, "show the hypotheses of a beam: add --strategy beam"),
        (("--compare", "--tree"), 1, "leave one of them out"),
        (("--strategy", "best"), 2, "--strategy"),
        (("--separator", "a"), 1, "--separator stands between words of a lexicon: add --lexicon"),
        (("--replacement", "a"), 1, "replacement is for unknown='replace', not for 'error'"),
        (("--strategy", "beam", "--alpha", "nan"), 1, "alpha must be a finite number, -10 … 10, got nan"),
        (("--strategy", "beam", "--width", "2", "--count", "5"), 1, "the 5 best are asked of a beam of width 2"),
    ],
)
def test_refused(
    elman: Program, model: Path, tmp_path: Path, options: tuple[str, ...], status: int, message: str
) -> None:
    (tmp_path / "latin").write_bytes("größe".encode("latin-1"))
    (tmp_path / "text").write_text("type: object")
    (tmp_path / "deep").write_text("[" * 100_000)
    ended = elman("sample", model, *options)
    assert (ended.status, ended.out) == (status, "")
    assert message in " ".join(ended.err.split())


def test_a_model_of_numbers(elman: Program, tmp_path: Path) -> None:
    from dataclasses import replace

    model_file.save(tmp_path / "numbers", replace(small.model_file(("lstm",)), vocabulary=None))
    for command in (("sample", "numbers"), ("score", "numbers", "numbers")):
        ended = elman(*command)
        assert ended.status == 1
        assert "numbers: this model has no vocabulary" in ended.err
