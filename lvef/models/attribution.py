"""Heat maps: which parts of the frames an answer rests on, by captum."""

from __future__ import annotations

import copy
from typing import Literal, cast, get_args

import torch
from captum.attr import IntegratedGradients, LayerGradCam, LayerGradientXActivation
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.v2.functional import gaussian_blur

from lvef.cardiac import PICTURE_SIZE
from lvef.errors import ConfigurationError
from lvef.models.backbones.base import Stage
from lvef.models.base import EFTask
from lvef.models.gp.head import ExactGPHead
from lvef.models.gp.posterior import GPPosterior
from lvef.models.heads import head_output
from lvef.models.inference import device_of

Method = Literal["gradcam", "hirescam", "integrated_gradients"]
METHODS: tuple[Method, ...] = get_args(Method)
"""The methods, the coarse one first."""
METHOD_NAMES = {
    "gradcam": "Grad-CAM",
    "hirescam": "HiResCAM",
    "integrated_gradients": "integrated gradients",
}
NOT_OF_CLIPS = "there are no heat maps of models of whole clips, only of key frames"
_STAGES: dict[Method, Stage] = {"gradcam": "coarse", "hirescam": "fine"}
"""Of which stage of the backbone a method's maps are; integrated gradients need none."""
Depth = Literal["head", "last_block", "all"]
_BASELINE_BLUR, _MAP_BLUR = 8.0, 1.5
_IMAGES_AT_ONCE = 32


class SaliencyMapper:
    """Says where on its frames an answer of a task comes from.

    A map is of what speaks *for* the answer: of a classifier, for the class that it called; of a
    task that predicts EF, for an EF on that side of TRAIN's mean on which the prediction lies. A
    Gaussian process is explained through its mean, an ensemble through the mean of its mixture.

    Args:
        task: A trained task; it stays as it is.
        steps: Steps of the path of integrated gradients.

    Raises:
        NotFittedError: A Gaussian process was not fitted.
        FitError: A Gaussian process was fitted by approximation.
        ConfigurationError: The task sees whole clips.
    """

    def __init__(self, task: EFTask, steps: int = 16) -> None:
        if not task.explains:
            raise ConfigurationError(NOT_OF_CLIPS)
        self.evidence = ExplainedAnswer(task)
        self.steps = steps

    @property
    def methods(self) -> list[Method]:
        """The methods that apply: integrated gradients always, others where there are stages."""
        return [method for method in METHODS if not self._without_stage(method)]

    @property
    def left_out(self) -> str:
        """Which methods do not apply, and why, in a line; empty where all do."""
        lacking = {method: self._without_stage(method) for method in METHODS}
        names = [METHOD_NAMES[method] for method, backbones in lacking.items() if backbones]
        return _no_stages(names, next(filter(None, lacking.values()))) if names else ""

    @property
    def depths(self) -> list[Depth]:
        """How far `randomised` can go: without a last stage, there is no last block alone."""
        every: tuple[Depth, ...] = get_args(Depth)
        return [depth for depth in every if depth != "last_block" or "gradcam" in self.methods]

    def _without_stage(self, method: Method) -> list[str]:
        """Return the backbones that have no maps of the kind that a method explains."""
        stage = _STAGES.get(method)
        backbones = [part.backbone for part in self.evidence.parts]
        return [b.name for b in backbones if stage is not None and stage not in b.stages]

    def maps(self, frames: Tensor, method: Method, sides: Tensor | None = None) -> Tensor:
        """Return the heat maps of frames.

        Grad-CAM (Selvaraju et al., ICCV 2017) weights the channels of the backbone's last stage,
        in ResNet-50 4 x 4 cells of a frame of 112 pixels, and keeps what is positive. HiResCAM
        (Draelos & Carin, arXiv:2011.08891) multiplies activations by their own gradients, here in
        a stage an eighth as wide as the frame, 14 x 14 cells, and keeps what is positive. A
        backbone without such stages, as a vision transformer, has neither. Integrated gradients
        (Sundararajan et al., ICML 2017) follow every pixel from a blurred frame, in which no
        structure is left, to the frame; their magnitude is smoothed over 1.5 pixels. A black
        baseline would give no weight to a dark cavity.

        Args:
            frames: `(B, F, 3, H, W)`, uint8 or float in 0..1.
            method: gradcam, hirescam or integrated_gradients.
            sides: `(B,)` 1 or -1, which answer to explain; by default the one that is given.

        Returns:
            `(B, F, H, W)` float32, not negative, in the evidence's own units (log odds or EF
            points a cell or pixel): frames of a case, and cases, can be compared.

        Raises:
            ConfigurationError: The backbone has no maps of the kind that the method explains.
        """
        lacking = self._without_stage(method)
        if lacking:
            raise ConfigurationError(_no_stages([METHOD_NAMES[method]], lacking))
        images = self._images(frames)
        sides = self.sides(images).to(images) if sides is None else sides.to(images)
        batch = max(1, _IMAGES_AT_ONCE // frames.shape[1])
        parts = [
            self._integrated(part, side)
            if method == "integrated_gradients"
            else self._by_layer(part, side, method)
            for part, side in zip(
                torch.split(images, batch), torch.split(sides, batch), strict=True
            )
        ]
        return torch.cat(parts).float().cpu()

    def score(self, frames: Tensor, sides: Tensor | None = None) -> Tensor:
        """Return how strongly frames speak for an answer, `(B,)`.

        Args:
            frames: `(B, F, 3, H, W)`, uint8 or float in 0..1.
            sides: `(B,)` 1 or -1, which answer; by default the one that these frames get.
        """
        images = self._images(frames)
        with torch.no_grad():
            chosen = self.evidence.sides(images) if sides is None else sides.to(images)
            return cast(Tensor, self.evidence(images, chosen)).cpu()

    def sides(self, frames: Tensor) -> Tensor:
        """Return which answer frames get, `(B,)`: 1 or -1, see `ExplainedAnswer.sides`."""
        with torch.no_grad():
            return self.evidence.sides(self._images(frames)).cpu()

    def _images(self, frames: Tensor) -> Tensor:
        """Return frames as floats where the network is."""
        return to_float(frames.to(device_of(self.evidence)))

    def randomised(self, depth: Depth, seed: int = 0) -> SaliencyMapper:
        """Return a mapper of the same network with shuffled weights, for a sanity check.

        The values of every tensor are drawn from those it had, so that layers keep their scale
        (Adebayo et al., NeurIPS 2018). A Gaussian process keeps its training samples.

        Args:
            depth: The head; that and the backbone's last block; or everything.
            seed: Seed of the drawing.
        """
        twin = copy.copy(self)
        twin.evidence = copy.deepcopy(self.evidence)
        twin.evidence._task = self.evidence._task
        generator = torch.Generator().manual_seed(seed)
        for part in twin.evidence.parts:
            modules = [] if isinstance(part.head, GPPosterior) else [part.head]
            if depth != "head":
                modules.append(part.backbone if depth == "all" else part.backbone.stage("coarse"))
            for value in (p for module in modules for p in module.parameters()):
                drawn = torch.randint(value.numel(), (value.numel(),), generator=generator)
                value.data = value.data.flatten()[drawn.to(value.device)].view(value.shape)
        return twin

    def _by_layer(self, images: Tensor, sides: Tensor, method: Method) -> Tensor:
        height, width = images.shape[-2:]
        total = torch.zeros(*images.shape[:2], height, width, device=images.device)
        for part in self.evidence.parts:
            stage = part.backbone.stage(_STAGES[method])
            explain = (
                LayerGradCam(self.evidence, stage)
                if method == "gradcam"
                else LayerGradientXActivation(self.evidence, stage)
            )
            attributions = cast(Tensor, explain.attribute(images, additional_forward_args=(sides,)))
            coarse = attributions.detach().sum(1, keepdim=True)
            fine = functional.interpolate(coarse, (height, width), mode="bilinear")
            total[:, part.slots] += fine.view(len(images), len(part.slots), height, width)
        return total.relu()

    def _integrated(self, images: Tensor, sides: Tensor) -> Tensor:
        attributions = IntegratedGradients(self.evidence).attribute(
            images,
            baselines=blurred(images),
            additional_forward_args=(sides,),
            n_steps=self.steps,
            internal_batch_size=max(len(images), _IMAGES_AT_ONCE // images.shape[1]),
        )
        return _smooth(attributions.detach().sum(2).abs(), _MAP_BLUR)


class ExplainedAnswer(nn.Module):
    """What a task says of EF, as a function that can be differentiated with respect to frames.

    Args:
        task: A trained task; it stays as it is, and its weights are copied.

    Attributes:
        parts: One for each network that makes the answer; see `EFTask.parts`.
    """

    def __init__(self, task: EFTask) -> None:
        super().__init__()
        self._task = [task]  # in a list, so as to be no part of this module
        self.parts: list[AnswerPart] = []
        for number, (member, slots) in enumerate(task.parts()):
            part = AnswerPart(member, slots)
            self.add_module(f"part{number}", part)
            self.parts.append(part)
        self.eval().requires_grad_(False)

    def forward(self, frames: Tensor, sides: Tensor) -> Tensor:
        """Return `(B,)` the explained number in the direction of a side; see `EFTask.sides`."""
        return self.answer(frames) * sides

    def answer(self, frames: Tensor) -> Tensor:
        """Return `(B,)` the number that is explained: log odds of reduced EF, or EF in percent."""
        task = self._task[0]
        return task.explained(task.raw_answer(task.joined([part(frames) for part in self.parts])))

    def sides(self, frames: Tensor) -> Tensor:
        """Return `(B,)` which side the answer is on: 1 or -1, see `EFTask.side_of`."""
        return self._task[0].side_of(self.answer(frames))


class AnswerPart(nn.Module):
    """Backbone and head of a task in evaluation mode, of any frames it takes from a case."""

    def __init__(self, task: EFTask, slots: list[int]) -> None:
        super().__init__()
        self.task = [task]
        self.slots = slots
        self.backbone = task.backbone.folded()
        if isinstance(task.head, ExactGPHead):
            self.head: nn.Module = GPPosterior(task.head).to(task.device)
        else:
            self.head = copy.deepcopy(task.head)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the head's raw output for float frames `(B, F, 3, H, W)`."""
        return head_output(self.head, self.backbone.features(frames[:, self.slots]))


def _no_stages(methods: list[str], backbones: list[str]) -> str:
    """Return in a line that methods do not apply, and which does."""
    which = " and ".join(dict.fromkeys(backbones))
    return (
        f"no {' and no '.join(methods)}: backbone {which} has no stage that puts out maps of that "
        f"kind; {METHOD_NAMES['integrated_gradients']} need none"
    )


def to_float(frames: Tensor) -> Tensor:
    """Return frames as float32 in 0..1."""
    return frames.float() if frames.is_floating_point() else frames.float() / 255


def blurred(frames: Tensor) -> Tensor:
    """Return float frames `(B, F, 3, H, W)` in which no structure of the heart is left."""
    sigma = _BASELINE_BLUR * frames.shape[-1] / PICTURE_SIZE
    size = 2 * round(2 * sigma) + 1
    smooth: Tensor = gaussian_blur(frames.flatten(0, 1), [size, size], [sigma, sigma])
    return smooth.view(frames.shape)


def _smooth(maps: Tensor, sigma: float) -> Tensor:
    size = 2 * round(2 * sigma) + 1
    smooth: Tensor = gaussian_blur(maps, [size, size], [sigma, sigma])
    return smooth
