import builtins
import sys

import pytest

from elman.data import read_text
from elman.data.demo_text import demo_text, library_sources
from elman.errors import DataError


def test_text_is_read_as_it_stands_without_a_byte_order_mark(tmp_path):
    (tmp_path / "a").write_bytes("\ufeffüber\r\nli\ufeffne\n".encode())
    assert read_text(tmp_path / "a") == "über\r\nli\ufeffne\n"
    assert read_text(str(tmp_path / "a"), bytes=True) == "\ufeffüber\r\nli\ufeffne\n".encode()
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf")
    assert read_text(tmp_path / "a", bytes=True) == b"\xef\xbb\xbf"
    with pytest.raises(DataError, match="the file is empty"):
        read_text(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfab\xe9")
    with pytest.raises(DataError, match="0xe9 at position 5"):
        read_text(tmp_path / "a")


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize(
    ("prepare", "words"),
    [(lambda path: None, "no such file"), (lambda path: path.mkdir(), "folder"), (lambda path: path.touch(), "empty")],
)
def test_a_file_that_cannot_be_text_is_named(tmp_path, prepare, words, as_bytes):
    prepare(tmp_path / "input.txt")
    with pytest.raises(DataError, match=rf"input\.txt.*{words}"):
        read_text(tmp_path / "input.txt", as_bytes)


def test_a_name_that_no_file_can_have_is_refused():
    with pytest.raises(DataError, match="cannot be read"):
        read_text("a\0b")


def test_text_that_is_not_utf8_is_located_and_bytes_are_suggested(tmp_path):
    (tmp_path / "a").write_bytes(b"one\ntwo \xe9t\xe9")
    with pytest.raises(DataError, match=r"0xe9 at position 8 \(line 2\).*`bytes`"):
        read_text(tmp_path / "a")
    assert read_text(tmp_path / "a", bytes=True) == b"one\ntwo \xe9t\xe9"


def test_the_demo_text_is_prose_of_some_size_and_always_the_same():
    text = demo_text()
    assert 300_000 < len(text) < 2_000_000
    assert "exception" in text
    assert text == demo_text()


def test_without_the_topics_the_library_s_sources_are_read(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **more):
        if name.startswith("pydoc_data"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "pydoc_data.topics", raising=False)
    text = demo_text()
    assert text == library_sources(500_000)
    assert 500_000 <= len(text) < 1_000_000
    assert "import" in text
