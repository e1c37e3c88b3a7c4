"""One phantom clip: its patient, its frames on demand, and the truth about them."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import PICTURE_SIZE, chords_to_polygon, method_of_disks, polygon_area
from lvef.data.pixels import LEAST_INSIDE, inside
from lvef.phantom.anatomy import Anatomy, sample_anatomy
from lvef.phantom.hard import Hard
from lvef.phantom.marks import sample_marks
from lvef.phantom.motion import Beat, sample_motion
from lvef.phantom.population import Patient, sample_patient
from lvef.phantom.purpose import Purpose
from lvef.phantom.randomised import APICAL_MARGIN, sample_randomised
from lvef.phantom.scanner import VALVES, Renderer, Scanner, sample_scanner
from lvef.streams import Use, stream


class PhantomClip:
    """A digital beating heart, the same for the same purpose, seed and index wherever it is made.

    Args:
        seed: Seed of the population.
        index: Number of the clip within the population.
        marks: Burn machine marks around the sector; `heavy` forces text, ruler and ECG.
        breadth: None for the standard population, whose EF, volumes and pictures are those of a
            clinic; a number for domain-randomised hearts and machines, whose ranges are that
            many times as wide as those that the shipped weights were trained on.
        hard: How often each of the hard kinds occurs among domain-randomised phantoms; see
            `lvef.phantom.hard`.
        apical_margin: See `sample_randomised`.
        purpose: What it is for; each has hearts of its own.

    Attributes:
        name: File name without extension; says PHANTOM, so that no one takes it for a patient.
        patient: EF, volumes, rates and length that were drawn.
        ed_frame: End-diastolic frame of the labelled beat.
        es_frame: End-systolic frame of the same beat.
        kind: Which hard kind it is; "" for none.
    """

    def __init__(
        self,
        seed: int,
        index: int,
        marks: bool | str = True,
        breadth: float | None = None,
        hard: Hard | None = None,
        apical_margin: float = APICAL_MARGIN,
        purpose: Purpose = Purpose.LOOK,
    ) -> None:
        self._key = (seed, purpose, index)
        rng = stream(Use.PHANTOM, *self._key)
        self.name = f"PHANTOM{seed:03d}N{index:06d}"
        self._drawn = (
            None if breadth is None else sample_randomised(rng, breadth, hard, apical_margin)
        )
        self.kind = "" if self._drawn is None else self._drawn.kind
        if self._drawn is None:
            self.patient = sample_patient(rng)
            self.motion = sample_motion(self.patient, rng)
            self.anatomy, self.scanner = _scanned(self.patient, rng)
        else:
            self.patient, self.anatomy = self._drawn.patient, self._drawn.anatomy
            self.scanner = self._drawn.scanner
            self.motion = sample_motion(self.patient, rng, self._drawn.lag)
        labelled = self._labelled_beat(rng)
        period = 60 / self.patient.heart_rate * self.patient.fps
        self.marks = (
            sample_marks(self.scanner, period, rng, heavy=True if marks == "heavy" else None)
            if marks
            else None
        )
        self._renderer: Renderer | None = None
        self._last: dict[int, NDArray[np.uint8]] = {}
        self.ed_frame = self._extreme(labelled[0], fullest=True)
        self.es_frame = self._extreme(labelled[1], fullest=False)

    @property
    def renderer(self) -> Renderer:
        """The renderer, built when the first frame is asked for."""
        if self._renderer is None:
            rng = stream(Use.PHANTOM_TISSUE, *self._key)
            drawn = self._drawn
            echo, valves = (None, VALVES) if drawn is None else (drawn.echo, drawn.valves)
            self._renderer = Renderer(self.anatomy, self.scanner, rng, echo, valves)
        return self._renderer

    @property
    def end_systoles(self) -> NDArray[np.float64]:
        """Seconds from the first frame to every end-systole, also those before and after."""
        return np.array([beat.end_systole for beat in self.motion.beats])

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
            frame = self._persistent(i)
            marked = frame if self.marks is None else self.marks.burn(frame, i)
            frames[slot] = self._compressed(marked)
        return frames

    def _compressed(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a frame with the noise of the codec that an archive kept it in."""
        quality = self.scanner.jpeg_quality
        if not quality:
            return frame
        _, kept = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(kept, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)

    def _persistent(self, i: int) -> NDArray[np.uint8]:
        """Return a frame without marks, mixed with the one before as the machine does."""
        left_over = self.scanner.persistence
        if not left_over:
            return self._rendered(i)
        before, now = self._rendered(max(i - 1, 0)), self._rendered(i)
        return np.asarray(cv2.addWeighted(before, left_over, now, 1 - left_over, 0))

    def _rendered(self, i: int) -> NDArray[np.uint8]:
        if i not in self._last:
            rng = stream(Use.PHANTOM_FRAME, *self._key, i)
            shift = self.renderer.shift(i / self.patient.fps)
            frame = self.renderer.frame(
                self.motion.state(i), float(self.motion.mitral[i]), rng, shift
            )
            self._last = {k: v for k, v in self._last.items() if k == i - 1} | {i: frame}
        return self._last[i]

    def tracing(self, frame: int) -> NDArray[np.float64]:
        """Return the tracing of a frame: `(21, 4)` in pixels, long axis first."""
        scanner = self.scanner
        millimetres = self.anatomy.tracing(self.motion.state(frame))
        if scanner.drift:
            millimetres = millimetres + np.tile(self.renderer.shift(frame / self.patient.fps), 2)
        return _in_pixels(millimetres, scanner)

    def volume(self, frame: int) -> float:
        """Return the LV volume of a frame in mL by the method of disks."""
        return method_of_disks(self.tracing(frame)) / self.scanner.pixels_per_mm**3 / 1000

    def truth(self) -> dict[str, NDArray[np.generic]]:
        """Return what is known of every frame of the clip.

        Returns:
            `contour` float32 `(T, 40, 2)` x, y in pixels; `area` float32 `(T,)` in square pixels;
            `volume` float32 `(T,)` in mL; `phase` float32 `(T,)`, 0 at ED, 0.5 at ES;
            `pixels_per_mm`, `ed_frame`, `es_frame` scalars; `ed_frames` and `es_frames` of every
            beat of which that moment lies in the clip.
        """
        count = self.patient.num_frames
        contours = np.stack([chords_to_polygon(self.tracing(i)[1:]) for i in range(count)])
        return {
            "contour": contours.astype(np.float32),
            "area": np.array([polygon_area(c) for c in contours], np.float32),
            "volume": np.array([self.volume(i) for i in range(count)], np.float32),
            "phase": self.motion.phase.astype(np.float32),
            "pixels_per_mm": np.array(self.scanner.pixels_per_mm, np.float32),
            "ed_frame": np.array(self.ed_frame),
            "es_frame": np.array(self.es_frame),
            "ed_frames": self._moments([beat.start for beat in self.motion.beats], True),
            "es_frames": self._moments([beat.end_systole for beat in self.motion.beats], False),
        }

    def _moments(self, seconds: list[float], fullest: bool) -> NDArray[np.int64]:
        frames = np.round(np.array(seconds) * self.patient.fps).astype(np.int64)
        inside = frames[(frames >= 0) & (frames < self.patient.num_frames)]
        return np.array([self._extreme(int(frame), fullest) for frame in inside], np.int64)

    def _extreme(self, frame: int, fullest: bool) -> int:
        """Return the frame nearby where the ventricle is fullest or emptiest.

        It is another one only where the walls do not move together.
        """
        if self.motion.septal is None:
            return frame
        reach = 1 + round(0.06 * self.patient.fps)
        near = range(max(frame - reach, 0), min(frame + reach + 1, self.patient.num_frames))
        return (max if fullest else min)(near, key=self.volume)

    def _labelled_beat(self, rng: np.random.Generator) -> tuple[int, int]:
        def frames_of(beat: Beat) -> tuple[int, int]:
            fps = self.patient.fps
            return round(beat.start * fps), round(beat.end_systole * fps)

        last = self.patient.num_frames - 1
        whole = [(ed, es) for ed, es in map(frames_of, self.motion.beats) if 0 <= ed < es <= last]
        return whole[int(rng.integers(len(whole)))]


def _scanned(patient: Patient, rng: np.random.Generator) -> tuple[Anatomy, Scanner]:
    """Draw a heart, and a machine that shows so much of it that its tracing is accepted."""
    while True:
        anatomy = sample_anatomy(patient, rng)
        scanner = sample_scanner(anatomy.length, rng)
        contour = chords_to_polygon(_in_pixels(anatomy.tracing(0.0), scanner)[1:])
        if inside(contour, (PICTURE_SIZE, PICTURE_SIZE)) >= LEAST_INSIDE:
            return anatomy, scanner


def _in_pixels(millimetres: NDArray[np.float64], scanner: Scanner) -> NDArray[np.float64]:
    return np.asarray(millimetres * scanner.pixels_per_mm + np.tile(scanner.origin, 2))
