"""On other kernels the same events, sized for CI; run by name until it has shown to be steady there."""

import os

import pytest

from tests.vm import prove
from tests.vm.kernels import BY_NAME, CannotHave

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(1200)]


@pytest.mark.skipif(
    os.uname().machine != "x86_64", reason="cannot be done on this kernel: the emulated ones are x86-64"
)
@pytest.mark.parametrize(("name", "rungs"), [("6.1", ("fexit", "kprobe")), ("6.12", ("length",))])
def test_the_recorded_traffic(name, rungs):
    try:
        result = prove.prove(BY_NAME[name], rungs)
    except CannotHave as reason:
        pytest.skip(f"kernel {name} cannot be had: {reason}")
    assert prove.complaints(result, rungs) == []
