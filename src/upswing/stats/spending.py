"""How much of the error may be spent by when: alpha- and beta-spending functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions

from upswing.stats._arrays import FloatArray, floats, one_of
from upswing.stats.errors import InvalidInput

SpendingKind: TypeAlias = Literal["obrien_fleming", "pocock", "power", "hwang_shih_decani"]


@dataclass(frozen=True, slots=True)
class Spending:
    """A spending function in the sense of Lan and DeMets.

    Attributes:
        kind: "obrien_fleming" spends almost nothing early and keeps nearly all power (the default);
            "pocock" spends evenly; "power" is total·t^parameter; "hwang_shih_decani" is a family between them.
        parameter: exponent for "power" (3 is close to O'Brien-Fleming, 1 to Pocock); gamma for "hwang_shih_decani"
            (-4 close to O'Brien-Fleming, 1 to Pocock); unused otherwise.

    References:
        Lan, DeMets (1983), Biometrika 70:659-663; Kim, DeMets (1987); Hwang, Shih, DeCani (1990).

    Examples:
        >>> Spending("power", 2).spent([0.5, 1.0], total=0.05)
        array([0.0125, 0.05  ])
    """

    kind: SpendingKind = "obrien_fleming"
    parameter: float = 3.0

    def __post_init__(self) -> None:
        one_of("kind", self.kind, ("obrien_fleming", "pocock", "power", "hwang_shih_decani"))
        if self.kind == "power" and not self.parameter > 0:
            raise InvalidInput(f"the exponent is {self.parameter:g}, it must be positive")

    def spent(self, information: ArrayLike, *, total: float) -> FloatArray:
        """Return the cumulative error spent by each information time; all of it from 1 on.

        Args:
            information: information times, any shape, at least 0.
            total: error to spend, for one side of a two-sided test half of its alpha.
        """
        t = np.minimum(floats("information", information, at_least=0), 1.0)
        if self.kind == "obrien_fleming":
            quantile = distributions.norm.isf(total / 2)
            with np.errstate(divide="ignore"):
                return np.asarray(2 * distributions.norm.sf(quantile / np.sqrt(t)))
        if self.kind == "pocock":
            return np.asarray(total * np.log1p((np.e - 1) * t))
        if self.kind == "power":
            return np.asarray(total * t**self.parameter)
        if self.parameter == 0:
            return np.asarray(total * t)
        return np.asarray(total * np.expm1(-self.parameter * t) / np.expm1(-self.parameter))
