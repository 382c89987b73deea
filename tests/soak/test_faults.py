"""Every point of every scenario with every action: tests/faults in its long form."""

import os
import subprocess
import sys


def test_every_point():
    here = os.path.dirname(os.path.abspath(__file__))
    env = dict(os.environ, BERTH_SOAK="1")
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", os.path.join(here, "..", "faults")], env=env)
    assert done.returncode in (0, 5), "see above"
