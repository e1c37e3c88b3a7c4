"""The exact Gaussian-process head, against GPyTorch, against functions that are known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import gpytorch
import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime

from lvef.errors import FitError, LvefError, NotFittedError
from lvef.models import ExactGPHead
from lvef.models.gp import search
from lvef.models.gp.exact import ExactSolution
from lvef.models.gp.iterative import IterativeSolution
from lvef.models.gp.kernels import KERNELS, Kernel, Scales, squared_distances
from lvef.models.gp.marginal_likelihood import Hyperparameters, MarginalLikelihood
from lvef.models.gp.memory import largest_exact, largest_held
from lvef.models.gp.posterior import GPPosterior
from lvef.models.gp.prior import Prior
from lvef.models.gp.search import maximise
from lvef.models.options import GPOptions

NOISE = 1.0


def sample(count: int, dimensions: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A curved function of two of the dimensions around 50, with noise of one."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, dimensions, generator=generator)
    y = 50 + 10 * torch.sin(x[:, 0]) + 3 * x[:, 1]
    return x, y + NOISE * torch.randn(count, generator=generator)


def standardised(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = (value.double() for value in sample(count))
    return (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_gradient_is_that_of_the_likelihood(kernel):
    x, y = standardised(40)
    kernel = KERNELS[kernel]
    theta = np.array([0.4, -1.0, 0.3])[: 3 if kernel.has_trend else 2]
    likelihood = MarginalLikelihood(x, y, kernel)
    value, gradient, of_inputs = likelihood.gradient_of_inputs(theta)
    assert value == likelihood(theta)[0]
    np.testing.assert_allclose(
        gradient, approx_fprime(theta, lambda t: likelihood(t)[0], 1e-6), atol=1e-5
    )
    numeric = approx_fprime(
        x.numpy().ravel(),
        lambda inputs: MarginalLikelihood(torch.tensor(inputs).view_as(x), y, kernel)(theta)[0],
        1e-6,
    )
    np.testing.assert_allclose(of_inputs.numpy().ravel(), numeric, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_likelihood_and_prediction_are_gpytorchs_own(kernel):
    x, y = sample(60)
    head = ExactGPHead(kernel).fit(x, y)
    inputs = (x.double() - head.x_mean) / head.x_scale
    targets = (y.double() - head.y_mean) / head.y_scale
    covariance = head.covar_module(inputs).to_dense() + head.likelihood.noise * torch.eye(60)
    mean = head.mean_module(inputs)
    density = torch.distributions.MultivariateNormal(mean, covariance).log_prob(targets)
    assert head.log_marginal_likelihood() == pytest.approx(float(density.detach()) / 60, abs=1e-6)
    # The textbook's posterior (Rasmussen & Williams, equations 2.25 and 2.26), plus the noise.
    new, _ = sample(7, seed=1)
    at = (new.double() - head.x_mean) / head.x_scale
    cross = head.covar_module(at, inputs).to_dense()
    solved = torch.linalg.solve(covariance, cross.T)
    expected = head.mean_module(at) + solved.T @ (targets - mean)
    variance = head.covar_module(at).to_dense().diagonal() - (cross * solved.T).sum(1)
    said, std = head.predict(new.double())
    torch.testing.assert_close(said, head.y_mean + head.y_scale * expected, atol=1e-5, rtol=0)
    expected_std = head.y_scale * (variance + head.likelihood.noise).sqrt()
    torch.testing.assert_close(std, expected_std.detach(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_gpytorchs_and_its_slope_is_its_derivative(name):
    kernel = KERNELS[name]
    prior = Prior.new(kernel)
    prior.covariance.double()
    prior.take(Hyperparameters(1.7, 2.3, 0.6, 0.1, 0.0, None, 0.0, 0))
    a, b = (sample(count, 3, count)[0].double() for count in (7, 5))
    for one, other in ((a, b), (a, a)):
        expected = prior.covariance(one, other).to_dense().detach()
        own = kernel.covariances(one, other, prior.scales)
        torch.testing.assert_close(own, expected, atol=1e-8, rtol=0)
    expected = prior.covariance(a).to_dense().diagonal().detach()
    torch.testing.assert_close(kernel.variances(a, prior.scales), expected)
    distances, step = squared_distances(a, b), 1e-6
    above, below = (kernel.correlation(distances + change, 1.7) for change in (step, -step))
    torch.testing.assert_close(
        kernel.slope(distances, 1.7), (above - below) / (2 * step), atol=1e-8, rtol=0
    )


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_has_a_gradient_where_samples_meet(name):
    a = sample(4, 3)[0].double().round()  # so that distances are 0, not nearly so
    b = a.clone().requires_grad_()
    KERNELS[name].covariances(a, b, Scales(1.0, 1.0, 1.0)).sum().backward()
    assert torch.isfinite(b.grad).all()


def test_a_new_kernel_is_one_class(monkeypatch):
    monkeypatch.setitem(KERNELS, "matern32", None)  # so that it is gone afterwards

    class Matern32(Kernel):
        name = "matern32"

        def correlation(self, distances, lengthscale):
            r = (3 * distances).sqrt() / lengthscale
            return (1 + r) * (-r).exp()

        def slope(self, distances, lengthscale):
            return -1.5 / lengthscale**2 * (-(3 * distances).sqrt() / lengthscale).exp()

        def gpytorch_correlation(self):
            return gpytorch.kernels.MaternKernel(nu=1.5)

    test_a_kernel_is_gpytorchs_and_its_slope_is_its_derivative("matern32")
    test_the_gradient_is_that_of_the_likelihood("matern32")
    test_a_known_function_and_its_noise_are_recovered("matern32")
    head = ExactGPHead("matern32").fit(*sample(40))
    new, _ = sample(5, seed=1)
    torch.testing.assert_close(GPPosterior(head)(new), head(new), atol=1e-4, rtol=0)


def test_the_kernels_are_what_the_option_takes():
    assert get_args(get_type_hints(GPOptions)["kernel"]) == tuple(KERNELS)


def test_the_search_ends_where_no_hyperparameter_improves_the_likelihood():
    x, y = standardised(80)
    found = maximise(x, y, KERNELS["rbf"])
    theta = np.log([found.lengthscale, found.noise / found.outputscale])
    _, gradient = MarginalLikelihood(x, y, KERNELS["rbf"])(theta)
    assert np.abs(gradient).max() < 1e-4
    # GPyTorch's own objective, optimised for long by Adam, gets no further.
    likelihood = gpytorch.likelihoods.GaussianLikelihood().double()

    class Model(gpytorch.models.ExactGP):
        def __init__(self):
            super().__init__(x, y, likelihood)
            self.mean = gpytorch.means.ConstantMean()
            self.kernel = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

        def forward(self, inputs):
            return gpytorch.distributions.MultivariateNormal(self.mean(inputs), self.kernel(inputs))

    model = Model().double().train()
    objective = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        value = objective(model(x), y)
        (-value).backward()
        optimizer.step()
    assert found.log_likelihood > float(value.detach()) - 1e-3


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_known_function_and_its_noise_are_recovered(kernel):
    head = ExactGPHead(kernel).fit(*sample(250, dimensions=3))
    x, y = sample(200, dimensions=3, seed=1)
    mean, std = head.predict(x)
    assert float((mean - y).square().mean().sqrt()) < 1.5 * NOISE
    assert float(std.min()) > 0.8 * NOISE, "the noise of an observation is included"
    inside = ((mean - y).abs() < 1.645 * std).float().mean()
    assert 0.83 < float(inside) < 0.97


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("count", [150, 2100])  # from 2,000 on it is preconditioned
def test_conjugate_gradients_say_what_the_exact_solution_says(kernel, count, monkeypatch):
    monkeypatch.setattr("lvef.models.gp.iterative._ROWS", 64)
    prior, (x, y) = ExactGPHead(kernel).prior, standardised(count)
    prior.take(Hyperparameters(1.3, 0.8, 0.2, 0.1, 0.4, None, 0.0, 0))
    exact = ExactSolution.of(prior, x, y)
    iterative = IterativeSolution.of(prior, x, y)
    new = x[:20] + 0.1
    for one, other in zip(exact.moments(new), iterative.moments(new), strict=True):
        torch.testing.assert_close(other, one, atol=5e-3, rtol=0)  # solves end at 1e-3
    likelihood = torch.distributions.MultivariateNormal(
        prior.constant_mean.expand(count), scale_tril=exact.cholesky
    ).log_prob(y)
    before = torch.random.get_rng_state()
    told = iterative.log_marginal_likelihood()
    assert told == pytest.approx(float(likelihood) / count, abs=0.05)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(5)
    assert iterative.log_marginal_likelihood() == told


def test_more_than_the_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr("lvef.models.gp.head.largest_exact", lambda *_: 5)
    monkeypatch.setattr("lvef.models.gp.head.largest_held", lambda *_: 59)
    with pytest.raises(FitError, match=r"of 60 training samples .* holds that of 59: take fewer"):
        ExactGPHead().fit(*sample(60))
    monkeypatch.setattr("lvef.models.gp.head.largest_held", lambda *_: 60)
    with pytest.warns(UserWarning, match="conjugate gradients"):
        head = ExactGPHead().fit(*sample(60))
    fresh = ExactGPHead()
    fresh.load_state_dict(head.state_dict())
    monkeypatch.setattr("lvef.models.gp.head.largest_held", lambda *_: 59)
    with pytest.raises(FitError, match="does not fit into the free memory"):
        fresh.predict(sample(2)[0])
    assert largest_held(torch.float32) > 2 * largest_exact(torch.float32)


@pytest.mark.filterwarnings("ignore:.*before it converged")
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("reduction", [None, "pca", "learned"])
def test_a_state_dict_holds_all_and_predicts_the_same(tmp_path, kernel, reduction):
    options = {"kernel": kernel, "reduction": reduction, "components": 3}
    head = ExactGPHead(**options).fit(*sample(40))
    torch.save(head.state_dict(), tmp_path / "head.pt")
    fresh = ExactGPHead(**options)
    fresh.load_state_dict(torch.load(tmp_path / "head.pt", weights_only=True))
    x, _ = sample(5, seed=2)
    for one, other in zip(head.predict(x), fresh.predict(x), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    assert fresh.log_marginal_likelihood() == head.log_marginal_likelihood()


def test_a_fresh_process_predicts_the_same(tmp_path):
    head = ExactGPHead().fit(*sample(40))
    x, _ = sample(5, seed=2)
    torch.save({"state": head.state_dict(), "x": x, "said": head.predict(x)}, tmp_path / "h.pt")
    script = (
        "import sys, torch\n"
        "from lvef.models.gp.head import ExactGPHead\n"
        "held = torch.load(sys.argv[1], weights_only=True)\n"
        "head = ExactGPHead(); head.load_state_dict(held['state'])\n"
        "for one, other in zip(head.predict(held['x']), held['said']):\n"
        "    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "h.pt")]
    subprocess.run(command, check=True, timeout=120, cwd=Path(__file__).parents[1])


def test_an_unfitted_head_refuses_to_predict_the_prior():
    with pytest.raises(NotFittedError, match="call fit first"):
        ExactGPHead().predict(torch.zeros(2, 6))
    with pytest.raises(NotFittedError):
        ExactGPHead().log_marginal_likelihood()
    assert issubclass(NotFittedError, LvefError)


def test_a_second_fit_refits():
    head = ExactGPHead().fit(*sample(40))
    before, _ = head.predict(sample(3)[0])
    x, y = sample(50)
    head.fit(x, 100 - y)
    fresh = ExactGPHead().fit(x, 100 - y)
    now, _ = head.predict(x[:3])
    torch.testing.assert_close(now, fresh.predict(x[:3])[0])
    assert float((now - before).abs().max()) > 1


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_training_points_give_numbers(kernel, count):
    x, y = sample(count)
    mean, std = ExactGPHead(kernel).fit(x, y).predict(torch.cat([x, sample(3, seed=1)[0]]))
    assert torch.isfinite(mean).all()
    assert (torch.isfinite(std) & (std > 0)).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("precision", ["double", "single"])
def test_duplicates_and_constant_features_do_not_break_cholesky(kernel, precision):
    x, y = sample(25)
    x[:, 2] = 3.3
    head = ExactGPHead(kernel, precision=precision).fit(x.repeat(4, 1), y.repeat(4))
    mean, std = head.predict(x)
    assert torch.isfinite(std).all()
    assert float((mean - y).abs().max()) < 3
    constant = ExactGPHead(kernel, precision=precision).fit(x, torch.full((25,), 55.0))
    assert float((constant.predict(x)[0] - 55).abs().max()) < 0.1


def test_moving_and_converting_leave_no_stale_cache():
    x, y = sample(60)
    head = ExactGPHead().fit(x, y)
    new, _ = sample(5, seed=1)
    double, double_std = head.predict(new)
    head.to(torch.float32)
    single, single_std = head.predict(new)
    assert head.train_x.dtype == torch.float32
    assert head.dtype == torch.float32
    torch.testing.assert_close(single, double, atol=0.05, rtol=0)
    torch.testing.assert_close(single_std, double_std, atol=0.05, rtol=0)
    head.double()
    torch.testing.assert_close(head.predict(new)[0], double, atol=1e-3, rtol=0)
    head.to(torch.bfloat16)
    assert head.dtype == torch.float64, "half precision cannot hold a covariance"
    other = ExactGPHead().fit(x, 100 - y)
    head.load_state_dict(other.state_dict())
    torch.testing.assert_close(head.predict(new)[0], other.predict(new)[0])


def test_mixed_precision_does_not_touch_the_head():
    x, y = sample(40)
    head = ExactGPHead().fit(x, y)
    said = head.predict(x)
    with torch.autocast("cpu", torch.bfloat16):
        again = head.predict(x)
        fitted = ExactGPHead().fit(x, y).predict(x)
    for one, other, third in zip(said, again, fitted, strict=True):
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(one, third, atol=1e-4, rtol=0)


@pytest.mark.filterwarnings("ignore:.*conjugate gradients")
@pytest.mark.parametrize("largest", [None, 30])
def test_what_was_cached_while_testing_serves_gradients_too(largest):
    x, y = sample(40)
    head = ExactGPHead(max_cholesky=largest).fit(x, y)
    with torch.inference_mode():
        said, _ = head.predict(x)
    inputs = x.clone().requires_grad_()
    mean, _ = head.predict(inputs)
    mean.sum().backward()
    assert torch.isfinite(inputs.grad).all()
    torch.testing.assert_close(mean.detach(), said)


def test_exact_stays_exact_whatever_memory_is_left(monkeypatch):
    x, y = sample(60)
    head = ExactGPHead().fit(x, y)
    said, _ = head.predict(x)
    monkeypatch.setattr("lvef.models.gp.head.largest_exact", lambda *_: 5)
    head.to(torch.float64)
    fresh = ExactGPHead()
    fresh.load_state_dict(head.state_dict())
    assert torch.equal(head.predict(x)[0], said)
    torch.testing.assert_close(fresh.predict(x)[0], said)
    with pytest.warns(UserWarning, match="60 training samples are more than the 5"):
        assert not ExactGPHead().fit(x, y).exact


def test_a_job_takes_no_more_memory_than_it_was_given(tmp_path, monkeypatch):
    alone = largest_exact(torch.float64)
    monkeypatch.setattr("lvef.models.gp.memory._CONTROL_GROUPS", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("6000\n")
    (tmp_path / "memory.stat").write_text("anon 1000\ninactive_file 3000\nactive_file 2000\n")
    assert largest_exact(torch.float64) == pytest.approx(alone, rel=0.1)
    (tmp_path / "memory.max").write_text(f"{2**30 + 1000}\n")
    limited = largest_exact(torch.float64)
    assert limited == int((0.6 * 2**30 / (6 * 8)) ** 0.5) < alone
    inner = tmp_path / "job_7" / "step_0"  # as Slurm and systemd nest them
    inner.mkdir(parents=True)
    (tmp_path / "own").write_text("1:cpu:/elsewhere\n0::/job_7/step_0\n")
    monkeypatch.setattr("lvef.models.gp.memory._OWN_GROUPS", tmp_path / "own")
    for name, stated in (("memory.max", f"{2**28 + 1000}\n"), ("memory.current", "6000\n")):
        (inner.parent / name).write_text(stated)
    (inner.parent / "memory.stat").write_text("inactive_file 5000\n")
    (inner / "memory.max").write_text("max\n")
    assert largest_exact(torch.float64) == pytest.approx(limited / 2, abs=1), "a quarter of it"
    (inner.parent / "memory.max").write_text("max\n")
    assert largest_exact(torch.float64) == limited
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert largest_exact(torch.float64) == pytest.approx(limited / 2, abs=1)


def test_gradients_reach_the_features_through_the_mean():
    x, y = sample(40)
    head = ExactGPHead().fit(x, y)
    new = sample(2, seed=1)[0].double().requires_grad_()
    mean, _ = head.predict(new)
    mean.sum().backward()
    step = torch.zeros_like(new)
    step[0, 0] = 1e-4
    numeric = (head.predict(new + step)[0] - head.predict(new - step)[0])[0] / 2e-4
    assert float(new.grad[0, 0]) == pytest.approx(float(numeric), abs=1e-3)
    assert not head.predict(x)[0].requires_grad


@pytest.mark.filterwarnings("ignore:.*before it converged")
def test_a_reduction_finds_the_few_directions_that_matter():
    x, y = sample(150, dimensions=30)
    new, truth = sample(150, dimensions=30, seed=1)
    errors = {}
    for reduction in ("pca", "learned"):
        head = ExactGPHead(reduction=reduction, components=5).fit(x, y)
        assert head.projection.shape == (30, 5)
        errors[reduction] = float((head.predict(new)[0] - truth).square().mean().sqrt())
    assert errors["learned"] < 0.5 * errors["pca"], errors


def test_single_precision_reaches_the_same_optimum():
    x, y = sample(200)
    double = ExactGPHead().fit(x, y).log_marginal_likelihood()
    single = ExactGPHead(precision="single").fit(x, y).log_marginal_likelihood()
    assert single == pytest.approx(double, abs=2e-3)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_fit_starts_from_the_hyperparameters_of_another(kernel, monkeypatch):
    x, y = sample(100)
    first = ExactGPHead(kernel).fit(x, y)
    best, found = first.hyperparameters(), first.log_marginal_likelihood()
    monkeypatch.setattr(search, "_best_start", None)  # nothing is asked of a subset
    again = ExactGPHead(kernel).fit(x, y, start=best)
    assert again.evaluations <= 3, "it stands on the optimum"
    assert again.hyperparameters() == pytest.approx(best, rel=0.01)
    further = ExactGPHead(kernel).fit(x, y, start={name: 1.5 * best[name] for name in best})
    assert further.evaluations > again.evaluations
    assert further.log_marginal_likelihood() == pytest.approx(found, abs=1e-6)
    with pytest.warns(UserWarning, match="conjugate gradients"):
        ExactGPHead(kernel, max_cholesky=60).fit(x, y, start=best)


@pytest.mark.parametrize("reduction", [None, "pca"])
def test_above_the_largest_exact_size_gpytorchs_iterations_come_close(reduction):
    def wide(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Three directions stand in six of twenty features; the others say nothing."""
        x, y = sample(count, 3, seed)
        mixed = x @ torch.randn(3, 6, generator=torch.Generator().manual_seed(99))
        noise = torch.randn(count, 14, generator=torch.Generator().manual_seed(seed + 10))
        return torch.cat([mixed, noise], dim=1), y

    (x, y), (new, _) = wide(120, 0), wide(20, 1)
    options = {"reduction": reduction, "components": 4}
    exact, exact_std = ExactGPHead(**options).fit(x, y).predict(new)
    with pytest.warns(UserWarning, match="conjugate gradients"):
        head = ExactGPHead(max_cholesky=60, **options).fit(x, y)
    approximate, std = head.predict(new)
    assert float((exact - approximate).abs().mean()) < 0.3
    assert float((exact_std - std).abs().mean()) < 0.3


def test_what_memory_allows_is_stated():
    assert largest_exact(torch.float32) > largest_exact(torch.float64) > 100


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(4), "expected features"),
        (torch.zeros(0, 2), torch.zeros(0), "no sample"),
        (torch.full((3, 2), torch.nan), torch.zeros(3), "features hold NaN"),
        (torch.zeros(3, 2), torch.tensor([1.0, 2.0, torch.inf]), "targets hold NaN"),
    ],
)
def test_samples_that_cannot_be_fitted_are_refused(x, y, message):
    with pytest.raises(FitError, match=message):
        ExactGPHead().fit(x, y)


def test_other_features_than_those_of_the_fit_are_refused():
    head = ExactGPHead().fit(*sample(10))
    with pytest.raises(FitError, match=r"\(m, 6\)"):
        head.predict(torch.zeros(2, 5))
    assert head.predict(torch.zeros(0, 6))[0].shape == (0,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "cubic"}, "no kernel 'cubic': choose one of rbf"),
        ({"reduction": "PCA"}, "no reduction 'PCA': choose one of null, pca"),
        ({"precision": "float64"}, "no precision"),
        ({"components": 0}, "components is 0"),
        ({"restarts": 0}, "restarts is 0"),
        ({"max_cholesky": 0}, "max_cholesky is 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(FitError, match=message):
        ExactGPHead(**options)


def test_a_search_that_does_not_converge_says_so():
    with pytest.warns(UserWarning, match="before it converged"):
        ExactGPHead(reduction="learned", components=3).fit(*sample(40))


def test_a_search_goes_by_units_in_which_the_objective_bends_alike():
    class Likelihood:
        bends = np.array([1.0, 0.01, 1e-9])

        def __call__(self, theta):
            return 0.5 * float(self.bends @ theta**2), self.bends * theta

    units = search._units(Likelihood(), np.array([0.3, -2.0, 0.0]))
    np.testing.assert_allclose(units, [1.0, 10.0, 1.0], rtol=1e-6)
    bounds = [(-20.0, 20.0)] * 2
    counts = {}
    for given in (1.0, units[:2]):
        evaluated = []

        def objective(theta, evaluated=evaluated):
            evaluated.append(theta)
            return 1 + 0.5 * float(Likelihood.bends[:2] @ theta**2), Likelihood.bends[:2] * theta

        found, counts[str(given)] = search._search(
            objective, np.array([3.0, -11.0]), bounds, 1e-12, units=given
        )
        assert counts[str(given)] == len(evaluated)
        np.testing.assert_allclose(found, 0, atol=1e-3)
    bare, in_units = counts.values()
    assert in_units < bare


@pytest.mark.parametrize("gain", [0.1, -0.1])
def test_a_start_without_noise_is_given_some_where_that_is_better(gain):
    class Likelihood:
        typical_lengthscale = 1.0

        def value(self, theta):
            return 0.01 * (theta[0] - 1) ** 2 - gain * (theta[1] > -5)

        def __call__(self, theta):
            return self.value(theta), np.array([0.02 * (theta[0] - 1), 0.0])

    start = search._unstuck(Likelihood(), np.array([0.0, -11.0]))
    assert start[1] == (search._SOME_NOISE if gain > 0 else -11.0)
    assert start[0] > 0, "a few steps on"
    enough = np.array([0.0, -1.0])
    assert search._unstuck(Likelihood(), enough) is enough
