"""OpenMP's threads, as a runtime for the kernels."""

runtime: object
