"""Local response norm: y = x * (k + alpha / size * sum of x^2 over neighbouring channels)^-beta."""

from ..._core import local_response_norm_backward, local_response_norm_forward

__all__ = ["local_response_norm_backward", "local_response_norm_forward"]
