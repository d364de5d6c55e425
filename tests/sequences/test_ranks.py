"""Order statistics against a full sort."""

import numpy as np
import pytest

from upswing.sequences.ranks import order_statistics


@pytest.mark.parametrize("spread", [1, 50, 10**9, 2**60])
@pytest.mark.parametrize("size", [1, 5000, 60_000])
def test_same_as_sorting(size, spread):
    values = np.random.default_rng(size).integers(0, spread, size)
    ranks = sorted({0, size // 4, size // 2, size - 1})
    assert order_statistics(values, ranks) == np.sort(values)[ranks].tolist()
