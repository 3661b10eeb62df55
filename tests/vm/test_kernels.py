"""On other kernels the same events: those of CI's share, played since the tests began; `make test-kernels` plays all."""

import os

import pytest

from tests.vm import background, prove
from tests.vm.kernels import BY_NAME, STORE, CannotHave

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(1200)]


@pytest.mark.skipif(
    os.uname().machine != "x86_64", reason="cannot be done on this kernel: the emulated ones are x86-64"
)
@pytest.mark.parametrize("name", background.SHARE)
def test_the_recorded_traffic(played, name):
    kernel = BY_NAME[name]
    if outcome := played(kernel):
        assert "cannot" not in outcome
        assert outcome["complaints"] == []
        return
    if not (STORE / "kernels" / f"{kernel.name}-{kernel.flavour}" / "release").exists():
        pytest.skip(f"kernel {name} is not in the store; make test-kernels fetches it")
    rungs = background.SHARE[name]
    try:
        result = prove.prove(kernel, rungs)
    except CannotHave as reason:
        pytest.skip(f"kernel {name} cannot be had: {reason}")
    assert prove.complaints(result, rungs) == []
