"""How often customers come back and what they are worth, from purchases alone.

One import for the models of repeat buying:

- purchases at any time: `fit_bg_nbd`, `fit_mbg_nbd`, `fit_pareto_nbd`
- a fixed number of chances to buy: `fit_bg_bb`
- spend per purchase: `fit_gamma_gamma`; money over a horizon: `lifetime_value`

Every fit returns a `ModelFit`: parameters with standard errors, draws, and a `status` that says when the data cannot
identify them. Its `model` answers questions about customers.
"""

from __future__ import annotations

from upswing.stats._optimise import FittedNumber, ModelFit
from upswing.stats.clv_continuous import BgNbd, MbgNbd, ParetoNbd, fit_bg_nbd, fit_mbg_nbd, fit_pareto_nbd
from upswing.stats.clv_discrete import BgBb, fit_bg_bb
from upswing.stats.clv_spend import (
    BuyingModel,
    GammaGamma,
    fit_gamma_gamma,
    lifetime_value,
    spend_frequency_correlation,
)

__all__ = [
    "BgBb",
    "BgNbd",
    "BuyingModel",
    "FittedNumber",
    "GammaGamma",
    "MbgNbd",
    "ModelFit",
    "ParetoNbd",
    "fit_bg_bb",
    "fit_bg_nbd",
    "fit_gamma_gamma",
    "fit_mbg_nbd",
    "fit_pareto_nbd",
    "lifetime_value",
    "spend_frequency_correlation",
]
