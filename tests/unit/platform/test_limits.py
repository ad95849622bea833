import resource
import subprocess
import sys

from noggd.platform.limits import is_scarce


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    script = (
        "import resource; from noggd.platform.limits import allow_many_descriptors\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (64, {hard}))\n"
        "print(allow_many_descriptors(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(hard), str(hard)]


def test_the_last_descriptors_are_for_the_daemon_itself() -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert not is_scarce(3)
    assert not is_scarce(limit - 33)
    assert is_scarce(limit - 32)
