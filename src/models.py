"""The nets. Shapes: B rows of a batch, D inputs, H hidden units, O outputs."""

from torch import Tensor, nn


class TwoLayerNet(nn.Module):
    """Two linear layers with a ReLU between them, written as `clamp(min=0)`.

    Args:
        input_dim: D, from the data.
        hidden_dim: H.
        output_dim: O, from the data.
    """

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(input_dim, hidden_dim)
        self.linear2 = nn.Linear(hidden_dim, output_dim)

    def forward(self, x: Tensor) -> Tensor:
        """From features (B, D) to predictions (B, O)."""
        return self.linear2(self.linear1(x).clamp(min=0))


class Sequential(nn.Sequential):
    """The same net as `nn.Sequential(Linear, ReLU, Linear)`, with the same arguments as `TwoLayerNet`."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int) -> None:
        super().__init__(nn.Linear(input_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, output_dim))
