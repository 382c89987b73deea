"""Python's collector of cycles rests while a test runs.

python-libvirt makes its exception from the thread's last error, after the call that failed.  If the collector finds a dead domain object in
between (pytest's own exceptions keep them in cycles), freeing that domain resets the last error, and the exception has no code.
A conftest imports the hook from here.
"""

import gc

import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    gc.disable()
    yield
    gc.enable()
