"""What can go wrong between the kernel and us."""


class KernelProblem(Exception):
    """Something at the kernel's edge failed."""


class KernelRefused(KernelProblem):
    """The kernel said no; `verifier` holds the last lines of its log where it has one."""

    def __init__(self, message: str, *, verifier: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.verifier = verifier


class BadTypes(KernelProblem):
    """The kernel's BTF is there but cannot be used, whatever the rung."""


class NoRung(KernelProblem):  # a state of the host, named so in doctor
    """No rung of the capability ladder loads and fires here; `reasons` says why for each."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__("; ".join(f"{rung}: {reason}" for rung, reason in reasons.items()))
        self.reasons = reasons


class LoaderFailed(KernelProblem):
    """The loader process ended without handing over what it was started for."""


class BrokerGone(KernelProblem):
    """The privileged broker closed its end."""
