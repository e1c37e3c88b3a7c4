"""What a model said of every case, gathered over batches and processes."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class CaseStore(Metric):
    """Collects columns of per-case tensors, each case once.

    Distributed samplers repeat cases to even the shards out; the repeats are dropped by `row`.

    Args:
        columns: Names of the columns beside `row`.
    """

    full_state_update = False
    row: list[Tensor]

    def __init__(self, *columns: str) -> None:
        super().__init__()
        self.columns = columns
        for name in ("row", *columns):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, **values: Tensor) -> None:
        """Add a batch: `row` and every column, each `(B,)`."""
        for name in ("row", *self.columns):
            getattr(self, name).append(values[name].detach())

    def cases(self) -> dict[str, Tensor]:
        """Return `row` and every column on the CPU, `(n,)` each, ordered by row.

        torchmetrics squeezes what `compute` returns, so that one case alone loses its dimension.
        """
        return {name: column.reshape(-1) for name, column in self.compute().items()}

    def compute(self) -> dict[str, Tensor]:
        """Return what `cases` returns, over all processes."""
        gathered = {name: self._column(name) for name in ("row", *self.columns)}
        rows, inverse = torch.unique(gathered["row"], sorted=True, return_inverse=True)
        first = torch.full((len(rows),), len(inverse), dtype=torch.long)
        first.scatter_reduce_(0, inverse, torch.arange(len(inverse)), reduce="amin")
        return {name: column[first] for name, column in gathered.items()}

    def _column(self, name: str) -> Tensor:
        value = getattr(self, name)
        if isinstance(value, list):
            value = torch.cat(value) if value else torch.empty(0)
        return value.cpu()  # type: ignore[no-any-return]
