"""One phantom clip: its patient, its frames on demand, and the truth about them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lvef.cardiac import chords_to_polygon, method_of_disks, polygon_area
from lvef.phantom.anatomy import sample_anatomy
from lvef.phantom.marks import sample_marks
from lvef.phantom.motion import Beat, sample_motion
from lvef.phantom.population import sample_patient
from lvef.phantom.scanner import Renderer, sample_scanner


class PhantomClip:
    """A digital beating heart, the same for the same seed and index wherever it is made.

    Args:
        seed: Seed of the population.
        index: Number of the clip within the population.
        marks: Burn machine marks around the sector; `heavy` forces text, ruler and ECG.

    Attributes:
        name: File name without extension; says PHANTOM, so that no one takes it for a patient.
        patient: EF, volumes, rates and length that were drawn.
        ed_frame: End-diastolic frame of the labelled beat.
        es_frame: End-systolic frame of the same beat.
    """

    def __init__(self, seed: int, index: int, marks: bool | str = True) -> None:
        rng = np.random.default_rng([seed, index])
        self._key = (seed, index)
        self.name = f"PHANTOM{seed:03d}N{index:06d}"
        self.patient = sample_patient(rng)
        self.motion = sample_motion(self.patient, rng)
        self.anatomy = sample_anatomy(self.patient, rng)
        self.scanner = sample_scanner(self.anatomy.length, rng)
        self.ed_frame, self.es_frame = self._labelled_beat(rng)
        period = 60 / self.patient.heart_rate * self.patient.fps
        self.marks = (
            sample_marks(self.scanner, period, rng, heavy=True if marks == "heavy" else None)
            if marks
            else None
        )
        self._renderer: Renderer | None = None
        self._render_seed = int(rng.integers(2**31))

    @property
    def renderer(self) -> Renderer:
        """The renderer, built when the first frame is asked for."""
        if self._renderer is None:
            rng = np.random.default_rng(self._render_seed)
            self._renderer = Renderer(self.anatomy, self.scanner, rng)
        return self._renderer

    def frames(self, indices: Iterable[int] | None = None) -> NDArray[np.uint8]:
        """Render frames.

        Args:
            indices: Frame numbers from 0; all frames by default.

        Returns:
            `(n, 112, 112)` uint8 grey frames. A frame does not depend on which others are asked.
        """
        wanted = range(self.patient.num_frames) if indices is None else list(indices)
        frames = np.empty((len(wanted), 112, 112), np.uint8)
        for slot, i in enumerate(wanted):
            rng = np.random.default_rng([*self._key, i])
            frame = self.renderer.frame(
                float(self.motion.contraction[i]), float(self.motion.mitral[i]), rng
            )
            frames[slot] = frame if self.marks is None else self.marks.burn(frame, i)
        return frames

    def tracing(self, frame: int) -> NDArray[np.float64]:
        """Return the tracing of a frame: `(21, 4)` in pixels, long axis first."""
        scanner = self.scanner
        millimetres = self.anatomy.tracing(float(self.motion.contraction[frame]))
        return np.asarray(millimetres * scanner.pixels_per_mm + np.tile(scanner.origin, 2))

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
            "ed_frames": self._moments([beat.start for beat in self.motion.beats]),
            "es_frames": self._moments([beat.end_systole for beat in self.motion.beats]),
        }

    def _moments(self, seconds: list[float]) -> NDArray[np.int64]:
        frames = np.round(np.array(seconds) * self.patient.fps).astype(np.int64)
        return np.asarray(frames[(frames >= 0) & (frames < self.patient.num_frames)])

    def _labelled_beat(self, rng: np.random.Generator) -> tuple[int, int]:
        def frames_of(beat: Beat) -> tuple[int, int]:
            fps = self.patient.fps
            return round(beat.start * fps), round(beat.end_systole * fps)

        last = self.patient.num_frames - 1
        whole = [(ed, es) for ed, es in map(frames_of, self.motion.beats) if 0 <= ed < es <= last]
        return whole[int(rng.integers(len(whole)))]
