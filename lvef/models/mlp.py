"""The multi-layer perceptron head."""

from __future__ import annotations

from torch import Tensor, nn


class MLPHead(nn.Module):
    """One hidden layer with batch norm and dropout.

    Args:
        num_features: Features of a case, those of its frames joined.
        num_outputs: Outputs a case.
        hidden: Width of the hidden layer.
        dropout: Share of hidden units dropped in training.
    """

    def __init__(
        self, num_features: int, num_outputs: int, hidden: int = 256, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Linear(num_features, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.output = nn.Linear(hidden, num_outputs)
        # Start from the same answer for every case: even odds, or the training mean.
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return `(B, num_outputs)` from `(B, num_features)`."""
        output: Tensor = self.output(self.hidden(features))
        return output
