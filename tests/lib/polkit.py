"""A system bus and polkit inside a sandbox: a real dbus-daemon and a real polkitd, with our actions and the test's rules.

The host's own directories of actions and rules are covered inside, so what libvirt's packages install there plays no part.
"""

import os
import shutil
import subprocess

POLKITD = "/usr/lib/polkit-1/polkitd"
ACTIONS = os.path.join(os.path.dirname(__file__), "..", "..", "polkit")

_SETUP = r"""set -e
base=$1
mkdir -p /run/dbus
mount --bind "$base/polkit-actions" /usr/share/polkit-1/actions
mount --bind "$base/polkit-rules" /etc/polkit-1/rules.d
mkdir -p "$base/empty"
mount --bind "$base/empty" /usr/share/polkit-1/rules.d
# No activation: who is asked for is there, or it is not.
mount --bind "$base/empty" /usr/share/dbus-1/system-services
# An agent's user is who he says: the helper's service asks PAM for nothing.
echo "auth sufficient pam_permit.so
account sufficient pam_permit.so" >"$base/polkit-pam"
touch /etc/pam.d/polkit-1 2>/dev/null || :
mount --bind "$base/polkit-pam" /etc/pam.d/polkit-1
"""


class Polkit:
    """start() when the sandbox runs; rules are JavaScript."""

    def __init__(self, box, rules=""):
        self.box = box
        self.polkitd = None
        os.mkdir(box.path("polkit-actions"))
        os.mkdir(box.path("polkit-rules"))
        os.chmod(box.path("polkit-rules"), 0o755)
        for name in ("org.libvirt.unix.policy", "org.libvirt.api.policy"):
            shutil.copyfile(os.path.join(ACTIONS, name), box.path("polkit-actions", name))
        shutil.copyfile("/usr/share/polkit-1/actions/org.freedesktop.policykit.policy",
                        box.path("polkit-actions", "org.freedesktop.policykit.policy"))
        self.write_rules(rules)

    def write_rules(self, rules):
        """polkitd reads them when it starts; a running one by itself, some time later: use restart()."""
        with open(self.box.path("polkit-rules", "10-test.rules"), "w") as out:
            out.write(rules)

    def start(self):
        done = self.box.run(["sh", "-c", _SETUP, "sh", self.box.base])
        assert done.returncode == 0, done
        # comes back when the bus can be connected to
        done = self.box.run(["dbus-daemon", "--system", "--fork", "--nopidfile", "--nosyslog"])
        assert done.returncode == 0, done
        self.start_polkitd()
        return self

    def start_polkitd(self):
        self.polkitd = self.box.popen([POLKITD, "--no-debug"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        done = self.box.run(["gdbus", "wait", "--system", "--timeout", "30", "org.freedesktop.PolicyKit1"])
        assert done.returncode == 0, done

    def stop_polkitd(self):
        """The name is gone from the bus when this returns."""
        for pid, argv in self.box.processes():
            if argv[0] == POLKITD:
                os.kill(pid, 15)
        self.polkitd.wait(20)

    def restart(self, rules):
        self.stop_polkitd()
        self.write_rules(rules)
        self.start_polkitd()
