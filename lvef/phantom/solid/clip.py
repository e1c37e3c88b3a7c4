"""One phantom of the second generator: its patient, its frames on demand, and the truth."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import (
    PICTURE_SIZE,
    chords_to_polygon,
    method_of_disks,
    polygon_area,
    polygon_mask,
)
from lvef.phantom.purpose import Purpose
from lvef.phantom.solid.body import Body
from lvef.phantom.solid.cycle import sample_cycle
from lvef.phantom.solid.draw import Drawn, draw
from lvef.phantom.solid.population import SolidPatient, sample_patient
from lvef.streams import Use, stream


class SolidView:
    """A solid beating heart as a simulated probe shows it from one place.

    Args:
        name: File name without extension.
        patient: What was drawn of the patient.
        rng: Source of randomness of beats and breathing; it has drawn the patient already.
        place: Seed and numbers that its tissue and noise are drawn by, its alone.
        drawn: Heart, pose, tissue and machine; drawn from `rng` by default.

    Attributes:
        name: File name without extension; says SOLIDPHANTOM, so that no one takes it for a
            patient.
        patient: EF, volume, rates and length that were drawn.
        kinds: What makes the clip hard, names from `KINDS`.
        ef_3d: EF in percent of the whole cavity.
        drawn: Heart, pose, tissue and machine.
        cycle: Its beats.
        ed_frame: End-diastolic frame of the labelled beat, the first that the clip shows whole.
        es_frame: End-systolic frame of the same beat.
    """

    def __init__(
        self,
        name: str,
        patient: SolidPatient,
        rng: np.random.Generator,
        place: tuple[int, ...],
        drawn: Drawn | None = None,
    ) -> None:
        self._key = place
        self.name = name
        self.patient = patient
        self.kinds = patient.kinds
        self.cycle = sample_cycle(patient, rng)
        self.drawn = draw(patient, rng) if drawn is None else drawn
        self.ef_3d = self.drawn.ef_3d
        self._drift = rng.uniform(-2.5, 2.5, 2)
        self._breath = rng.uniform(2.5, 5.0), rng.uniform(0, 2 * np.pi)
        self._last: dict[int, NDArray[np.uint8]] = {}
        self.ed_frame, self.es_frame = self._labelled()

    tissue_use, frame_use = Use.SOLID_TISSUE, Use.SOLID_FRAME

    @cached_property
    def body(self) -> Body:
        """The scatterers, made when the first frame is asked for."""
        return Body(self.drawn, stream(self.tissue_use, *self._key))

    @cached_property
    def contraction(self) -> NDArray[np.float64]:
        """`(T,)` contraction at which the cavity has the volume that the pump has."""
        heart = self.drawn.heart
        nodes = np.linspace(-0.6, 1.5, 43)
        volumes = np.array([heart.volume(float(c)) for c in nodes])
        full, empty = heart.volume(0.0), heart.volume(1.0)
        wanted = full - self.cycle.emptying * (full - empty)
        return np.interp(wanted, volumes[::-1], nodes[::-1])

    @property
    def end_systoles(self) -> NDArray[np.float64]:
        """Seconds from the first frame to every end-systole, also those before and after."""
        return self.cycle.es_seconds

    def _shift(self, frame: NDArray[np.int64] | int) -> NDArray[np.float64]:
        """Return how far breathing has moved the heart, x and y in mm."""
        period, start = self._breath
        angle = 2 * np.pi * np.asarray(frame) / self.patient.fps / period + start
        return np.asarray(self._drift * np.sin(angle)[..., None])

    def frames(self, indices: Iterable[int] | None = None) -> NDArray[np.uint8]:
        """Render frames.

        Args:
            indices: Frame numbers from 0; all frames by default.

        Returns:
            `(n, 112, 112)` uint8 grey frames. A frame does not depend on which others are asked.
        """
        wanted = range(self.patient.num_frames) if indices is None else list(indices)
        frames = np.empty((len(wanted), PICTURE_SIZE, PICTURE_SIZE), np.uint8)
        for slot, i in enumerate(wanted):
            frames[slot] = self._kept(self._persistent(i))
        return frames

    def _kept(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a frame as the codec of an archive leaves it."""
        quality = self.drawn.machine.jpeg_quality
        if not quality:
            return frame
        _, kept = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(kept, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)

    def _persistent(self, i: int) -> NDArray[np.uint8]:
        left = self.drawn.machine.persistence
        if not left:
            return self._rendered(i)
        before, now = self._rendered(max(i - 1, 0)), self._rendered(i)
        return np.asarray(cv2.addWeighted(before, left, now, 1 - left, 0))

    def _rendered(self, i: int) -> NDArray[np.uint8]:
        if i not in self._last:
            rng = stream(self.frame_use, *self._key, i)
            frame = self.body.frame(
                float(self.contraction[i]), float(self.cycle.mitral[i]), self._shift(i), rng
            )
            self._last = {k: v for k, v in self._last.items() if k == i - 1} | {i: frame}
        return self._last[i]

    @cached_property
    def tracings(self) -> NDArray[np.float64]:
        """`(T, 21, 4)` a reader's long axis and chords of every frame, in pixels."""
        machine = self.drawn.machine
        shift = self._shift(np.arange(self.patient.num_frames))
        millimetres = self.drawn.section.tracings(self.contraction) + np.tile(shift, 2)[:, None]
        return np.asarray(millimetres * machine.pixels_per_mm + np.tile(machine.origin, 2))

    @cached_property
    def volumes(self) -> NDArray[np.float64]:
        """`(T,)` volume in mL by the method of disks."""
        cubed = self.drawn.machine.pixels_per_mm**3 * 1000
        return np.array([method_of_disks(tracing) for tracing in self.tracings]) / cubed

    def labels(self, frame: int) -> NDArray[np.uint8]:
        """Return what lies where in a frame, `(112, 112)` uint8.

        1 is the cavity as a reader traces it, 2 the wall around it: up to its outer border, and
        from what the reader traces on.

        Args:
            frame: Frame, counted from 0.
        """
        rows, columns = np.mgrid[:PICTURE_SIZE, :PICTURE_SIZE].astype(np.float64)
        machine, heart, c = self.drawn.machine, self.drawn.heart, float(self.contraction[frame])
        plane = np.stack([columns, rows], axis=-1) - np.array(machine.origin)
        plane = plane / machine.pixels_per_mm - self._shift(frame)
        points = np.concatenate([plane, np.zeros((*plane.shape[:-1], 1))], axis=-1)
        points = self.drawn.pose.to_heart(points)
        wall = heart.within_wall(points, c)
        wall |= heart.outside_cavity(points, np.full(wall.shape, c)) < 0
        contour = chords_to_polygon(self.tracings[frame][1:])
        cavity = polygon_mask(contour, PICTURE_SIZE, PICTURE_SIZE)
        return np.where(cavity, 1, np.where(wall, 2, 0)).astype(np.uint8)

    def truth(self) -> dict[str, NDArray[np.generic]]:
        """Return what is known of every frame of the clip.

        Returns:
            `contour` float32 `(T, 40, 2)` x, y in pixels; `area` float32 `(T,)` in square pixels;
            `volume` float32 `(T,)` in mL; `phase` float32 `(T,)`, 0 at ED, 0.5 at ES;
            `pixels_per_mm`, `ed_frame`, `es_frame` scalars; `ed_frames` and `es_frames` of every
            beat of which that moment lies in the clip; `ef_3d` in percent.
        """
        contours = np.stack([chords_to_polygon(tracing[1:]) for tracing in self.tracings])
        return {
            "contour": contours.astype(np.float32),
            "area": np.array([polygon_area(c) for c in contours], np.float32),
            "volume": self.volumes.astype(np.float32),
            "phase": self.cycle.phase(self.patient.fps).astype(np.float32),
            "pixels_per_mm": np.array(self.drawn.machine.pixels_per_mm, np.float32),
            "ed_frame": np.array(self.ed_frame),
            "es_frame": np.array(self.es_frame),
            "ed_frames": self._moments(self.cycle.ed_seconds, True),
            "es_frames": self._moments(self.cycle.es_seconds, False),
            "ef_3d": np.array(self.ef_3d, np.float32),
        }

    def _moments(self, seconds: NDArray[np.float64], fullest: bool) -> NDArray[np.int64]:
        frames = np.round(seconds * self.patient.fps).astype(np.int64)
        inside = frames[(frames >= 0) & (frames < self.patient.num_frames)]
        return np.array([self._extreme(int(frame), fullest) for frame in inside], np.int64)

    def _extreme(self, frame: int, fullest: bool) -> int:
        """Return the frame nearby whose section is largest or smallest."""
        reach = 1 + round(0.03 * self.patient.fps)
        start = max(frame - reach, 0)
        near = self.volumes[start : frame + reach + 1]
        return start + int(np.argmax(near) if fullest else np.argmin(near))

    def _labelled(self) -> tuple[int, int]:
        """Return ED and ES of the beat nearest to the median among those the clip shows whole."""
        last, fps = self.patient.num_frames - 1, self.patient.fps
        ed = np.round(self.cycle.ed_seconds * fps).astype(int)
        es = np.round(self.cycle.es_seconds * fps).astype(int)
        whole = np.flatnonzero((ed >= 0) & (es <= last))
        stroke = self.cycle.emptying[es[whole]] - self.cycle.emptying[ed[whole]]
        best = whole[int(np.argmin(np.abs(stroke - np.median(stroke))))]
        return int(ed[best]), int(es[best])


class SolidClip(SolidView):
    """A solid heart in the apical four-chamber view.

    The same purpose, seed and index give the same clip wherever it is made. `patient.ef` is what
    the contours of the image plane give; `ef_3d` is that of the whole cavity.

    Args:
        seed: Seed of the population.
        index: Number of the clip within the population.
        purpose: What it is for; each has hearts of its own.
    """

    def __init__(self, seed: int, index: int, purpose: Purpose = Purpose.LOOK) -> None:
        rng = stream(Use.SOLID_PHANTOM, seed, purpose, index)
        name, patient = f"SOLIDPHANTOM{seed:03d}N{index:06d}", sample_patient(index, rng)
        super().__init__(name, patient, rng, (seed, purpose, index))
