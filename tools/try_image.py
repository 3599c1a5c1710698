"""Build the image of deploy/Dockerfile on a bare Debian, run it as its own settings say, and check what it promises.

    python tools/try_image.py

buildah builds it, from a base that debootstrap makes (tools/bare_debian.py), so no image is downloaded. It runs without
a container engine: in its own namespaces, with the user, the environment and the command that the image names, its
root read-only and `/data` a volume. Exits with 1 if a promise is not kept, and with 0 and the reason where it cannot
be tried.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import bare_debian

ROOT = Path(__file__).parents[1]
BASE, IMAGE = "localhost/tidings-try-base", "localhost/tidings-try"
NEEDS = ("buildah", "ip")
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--mount-proc")
# In the format of Docker, since OCI images have no health check.
BUILDAH = ("--isolation", "chroot", "--network", "host", "--format", "docker")
RUN = r"""
set -eu
ip link set lo up
mount --bind "$ROOT" "$ROOT"
mount --bind "$DATA" "$ROOT/data"
mount -o remount,bind,ro "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs tmpfs "$ROOT/tmp"
within() { chroot --userspec="$IMAGE_USER" "$ROOT" env -i $IMAGE_ENV "$@"; }
within python3 -c "
import time, urllib.request
began = time.time()
while True:
    try:
        urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=1)
        break
    except OSError:
        assert time.time() < began + 60, 'it does not become ready'
        time.sleep(0.01)
print('ready', time.time())
" >/tmp/ready.$$ &
probe=$!
sleep 0.5
begun=$(date +%s.%N)
chroot --userspec="$IMAGE_USER" "$ROOT" env -i $IMAGE_ENV sh -c 'cd /data; exec "$@"' sh $IMAGE_COMMAND \
  >/tmp/out.$$ 2>&1 &
server=$!
wait $probe || { cat /tmp/out.$$; exit 1; }
echo "begun $begun"; cat /tmp/ready.$$
echo "user $(sed -n 's/^Uid:\t\([0-9]*\).*/\1/p' "$ROOT/proc/$server/status")"
within python3 -c "open('/usr/x', 'w')" 2>/dev/null && echo "writable root"
within /opt/tidings/bin/python -v -c "import tidings.server" 2>&1 | grep -q "^# code object from /" && echo "compiles"
within $IMAGE_HEALTH_PYTHON -c "$IMAGE_HEALTH" && echo "healthy"
within env TIDINGS_PORT=9 $IMAGE_HEALTH_PYTHON -c "$IMAGE_HEALTH" 2>/dev/null && echo "deaf to the port"
kill -TERM $server
status=0; wait $server || status=$?
echo "stopped $status"
grep -o 'Keep the operator.s key' /tmp/out.$$ || true
rm -f /tmp/out.$$ /tmp/ready.$$
"""


def missing() -> str | None:
    """Why it cannot be tried here; None if it can."""
    absent = [program for program in NEEDS if shutil.which(program) is None]
    if why := bare_debian.missing() or (f"not installed: {', '.join(absent)}" if absent else None):
        return why
    tried = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True, check=False)
    return f"no namespaces of its own: {tried.stderr.strip()}" if tried.returncode else None


def buildah(*arguments: str) -> str:
    """The output of buildah. Raises RuntimeError if it fails."""
    done = subprocess.run(["buildah", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"buildah {' '.join(arguments)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout.strip()


def known() -> list[str]:
    """The ids of the images with our names, those that stand on others first."""
    listed = [buildah("images", "--quiet", "--no-trunc", "--filter", f"reference={name}") for name in (IMAGE, BASE)]
    return [ident for each in listed for ident in each.split()]


def forget(before: list[str]) -> None:
    """Remove the images that have lost their names to new ones."""
    now = known()
    for ident in before:
        # With an image, what only it stood on is removed as well.
        if ident not in now and ident in buildah("images", "--all", "--quiet", "--no-trunc").split():
            buildah("rmi", ident)


def make_base() -> None:
    """Make the base. Raises RuntimeError where buildah cannot work at all."""
    with bare_debian.copied() as root:
        made = buildah("from", "scratch")
        buildah("add", "--quiet", made, f"{root}", "/")
        buildah("commit", "--quiet", "--rm", made, BASE)


def build() -> None:
    """Make the image above the base."""
    buildah(
        "bud", "--quiet", *BUILDAH, "--build-arg", f"BASE={BASE}", "--file", "deploy/Dockerfile", "--tag", IMAGE, "."
    )


def config() -> dict[str, Any]:
    """What the image says about how it is run."""
    found: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]
    return found


def run(folder: Path) -> list[str]:
    """Run it once, and return the lines of what was seen."""
    said, data = config(), folder / "data"
    data.mkdir(mode=0o700)
    user = said["User"]
    shutil.chown(data, *map(int, user.split(":")))
    test = said["Healthcheck"]["Test"]
    made = buildah("from", IMAGE)
    try:
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "ROOT": buildah("mount", made),
            "DATA": str(data),
            "IMAGE_USER": user,
            "IMAGE_ENV": " ".join(said["Env"]),
            "IMAGE_COMMAND": " ".join([*said["Entrypoint"], *said["Cmd"]]),
            "IMAGE_HEALTH_PYTHON": test[1],
            "IMAGE_HEALTH": test[-1],
        }
        away = [*NAMESPACES, "sh", "-c", RUN]
        done = subprocess.run(away, env=environment, capture_output=True, text=True, check=False, timeout=120)
    finally:
        buildah("rm", made)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    if not (data / "tidings.db").is_file():
        raise RuntimeError("the volume holds no database")
    return done.stdout.splitlines()


def megabytes(folder: Path) -> dict[str, float]:
    """The size of the image's layers, compressed as a registry keeps them: of Tidings, and of the base."""
    buildah("push", "--quiet", "--format", "oci", IMAGE, f"dir:{folder}")
    manifest = json.loads((folder / "manifest.json").read_text())
    sizes = [layer["size"] / 1e6 for layer in manifest["layers"]]
    return {"base_megabytes": round(sizes[0], 1), "own_megabytes": round(sum(sizes[1:]), 1)}


def main() -> int:
    """Print the figures as JSON; 1 if a promise is not kept."""
    why = missing()
    before: list[str] = []
    if why is None:
        try:
            before = known()
            bare_debian.base()
            make_base()
        except subprocess.CalledProcessError as refused:
            why = f"debootstrap made no Debian: {refused}"
        except RuntimeError as refused:
            why = f"buildah cannot work here: {refused}"
    if why is not None:
        print(f"The image was not tried: {why}.")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        build()
        forget(before)
        place = Path(folder)
        seen = dict(line.partition(" ")[::2] for line in run(place))
        (place / "pushed").mkdir()
        sizes = megabytes(place / "pushed")
    ready = float(seen["ready"]) - float(seen["begun"])
    wrong = [
        what
        for what, is_so in (
            ("it runs as root", seen.get("user") in (None, "0")),
            ("its root can be written to", "writable" in seen),
            ("each start compiles code again", "compiles" in seen),
            ("its own health check fails", "healthy" not in seen),
            ("its health check ignores TIDINGS_PORT", "deaf" in seen),
            ("SIGTERM does not end it cleanly", seen.get("stopped") != "0"),
            ("it shows no key at its first start", "Keep" not in seen),
        )
        if is_so
    ]
    print(json.dumps({"image": IMAGE, "ready_seconds": round(ready, 2), **sizes, "wrong": wrong}, indent=2))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
