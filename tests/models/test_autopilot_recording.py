"""The driving stream: what a dash camera on the road's geometry would record, from a seed and on demand."""

from __future__ import annotations

import tracemalloc
from itertools import islice

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.models import autopilot
from reuse_compiler.models.autopilot import ground, recording
from reuse_compiler.models.autopilot.camera import COLUMNS, FOCAL, HEIGHT, HORIZON, ROWS, Mount, develop
from reuse_compiler.models.autopilot.palette import palette
from reuse_compiler.models.autopilot.recording import EVALUATION_SEED, TRAINING_SEEDS
from reuse_compiler.models.autopilot.road import LANE_CENTRE, Moment, Pose, Road, drive, steering_angle
from reuse_compiler.models.autopilot.texture import noise_tile

STILL = Mount(HORIZON, (COLUMNS - 1) / 2, 0.0)
RMSE_BOUND = 0.01  # radians; the bound that the model card states


def images(frames: int, seed: int = EVALUATION_SEED) -> NDArray[np.float32]:
    return np.concatenate([frame["image"] for frame in autopilot.stream(frames, seed)])


@pytest.fixture(scope="module")
def clip() -> NDArray[np.float32]:
    return images(45)


def moment_on(road: Road, pose: Pose) -> Moment:
    path = road.ahead(pose)
    return Moment(0.0, pose, path, 0.0, 0.0, steering_angle(path))


def ground_seen(pose: Pose, road: Road | None = None, seat: Mount = STILL) -> NDArray[np.float32]:
    below = ground.rows_below_horizon(seat, ROWS)
    seen = ground.view(below, seat, moment_on(road or Road(1, bend=0.0), pose), 1, palette(1))
    return np.asarray(seen.mean(axis=2))


def test_frames_are_the_networks_input(clip: NDArray[np.float32]) -> None:
    assert clip.shape == (45, 3, 66, 200)
    assert clip.dtype == np.float32
    assert clip.min() >= -1 and clip.max() <= 1


def test_frames_have_the_256_levels_of_a_real_camera(clip: NDArray[np.float32]) -> None:
    levels = (clip + 1) * 127.5
    assert np.abs(levels - np.rint(levels)).max() < 1e-4
    assert len(np.unique(np.rint(levels))) > 150


def test_a_seed_gives_the_same_stream_and_a_shorter_one_is_its_beginning(clip: NDArray[np.float32]) -> None:
    assert np.array_equal(images(5), clip[:5])
    assert not np.array_equal(images(1, EVALUATION_SEED + 1), clip[:1])


def test_consecutive_frames_differ_yet_are_similar(clip: NDArray[np.float32]) -> None:
    steps = np.abs(np.diff(clip, axis=0)).mean(axis=(1, 2, 3)) / 2
    apart = np.abs(clip[30] - clip[0]).mean() / 2
    assert steps.min() > 0.004, "no frame is frozen"
    assert steps.max() < 0.03
    assert steps.max() < apart


def test_every_part_of_the_picture_changes_by_noise_at_least(clip: NDArray[np.float32]) -> None:
    moved = (np.diff(clip, axis=0) != 0).mean(axis=(0, 1))
    assert moved.min() > 0.2


def test_frames_are_rendered_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[int] = []

    def photograph(moment: Moment, seed: int, number: int) -> NDArray[np.uint8]:
        rendered.append(number)
        return np.zeros((ROWS, COLUMNS, 3), np.uint8)

    monkeypatch.setattr(recording, "photograph", photograph)
    frames = autopilot.stream(None)
    assert rendered == []
    next(frames)
    next(frames)
    assert rendered == [0, 1]


def test_memory_does_not_grow_with_length() -> None:
    frames = autopilot.stream(None)
    tracemalloc.start()
    try:
        for _ in islice(frames, 8):
            pass
        early = tracemalloc.get_traced_memory()[0]
        for _ in islice(frames, 32):
            pass
        late = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert late - early < 50_000


def test_labelled_frames_are_the_streams_with_the_drives_angle(clip: NDArray[np.float32]) -> None:
    road = Road(EVALUATION_SEED)
    pairs = list(autopilot.labelled(4))
    assert all(np.array_equal(frame["image"][0], image) for (frame, _), image in zip(pairs, clip, strict=False))
    assert [angle for _, angle in pairs] == [moment.angle for moment in drive(road, EVALUATION_SEED, 4)]


def test_sequences_mark_where_a_drive_starts() -> None:
    frames = list(autopilot.sequences(count=2, frames=3))
    assert [frame["__start__"] for frame in frames] == [True, False, False, True, False, False]
    first = np.concatenate([np.asarray(frame["image"]) for frame in frames])
    assert np.array_equal(first[3:], images(3, EVALUATION_SEED + 1))


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(StreamError, match="seed of the driving stream is -1: give 0 or more"):
        next(autopilot.stream(seed=-1))


def test_the_default_stream_is_ten_seconds_of_an_unseen_drive() -> None:
    assert EVALUATION_SEED not in TRAINING_SEEDS
    assert autopilot.stream.__defaults__ == (300, EVALUATION_SEED)


@pytest.mark.parametrize("offset", [-0.6, 0.0, 0.5])
def test_the_right_edge_line_falls_where_perspective_puts_it(offset: float) -> None:
    picture = ground_seen(Pose(30.0, offset))
    line = sum(ground.EDGE_MARK) / 2 - LANE_CENTRE - offset
    for row in (40, 48, 56):
        depth = FOCAL * HEIGHT / (row - HORIZON)
        expected = STILL.centre + line * FOCAL / depth
        assert abs(int(picture[row, 100:].argmax()) + 100 - expected) <= 1


def test_a_bend_to_the_right_shows_to_the_right() -> None:
    def brightest(bend: float) -> int:
        seen = ground_seen(Pose(40.0), Road(1, bend=bend))
        return int(seen[32, 60:].argmax()) + 60

    right = 1.0 if moment_on(Road(1), Pose(40.0)).angle > 0 else -1.0
    assert brightest(right) > brightest(0.0) > brightest(-right)


def test_the_dashes_stay_in_the_world_while_the_car_moves() -> None:
    row = 50
    depth = FOCAL * HEIGHT / (row - HORIZON)
    column = round(STILL.centre - LANE_CENTRE * FOCAL / depth)
    for s in np.arange(0.0, 24.0, 0.8):
        phase = (s + depth) % ground.DASH_PERIOD
        if min(abs(phase - edge) for edge in (0, ground.DASH, ground.DASH_PERIOD)) < 0.6:
            continue
        seen = ground_seen(Pose(float(s)))
        bright = seen[row, column - 1 : column + 2].max() > 2 * np.median(seen[row])
        assert bright == (phase < ground.DASH)


def test_texture_moves_towards_the_car_with_the_road() -> None:
    road = Road(1, bend=0.0)
    rows = np.arange(40, 62)
    depths = FOCAL * HEIGHT / (rows - HORIZON)
    before, after = ground_seen(Pose(100.0), road), ground_seen(Pose(101.5), road)
    moved_rows = HORIZON + FOCAL * HEIGHT / (depths - 1.5)
    columns = STILL.centre - (LANE_CENTRE - 0.9) * FOCAL / depths
    moved_columns = STILL.centre - (LANE_CENTRE - 0.9) * FOCAL / (depths - 1.5)
    inside = moved_rows < ROWS - 1
    here = before[rows[inside], np.rint(columns[inside]).astype(int)]
    there = after[np.rint(moved_rows[inside]).astype(int), np.rint(moved_columns[inside]).astype(int)]
    assert np.corrcoef(here, there)[0, 1] > 0.6


def test_sensor_noise_is_small_new_every_frame_and_repeatable() -> None:
    grey = np.full((ROWS, COLUMNS, 3), 0.2, np.float32)
    shots = np.stack([develop(grey, 9, number) for number in range(12)]).astype(np.float64)
    assert 0.3 < shots.std(axis=0).mean() < 2.0
    assert np.array_equal(develop(grey, 9, 3), shots[3])


def test_bright_light_has_more_shot_noise_in_electrons_but_less_in_levels() -> None:
    def spread(level: float) -> float:
        picture = np.full((ROWS, COLUMNS, 3), level, np.float32)
        return float(np.stack([develop(picture, 1, n) for n in range(8)]).astype(np.float64).std(axis=0).mean())

    assert spread(0.02) > spread(0.5) > 0.2


def test_a_ripmap_keeps_its_mean_and_repeats() -> None:
    tile = noise_tile()
    rng = np.random.default_rng(0)
    v, h = rng.uniform(0, 256, (2, 400)).astype(np.float32)
    level = rng.integers(0, 9, (2, 400)).astype(np.int32)
    first = tile.sample(v, h, level[0], level[1])
    assert np.allclose(first, tile.sample(v + 256, h - 512, level[0], level[1]), atol=1e-3)
    top = np.full(400, len(tile.base) - 1, np.int32)
    assert np.allclose(tile.sample(v, h, top, top), 0, atol=1e-4)


def test_a_ripmap_is_read_exactly_at_texel_centres() -> None:
    tile = noise_tile()
    row, column = np.array([0, 3, 255], np.float32), np.array([7, 0, 255], np.float32)
    sharp = np.zeros(3, np.int32)
    expected = tile.texels[: 256 * 256].reshape(256, 256)[row.astype(int), column.astype(int)]
    assert np.allclose(tile.sample(row + np.float32(0.5), column + np.float32(0.5), sharp, sharp), expected)


def test_the_network_steers_a_held_out_drive_within_the_model_cards_bound() -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(autopilot.path(), options, providers=["CPUExecutionProvider"])
    pairs = np.array(
        [
            (session.run(None, dict(frame))[0].item(), angle)
            for seed in (EVALUATION_SEED, EVALUATION_SEED + 5)
            for frame, angle in autopilot.labelled(150, seed)
        ]
    )
    rmse = float(np.sqrt(np.square(pairs[:, 0] - pairs[:, 1]).mean()))
    assert rmse < RMSE_BOUND
    assert rmse < 0.1 * pairs[:, 1].std()
