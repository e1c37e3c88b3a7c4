"""How fast and how good is the exact Gaussian process, against scikit-learn's?

Both fit the same 3,000 x 2,048 features, like a ReLU network's, with a constant times an RBF plus
noise on two cores, and are judged on 500 held-out cases. Both start once, from the same point near
the optimum. A line tells how long ours takes from where it starts by itself. `--large` then fits as
many cases as EchoNet-Dynamic's training split has, in a process of its own, and tells time and peak
memory. `--beyond` fits so many cases, more than are solved exactly, on 64 principal components by
conjugate gradients, and nothing else; where both can be had it tells how far they are apart.

    python tests/benchmarks/gaussian_process.py [--large] [--beyond 30000]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from functools import partial

import harness
import numpy as np
import torch
from harness import Line, Measured, Settings
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from lvef.models.gp.head import ExactGPHead

NUM_TRAIN, NUM_TEST, NUM_FEATURES, NUM_LATENT = 3000, 500, 2048, 12
ECHONET_TRAIN, QUICK_TRAIN = 7465, 1000
TARGET, OFF = 15.0, 1.2
COMPONENTS, BOTH, START = 64, 7465, 5000


def features(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Non-negative features of a hidden state of twelve numbers, and a curved target of it."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    hidden = normal(count, NUM_LATENT)
    x = (hidden @ normal(NUM_LATENT, 256) / NUM_LATENT**0.5).relu()
    x = (x @ normal(256, NUM_FEATURES) / 16 + 0.3 * normal(count, NUM_FEATURES)).relu()
    y = 55 + 8 * torch.sin(hidden[:, 0]) + 5 * hidden[:, 1] + 3 * hidden[:, 2] * hidden[:, 3]
    return x, y + 2 * normal(count)


def judge(mean: np.ndarray, std: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return RMSE and mean negative log predictive density."""
    z = (y - mean) / std
    density = 0.5 * (np.log(2 * np.pi * std**2) + z**2)
    return float(np.sqrt(((y - mean) ** 2).mean())), float(density.mean())


def ours(
    x: torch.Tensor, y: torch.Tensor, precision: str, start: dict[str, float] | None = None
) -> tuple[float, float, tuple]:
    """Return seconds, NLML per sample, and RMSE and NLPD of the held-out cases."""
    begun = time.perf_counter()
    head = ExactGPHead(precision=precision).fit(x[:NUM_TRAIN], y[:NUM_TRAIN], start=start)
    seconds = time.perf_counter() - begun
    mean, std = head.predict(x[NUM_TRAIN:])
    judged = judge(mean.double().numpy(), std.double().numpy(), y[NUM_TRAIN:].double().numpy())
    return seconds, -head.log_marginal_likelihood(), judged


def theirs(x: torch.Tensor, y: torch.Tensor, start: dict[str, float]) -> tuple[float, float, tuple]:
    """The same of scikit-learn."""
    inputs, targets = x.double().numpy(), y.double().numpy()
    centre, spread = inputs[:NUM_TRAIN].mean(0), inputs[:NUM_TRAIN].std(0)
    inputs = (inputs - centre) / np.where(spread > 0, spread, 1)
    scale, length, noise = (start[name] for name in ("outputscale", "lengthscale", "noise"))
    kernel = ConstantKernel(scale) * RBF(length, (1e-1, 1e4)) + WhiteKernel(noise)
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(inputs[:NUM_TRAIN], targets[:NUM_TRAIN])
    seconds = time.perf_counter() - started
    mean, std = model.predict(inputs[NUM_TRAIN:], return_std=True)
    nlml = -model.log_marginal_likelihood_value_ / NUM_TRAIN
    return seconds, nlml, judge(mean, std, targets[NUM_TRAIN:])


def large(precision: str) -> None:
    """Fit as many cases as EchoNet-Dynamic's TRAIN, and tell time and peak memory."""
    x, y = features(ECHONET_TRAIN)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    start = time.perf_counter()
    head = ExactGPHead(precision=precision).fit(x, y)
    seconds = time.perf_counter() - start
    head.predict(x[:32])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"n = {ECHONET_TRAIN}, {precision}: {seconds:.0f} s, {head.evaluations} evaluations, "
        f"NLML/n {-head.log_marginal_likelihood():.4f}, peak memory {peak:.2f} GiB of the process "
        f"({before:.2f} GiB before the fit)"
    )


def beyond(count: int) -> None:
    """Fit by conjugate gradients: so many cases, and fewer beside the exact answer."""
    x, y = features(count + NUM_TEST)
    told = {}
    for name, number, most in (
        ("exact", BOTH, None),
        ("iterative", BOTH, START),
        ("all", count, START),
    ):
        head = ExactGPHead("rbf", "pca", COMPONENTS, precision="single", max_cholesky=most)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            head.fit(x[:number], y[:number])
        fitted = time.perf_counter()
        mean, std = head.predict(x[-NUM_TEST:])
        told[name] = mean, std
        rmse, nlpd = judge(mean.double().numpy(), std.double().numpy(), y[-NUM_TEST:].numpy())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        print(
            f"n = {number}, {COMPONENTS} components, {name}: fit {fitted - start:.0f} s, 500 cases "
            f"predicted in {time.perf_counter() - fitted:.1f} s, NLML/n "
            f"{-head.log_marginal_likelihood():.4f}, RMSE {rmse:.3f}, NLPD {nlpd:.4f}, peak memory "
            f"{peak:.2f} GiB so far",
            flush=True,
        )
    for part, name in enumerate(("mean", "standard deviation")):
        off = (told["exact"][part] - told["iterative"][part]).abs()
        print(f"n = {BOTH}, {name}: off by {off.mean():.4f} on average, {off.max():.4f} at most")


def claims(settings: Settings) -> Iterator[Line]:
    """Yield a line for each precision of ours."""
    torch.set_num_threads(settings.threads)
    x, y = features(NUM_TRAIN + NUM_TEST)
    head = ExactGPHead(precision="double").fit(x[:NUM_TRAIN], y[:NUM_TRAIN])
    start = {name: OFF * value for name, value in head.hyperparameters().items()}
    kinds = {name: partial(ours, x, y, name, start) for name in ("double", "single")}
    kinds["double_by_itself"] = partial(ours, x, y, "double")
    kinds["scikit-learn"] = partial(theirs, x, y, start)
    told: dict[str, list[tuple[float, float, tuple]]] = {name: [] for name in kinds}
    for _ in range(settings.of(3, 1)):
        for name, kind in kinds.items():
            told[name].append(kind())
    other = told["scikit-learn"]
    reference = Measured(
        f"scikit-learn, one start at {OFF} times the optimum's hyperparameters",
        [seconds for seconds, _, _ in other],
    )
    for precision in ("double", "single", "double_by_itself"):
        mine = told[precision]
        (_, nlml, (rmse, nlpd)), (_, their_nlml, (their_rmse, their_nlpd)) = mine[0], other[0]
        note = (
            f"n = {NUM_TRAIN}, d = {NUM_FEATURES}; NLML/n {nlml:.4f} and {their_nlml:.4f}, RMSE "
            f"{rmse:.3f} and {their_rmse:.3f}, NLPD {nlpd:.4f} and {their_nlpd:.4f}"
        )
        way = Measured(
            f"ExactGPHead, {precision.replace('_', ' ')}", [seconds for seconds, _, _ in mine]
        )
        target = TARGET if precision == "double" else None
        yield Line(f"gaussian_process_{precision}", way, reference, target, note=note)


def main(words: list[str] | None = None) -> None:
    """Measure; see the head of this file."""
    global NUM_TRAIN
    options = harness.parser(__doc__)
    options.add_argument("--large", action="store_true", help=f"also n = {ECHONET_TRAIN}")
    options.add_argument("--beyond", type=int, help="only so many cases, approximated")
    options.add_argument("--only_large", choices=["double", "single"], help=argparse.SUPPRESS)
    asked = options.parse_args(words)
    torch.set_num_threads(asked.threads)
    if asked.only_large:
        large(asked.only_large)
        return
    if asked.beyond:
        beyond(asked.beyond)
        return
    if asked.quick:
        NUM_TRAIN = min(NUM_TRAIN, QUICK_TRAIN)
    settings = harness.settings_of(asked)
    harness.tell(claims(settings), settings, asked.json)
    if asked.large:
        for precision in ("double", "single"):
            subprocess.run([sys.executable, __file__, "--only_large", precision], check=True)


if __name__ == "__main__":
    main()
