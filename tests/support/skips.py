"""When a skipped test counts as a failure."""

CANNOT = "cannot be done on this kernel: "  # the one reason that CI accepts; what follows names what the kernel lacks


def verdict(reason: str, *, on_ci: bool) -> str | None:
    """Return why a skip with this reason fails the run, or None where it may stand."""
    if not on_ci or reason.removeprefix("Skipped: ").startswith(CANNOT):
        return None
    return f"skipped on CI, where everything needed has to be there: {reason}"
