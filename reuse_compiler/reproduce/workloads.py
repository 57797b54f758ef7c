"""The networks that `reproduce` runs: where each comes from, what it sees, and how its outputs are judged."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import ReuseError, StreamError

__all__ = ["WORKLOADS", "Recording", "Score", "Workload", "workload"]

Frames = Iterable[Mapping[str, Any]]
Outputs = NDArray[Any]
Score = Callable[[Outputs], float]


@dataclass(frozen=True)
class Recording:
    """Frames to run, anew for each pass; and how outputs on them (one array, frames first) score, in percent: None where
    nothing says what is right."""

    name: str
    frames: Callable[[], Frames]
    score: Score | None = None


@dataclass(frozen=True)
class Sizes:
    """How much of it is run: pieces (drives of 300 frames, utterances, clips) to calibrate on and to evaluate, and frames
    for each run of the sensitivity table."""

    calibration: int
    evaluation: int
    sensitivity: int


@dataclass(frozen=True)
class Workload:
    """One network of the paper, or one that stands in for it.

    Parameters
    ----------
    name : str
        As the command takes it; `paper` is the paper's network that it is, or stands in for.
    frame : str
        What a frame is.
    clusters : int
        Of the paper's quantizers.
    metric : str
        What `Recording.score` is, in percent; empty where the weights are not trained.
    budget : str
        A loss of 1 %, as :mod:`reuse_compiler.budget` has it; of the steering angle, whose deviation is another on every
        drive, the network's own error in radians. Empty where the weights are not trained.
    takes : {"sound", "video"}
        What recordings of the user's own it takes.
    counted : bool
        Whether it counts in the averages over the paper's networks.
    full, quick : Sizes
    """

    name: str
    paper: str
    frame: str
    clusters: int
    metric: str
    budget: str
    takes: Literal["sound", "video"]
    counted: bool
    full: Sizes
    quick: Sizes
    _place: Callable[[], Any]
    _calibration: Callable[[Any, int], Recording]
    _tuning: Callable[[Any, int], Recording]
    _evaluation: Callable[[Any, int], Recording]
    _others: Callable[[Any, int], list[Recording]]
    _opened: Callable[[Any, Path], Frames]

    def require(self, path: Path) -> None:
        """StreamError where `path` is no recording that the network takes: its first frame is read."""
        try:
            next(iter(self._opened(self._place(), path)), None)
        except StreamError as error:
            others = ", ".join(one.name for one in WORKLOADS.values() if one.takes == self.takes)
            raise StreamError(
                f"{error} ({self.takes} is what {others} take: name the networks that are to run)"
            ) from error

    @contextmanager
    def file(self) -> Iterator[Path]:
        """The ONNX file, for as long as the block lasts. ModelError where its weights are missing."""
        package = self._place()
        if hasattr(package, "path"):
            yield package.path()
            return
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"{self.name}.onnx"
            package.write(path)
            yield path

    def calibration(self, sizes: Sizes) -> Recording:
        """What quantizers are fitted to: of the data that the network was trained on."""
        return self._calibration(self._place(), sizes.calibration)

    def tuning(self, sizes: Sizes) -> Recording:
        """What a budgeted plan is fitted to: as a user would, other recordings of the kind that it will see."""
        return self._tuning(self._place(), sizes.calibration)

    def evaluation(self, sizes: Sizes) -> Recording:
        """What it is judged on: of data that it was not trained on."""
        return self._evaluation(self._place(), sizes.evaluation)

    def others(self, sizes: Sizes) -> list[Recording]:
        """Further recordings that similarity is looked at on."""
        return self._others(self._place(), sizes.evaluation)

    def opened(self, path: Path) -> Recording:
        """A recording of the user's own: sound or video, by the network."""
        return Recording(path.name, lambda: self._opened(self._place(), path))


def _package(name: str) -> Callable[[], Any]:
    return lambda: importlib.import_module(f"reuse_compiler.models.{name}")


def _nothing(package: Any, count: int) -> list[Recording]:
    return []


def _labels(frames: Callable[[], Frames]) -> NDArray[Any]:
    return np.array([np.asarray(frame["__labels__"]).reshape(-1)[0] for frame in frames()])


def _classified(name: str, frames: Callable[[], Frames]) -> Recording:
    """A recording with a class a frame: the score is the share of frames whose largest output is the class."""

    def score(outputs: Outputs) -> float:
        chosen = outputs.reshape(len(outputs), -1).argmax(axis=1)
        return 100 * float(np.mean(chosen == _labels(frames)))

    return Recording(name, frames, score)


def _drive(package: Any, frames: int, seed: int) -> Recording:
    """A drive; the score is the share of the angle's variance that the network explains."""

    def score(outputs: Outputs) -> float:
        angles = np.array([angle for _, angle in package.labelled(frames, seed)])
        error = outputs.reshape(-1) - angles
        return 100 * (1 - float(np.mean(error**2) / np.var(angles)))

    return Recording(f"drive {seed:,}", lambda: package.stream(frames, seed), score)


def _spoken(package: Any, utterances: int) -> Recording:
    """Utterances; the score is 100 less the label error rate."""

    def score(outputs: Outputs) -> float:
        wanted = package.transcripts(utterances)
        return 100 * (1 - float(package.label_error_rate(list(outputs), wanted)))

    return Recording("held-out voices", lambda: package.stream(utterances), score)


def _elsewhere(package: Any, count: int) -> Recording:
    """As the evaluation's stream, of seeds that it does not reach."""
    seed = package.EVALUATION_SEED + _APART
    return Recording("other held-out seeds", lambda: package.stream(count, seed=seed))


def _drives(package: Any, frames: int) -> Recording:
    """Stretches of several drives: one alone shows neither all curves nor all light."""
    count = 6
    seed = package.EVALUATION_SEED + _APART
    return Recording("other held-out drives", lambda: package.sequences(count, frames // count, seed))


_DRIVE_TRAINED = 7
"""A drive of a seed that training took views of."""
_APART = 500_000

WORKLOADS: dict[str, Workload] = {
    found.name: found
    for found in (
        Workload(
            name="kaldi",
            paper="kaldi",
            frame="10 ms of speech",
            clusters=16,
            metric="frame accuracy",
            budget="labels.argmax<=0.01",
            takes="sound",
            counted=True,
            full=Sizes(6, 8, 400),
            quick=Sizes(2, 2, 100),
            _place=_package("kaldi"),
            _calibration=lambda package, count: Recording("trained voices", lambda: package.calibration(count)),
            _tuning=_elsewhere,
            _evaluation=lambda package, count: _classified("held-out voices", lambda: package.stream(count)),
            _others=_nothing,
            _opened=lambda package, path: package.of_wav(path),
        ),
        Workload(
            name="eesen",
            paper="eesen",
            frame="an utterance of 3 s, 300 steps",
            clusters=16,
            metric="1 - label error rate",
            budget="reuse_compiler.models.eesen.loss:label_loss<=0.01",
            takes="sound",
            counted=True,
            full=Sizes(12, 24, 3),
            quick=Sizes(2, 2, 1),
            _place=_package("eesen"),
            _calibration=lambda package, count: Recording("trained voices", lambda: package.calibration(count)),
            _tuning=_elsewhere,
            _evaluation=_spoken,
            _others=_nothing,
            _opened=lambda package, path: package.of_wav(path),
        ),
        Workload(
            name="c3d",
            paper="c3d",
            frame="a clip of 16 pictures",
            clusters=32,
            metric="",
            budget="",
            takes="video",
            counted=True,
            full=Sizes(2, 2, 2),
            quick=Sizes(1, 2, 0),
            _place=_package("c3d"),
            _calibration=lambda package, count: Recording("rendered clips", lambda: package.calibration(count)),
            _tuning=_elsewhere,
            _evaluation=lambda package, count: Recording("clips sliding by 1", lambda: package.sliding(count)),
            _others=lambda package, count: [Recording("clips sliding by 16", lambda: package.stream(count))],
            _opened=lambda package, path: package.of_video(path),
        ),
        Workload(
            name="c3d-small",
            paper="c3d",
            frame="a clip of 16 pictures",
            clusters=32,
            metric="top-1 accuracy",
            budget="labels.argmax<=0.01",
            takes="video",
            counted=False,
            full=Sizes(40, 60, 12),
            quick=Sizes(6, 6, 2),
            _place=_package("c3d_small"),
            _calibration=lambda package, count: Recording("rendered clips", lambda: package.calibration(count)),
            _tuning=_elsewhere,
            _evaluation=lambda package, count: _classified("clips sliding by 16", lambda: package.stream(count)),
            _others=lambda package, count: [_classified("clips sliding by 1", lambda: package.sliding(count))],
            _opened=lambda package, path: package.of_video(path),
        ),
        Workload(
            name="autopilot",
            paper="autopilot",
            frame="a camera picture",
            clusters=32,
            metric="R2 of the angle",
            budget="rmse:steering<=0.0042",
            takes="video",
            counted=True,
            full=Sizes(300, 300, 60),
            quick=Sizes(150, 300, 20),
            _place=_package("autopilot"),
            _calibration=lambda package, count: _drive(package, count, _DRIVE_TRAINED),
            _tuning=_drives,
            _evaluation=lambda package, count: _drive(package, count, package.EVALUATION_SEED),
            _others=_nothing,
            _opened=lambda package, path: package.of_video(path),
        ),
    )
}
"""In the order of the paper; `c3d` has seeded weights and shows costs, `c3d-small` is trained and shows accuracy."""


def workload(name: str) -> Workload:
    """The workload called `name`. ReuseError that lists them where there is none."""
    if name not in WORKLOADS:
        raise ReuseError(f"network {name}: reproduce knows {', '.join(WORKLOADS)}: give some of these, or none for all")
    return WORKLOADS[name]
