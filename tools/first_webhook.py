"""From nothing to the first verified webhook, by the wheel, on a bare Debian with Python: how long, and how large.

    python tools/first_webhook.py

Builds the wheel, and follows a newcomer in a bare Debian (tools/bare_debian.py): an environment, `pip install WHEEL`, a
server in an empty folder, a receiver that verifies, an endpoint, an event. pip has no cache, so every package is
downloaded. Where no bare Debian can be made, the same is done in a new environment of this machine, and said.
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
STEPS = r"""
set -eu
now() { date +%s.%N; }
begun=$(now)
python3 -m venv "$PLACE/tidings"
empty=$(du -s --block-size=1000 "$PLACE/tidings" | cut -f 1)
"$PLACE/tidings/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check "$WHEEL"
installed=$(now)
mkdir "$PLACE/empty"; cd "$PLACE/empty"
export TIDINGS_PORT=$PORT TIDINGS_ALLOW_ADDRESSES=127.0.0.0/8
"$PLACE/tidings/bin/tidings" serve >out 2>log &
server=$!
key=
for _ in $(seq 600); do
  key=$(sed -n 's/.*\(tdk_[A-Za-z0-9_-]*\).*/\1/p' out)
  [ -n "$key" ] && break
  kill -0 $server || { cat log; exit 1; }
  sleep 0.05
done
serving=$(now)
export TIDINGS_KEY=$key TIDINGS_URL=http://127.0.0.1:$PORT
"$PLACE/tidings/bin/python" -u "$RECEIVER" "$RECEIVER_PORT" >received &
receiver=$!
"$PLACE/tidings/bin/tidings" endpoints create "http://127.0.0.1:$RECEIVER_PORT/" >/dev/null
"$PLACE/tidings/bin/tidings" publish orders.paid --data '{"id": "o_1"}' >/dev/null
for _ in $(seq 600); do grep -q 'verified: orders.paid' received && break; sleep 0.05; done
grep -q 'verified: orders.paid' received || { cat log received; exit 1; }
verified=$(now)
kill $server $receiver
echo "$begun $installed $serving $verified $empty"
"""


def wheel(folder: Path) -> Path:
    """The wheel of this clone. Raises subprocess.CalledProcessError."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*command, str(folder), str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


def measure(place: Path, run: bare_debian.Run, built: Path) -> dict[str, Any]:
    """Seconds and megabytes. `place`: the folder as this machine sees it. Raises RuntimeError if a step fails."""
    for file in (built, ROOT / "examples" / "receiver.py"):
        shutil.copy(file, place / file.name)
    ports = bare_debian.free_ports(2)
    seen = run.seen(place)
    done = run(
        ["sh", "-c", STEPS],
        PLACE=seen,
        WHEEL=f"{seen}/{built.name}",
        RECEIVER=f"{seen}/receiver.py",
        PORT=str(ports[0]),
        RECEIVER_PORT=str(ports[1]),
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    begun, installed, serving, verified, empty = map(float, done.stdout.split()[-5:])
    return {
        "install_seconds": round(installed - begun, 1),
        "start_seconds": round(serving - installed, 1),
        "total_seconds": round(verified - begun, 1),
        "megabytes": round(bare_debian.megabytes(place / "tidings"), 1),
        "megabytes_of_pip": round(empty / 1000, 1),
        "megabytes_by_package": by_package(place / "tidings"),
    }


def by_package(environment: Path) -> dict[str, float]:
    """The megabytes of each package that has one or more, compiled Python included; the others together."""
    found: dict[str, float] = {}
    for entry in next(environment.glob("lib/python3*/site-packages")).iterdir():
        # Its files, its shared libraries (`x.libs`) and its metadata (`x-1.0.dist-info`).
        name = entry.name.partition(".")[0].partition("-")[0]
        found[name] = found.get(name, 0) + bare_debian.megabytes(entry)
    large = {name: found[name] for name in sorted(found, key=found.__getitem__, reverse=True) if found[name] >= 1}
    return {
        name: round(size, 1) for name, size in (large | {"others": sum(found.values()) - sum(large.values())}).items()
    }


def main() -> None:
    """Print the figures as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        built, why = wheel(Path(folder)), bare_debian.missing()
        if why is None:
            with bare_debian.copied() as root:
                place = root / "srv"
                found = measure(place, bare_debian.Run(root), built)
        else:
            place = Path(folder) / "place"
            place.mkdir()
            found = measure(place, bare_debian.Run(None), built)
    where = "a bare Debian" if why is None else f"a new environment of this machine ({why})"
    print(json.dumps({"where": where, "cached": "nothing; the registry may be a mirror", **found}, indent=2))


if __name__ == "__main__":
    main()
