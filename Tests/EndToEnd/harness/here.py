"""What this machine lets a test do: namespaces of its own, where they are permitted. What cannot run here is skipped, named
and counted in the last lines of a run."""

import functools
import os
import subprocess
import tempfile

import pytest

NOT_RUN = []
WITHIN_S = 60


def cannot_run(why):
    """Ends the test; the last lines of the run name it."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "a test").split(" (")[0]
    NOT_RUN.append(f"{test}: {why}")
    pytest.skip(f"cannot run here: {why}")


@functools.cache
def mount_namespace(*more):
    """A command line that runs another in a mount namespace of its own, with `more` options of unshare; None where that is
    not permitted, or where its mounts would be seen outside. In a chroot the root is no mount point, so that its
    propagation cannot be changed."""
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    for propagation in ("private", "unchanged"):
        command = ["unshare", *more, "--mount", *own, "--propagation", propagation]
        if stays_inside(command):
            return command
    return None


def stays_inside(command):
    """Whether a file system that is mounted by this command is not seen outside."""
    with tempfile.TemporaryDirectory() as folder:
        script = f"mount -t tmpfs tmpfs '{folder}' && touch '{folder}/seen' && echo mounted && read wait; umount '{folder}'"
        try:
            inside = subprocess.Popen(
                [*command, "sh", "-c", script], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE)
        except OSError:
            return False
        is_mounted = inside.stdout.readline() == "mounted\n"
        is_seen = os.path.exists(os.path.join(folder, "seen"))
        inside.communicate("\n", timeout=WITHIN_S)
        return is_mounted and not is_seen
