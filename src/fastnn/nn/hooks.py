"""What is called after each call of a module."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from .module import Module

# hook(module, args, output) -> None, or what the call shall return
Hook = Callable[["Module", tuple[Any, ...], Any], Any]
Forward = Callable[..., Any]


class HookHandle:
    """What `Module.register_forward_hook` returns: `remove`, or the end of a ``with`` block, takes the hook away."""

    def __init__(self, replacement: WithHooks, hook: Hook) -> None:
        self._replacement = replacement
        replacement.hooks[self] = hook

    def remove(self) -> None:
        """Do not call the hook any more; a second time this does nothing."""
        self._replacement.hooks.pop(self, None)
        self._replacement.leave_if_empty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class WithHooks:
    """In the place of a module's ``forward``, where `intercept` puts its replacements too: calls it and then the hooks."""

    def __init__(self, module: Module) -> None:
        self.hooks: dict[HookHandle, Hook] = {}
        self._module = weakref.ref(module)  # weak, since the module holds this object
        self.forward: Forward | None = vars(module).get("forward")
        vars(module)["forward"] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        module = self._module()
        assert module is not None
        output = (
            type(module).forward(module, *args, **kwargs) if self.forward is None else self.forward(*args, **kwargs)
        )
        for hook in list(self.hooks.values()):
            changed = hook(module, args, output)
            if changed is not None:
                output = changed
        return output

    def leave_if_empty(self) -> None:
        """Put back what was in this place, unless something else is there now."""
        module = self._module()
        if self.hooks or module is None or vars(module).get("forward") is not self:
            return
        del vars(module)["forward"]
        if self.forward is not None:
            vars(module)["forward"] = self.forward
