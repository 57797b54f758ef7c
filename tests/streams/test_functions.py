from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime.quantization import CalibrationDataReader

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams import open_stream

X = TensorSpec("x", (1, 2), np.dtype("float32"))

CODE = """
import dataclasses, numpy as np
import beside

@dataclasses.dataclass
class Settings:
    count: int = beside.COUNT

def frames():
    for number in range(Settings().count):
        yield {"x": np.full(2, number, np.float32), "__start__": number == 2}

class Reader:
    def __init__(self):
        self.frames = frames()
    def get_next(self):
        return next(self.frames, None)

def broken():
    yield {"x": np.zeros(2, np.float32)}
    raise KeyError("no such\\nthing")

items = [{"x": np.ones(2, np.float32)}]
"""


def _frame(value: float) -> dict[str, Any]:
    return {"x": np.full(2, value, np.float32)}


def _values(stream: Any) -> list[float]:
    return [float(frame.inputs["x"][0, 0]) for frame in stream]


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("COUNT = 4\n")
    path = tmp_path / "my_frames.py"
    path.write_text(CODE)
    return path


@pytest.mark.parametrize("name", ["frames", "Reader"])
def test_function_of_a_file_is_called_anew_for_each_pass(module: Path, name: str) -> None:
    stream = open_stream(f"{module}:{name}", [X])
    assert stream.name == f"{module}:{name}"
    for _ in range(2):
        assert _values(stream) == [0, 1, 2, 3]
    assert [frame.start for frame in stream] == [True, False, True, False]


def test_function_of_a_module_in_the_working_folder(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(module.parent)
    assert _values(open_stream("my_frames:frames", [X])) == [0, 1, 2, 3]
    assert _values(open_stream("my_frames:items", [X])) == [1]


def test_importing_leaves_the_search_path_as_it_was(module: Path) -> None:
    import sys

    before = list(sys.path)
    open_stream(f"{module}:frames", [X])
    assert sys.path == before


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("{}:nothing", "has no nothing: check the name"),
        ("{}.gone.py:frames", "no such file"),
        ("no_such_module_at_all:frames", "raised ModuleNotFoundError"),
        ("nonsense", "no such file or folder, nor MODULE:FUNCTION"),
    ],
)
def test_names_that_lead_nowhere(module: Path, spec: str, said: str) -> None:
    with pytest.raises(StreamError, match=said):
        open_stream(spec.format(module), [X])


def test_exception_in_the_users_code_names_function_and_frame(module: Path) -> None:
    with pytest.raises(StreamError, match=r"my_frames\.py:broken: frame 1: raised KeyError") as caught:
        list(open_stream(f"{module}:broken", [X]))
    assert isinstance(caught.value.__cause__, KeyError)
    assert "\n" not in str(caught.value)


def test_exception_while_importing_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("1 / 0\n")
    with pytest.raises(StreamError, match=r"bad\.py:frames: raised ZeroDivisionError"):
        open_stream(f"{tmp_path / 'bad.py'}:frames", [X])


def test_function_that_needs_arguments_or_gives_no_stream() -> None:
    def needs(argument: int) -> list[dict[str, Any]]:
        return [_frame(argument)]

    with pytest.raises(StreamError, match=r"needs: raised TypeError: .*argument"):
        list(open_stream(needs, [X]))  # type: ignore[arg-type]
    with pytest.raises(StreamError, match="gave int: give an iterable of dicts"):
        list(open_stream(lambda: 7, [X]))  # type: ignore[arg-type, return-value]
    with pytest.raises(StreamError, match="one dict is not a stream"):
        list(open_stream(lambda: _frame(1), [X]))  # type: ignore[arg-type, return-value]
    with pytest.raises(StreamError, match="int: not a stream"):
        open_stream(7, [X])  # type: ignore[arg-type]


def test_iterator_can_be_read_once() -> None:
    stream = open_stream(iter([_frame(1), _frame(2)]), [X])
    assert _values(stream) == [1, 2]
    with pytest.raises(StreamError, match="an iterator can be read once"):
        list(stream)


def test_generator_can_be_read_once_but_its_function_again() -> None:
    def frames() -> Iterator[dict[str, Any]]:
        yield _frame(1)

    stream = open_stream(frames, [X])
    assert _values(stream) == _values(stream) == [1]
    once = open_stream(frames(), [X])
    assert _values(once) == [1]
    with pytest.raises(StreamError, match="can be read once"):
        list(once)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self.left = [_frame(2), _frame(1)]

    def get_next(self) -> dict[str, Any] | None:
        return self.left.pop() if self.left else None


class _Rewinding(_Reader):
    def rewind(self) -> None:
        self.__init__()  # type: ignore[misc]


def test_calibration_reader_is_read_once_or_rewound() -> None:
    stream = open_stream(_Reader(), [X])
    assert _values(stream) == [1, 2]
    with pytest.raises(StreamError, match="_Reader: this reader can be read once"):
        list(stream)
    again = open_stream(_Rewinding(), [X])
    assert _values(again) == _values(again) == [1, 2]


def test_class_of_readers_is_made_anew_for_each_pass() -> None:
    stream = open_stream(_Reader, [X])
    assert _values(stream) == _values(stream) == [1, 2]


def test_one_buffer_filled_again_and_again_gives_different_frames() -> None:
    def frames() -> Iterator[dict[str, Any]]:
        buffer = np.zeros(2, np.float32)
        for number in range(3):
            buffer[:] = number
            yield {"x": buffer}

    assert _values(list(open_stream(frames, [X]))) == [0, 1, 2]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (np.zeros(2), "frame 0: is ndarray: give a dict of arrays"),
        (None, "frame 0: is NoneType"),
        ({"x": [[1.0], [1.0, 2.0]]}, "frame 0: input x: not an array"),
        ({**_frame(0), "__start__": 1}, "frame 0: __start__ is 1: give true or false"),
    ],
)
def test_items_that_are_no_frames(item: Any, said: str) -> None:
    with pytest.raises(StreamError, match=said):
        list(open_stream([item], [X]))


def test_a_list_knows_its_length_and_a_function_does_not() -> None:
    assert open_stream([_frame(0)] * 3, [X]).frames == 3
    assert open_stream(lambda: [_frame(0)] * 3, [X]).frames is None
