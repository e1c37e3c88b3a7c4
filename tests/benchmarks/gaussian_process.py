"""How fast and how good is the exact Gaussian process, against scikit-learn's?

Both fit the same 3,000 x 2,048 features, like a ReLU network's, with a constant times an RBF plus
noise on two cores, and are judged on 500 held-out cases. `--large` then fits as many cases as
EchoNet-Dynamic's training split has, in a process of its own, and tells time and peak memory.

    python tests/benchmarks/gaussian_process.py [--large]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
import warnings

import numpy as np
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from lvef.models.gp.head import ExactGPHead

NUM_TRAIN, NUM_TEST, NUM_FEATURES, NUM_LATENT = 3000, 500, 2048, 12
ECHONET_TRAIN = 7465


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


def ours(x: torch.Tensor, y: torch.Tensor, precision: str) -> tuple[float, float, tuple]:
    """Return seconds, NLML per sample, and RMSE and NLPD of the held-out cases."""
    start = time.perf_counter()
    head = ExactGPHead(precision=precision).fit(x[:NUM_TRAIN], y[:NUM_TRAIN])
    seconds = time.perf_counter() - start
    mean, std = head.predict(x[NUM_TRAIN:])
    judged = judge(mean.double().numpy(), std.double().numpy(), y[NUM_TRAIN:].double().numpy())
    return seconds, -head.log_marginal_likelihood(), judged


def theirs(x: torch.Tensor, y: torch.Tensor) -> tuple[float, float, tuple]:
    """The same of scikit-learn, from a sensible lengthscale."""
    inputs, targets = x.double().numpy(), y.double().numpy()
    centre, spread = inputs[:NUM_TRAIN].mean(0), inputs[:NUM_TRAIN].std(0)
    inputs = (inputs - centre) / np.where(spread > 0, spread, 1)
    kernel = ConstantKernel(1.0) * RBF(NUM_FEATURES**0.5, (1e-1, 1e4)) + WhiteKernel(0.1)
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(inputs[:NUM_TRAIN], targets[:NUM_TRAIN])
    seconds = time.perf_counter() - start
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help=f"also n = {ECHONET_TRAIN}")
    parser.add_argument("--only_large", choices=["double", "single"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    if arguments.only_large:
        large(arguments.only_large)
        return
    x, y = features(NUM_TRAIN + NUM_TEST)
    rows = {
        "ExactGPHead, double": ours(x, y, "double"),
        "ExactGPHead, single": ours(x, y, "single"),
        "scikit-learn": theirs(x, y),
    }
    reference = rows["scikit-learn"]
    print(f"{NUM_TRAIN} x {NUM_FEATURES} features, {NUM_TEST} held out, 2 threads")
    print(f"{'':20s}{'seconds':>9s}{'ratio':>8s}{'NLML/n':>9s}{'RMSE':>8s}{'NLPD':>8s}")
    for name, (seconds, nlml, (rmse, nlpd)) in rows.items():
        ratio = reference[0] / seconds
        print(f"{name:20s}{seconds:9.1f}{ratio:7.1f}x{nlml:9.4f}{rmse:8.3f}{nlpd:8.4f}")
    if arguments.large:
        for precision in ("double", "single"):
            subprocess.run([sys.executable, __file__, "--only_large", precision], check=True)


if __name__ == "__main__":
    main()
