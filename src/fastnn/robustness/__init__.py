"""How a model bears noise, missing values, and inputs that are changed on purpose."""

__all__: list[str] = []
