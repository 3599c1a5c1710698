#!/bin/sh
# Makes the virtual environment: every dependency at the version and hash of a lock, and this package, editable.
# Usage: tools/setup.sh VENV LOCK [PYTHON]. Needs a Python of 3.11 or newer; brings its own pip if that Python has none.
# Without PYTHON, an optimized one is preferred to the first on the path: pyenv, for one, builds without optimization.
set -eu

cd "$(dirname "$0")/.."
VENV=$1
LOCK=$2
PYTHON=${3:-}

say() { printf '%s\n' "$*" >&2; }

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Whether a Python was built with optimization. A distribution's is, though it does not say so. `tidings doctor` asks the
# same, but of the Python that runs it: here, none has Tidings yet.
optimized() {
    "$1" -c 'import sys, sysconfig as of; sys.exit(sys.base_prefix != "/usr" and "--enable-optimizations" not in (of.get_config_var("CONFIG_ARGS") or ""))' 2>/dev/null
}

find_python() {
    candidates=${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3}
    first=
    for name in $candidates; do
        new_enough "$name" || continue
        first=${first:-$name}
        if optimized "$name"; then
            [ "$name" = "$first" ] || say "$first was built without optimization; $name runs Tidings faster. To take $first all the same: PYTHON=$first"
            echo "$name"
            return
        fi
    done
    if [ -z "$first" ]; then
        say "Tidings needs Python 3.11 or newer, and ${PYTHON:-python3} is not that. Install one, or name it: make setup PYTHON=/path/to/python3.11"
        exit 1
    fi
    echo "$first"
}

# Debian splits ensurepip off into python3-venv. Without root, its pip wheel can still be taken out of the
# distribution's own archive: the package lists and the package go to a private folder, nothing is installed.
pip_from_distribution() {
    box=$(mktemp -d)
    mkdir -p "$box/lists/partial" "$box/cache/archives/partial"
    set -- -o "Dir::State::lists=$box/lists" -o "Dir::Cache=$box/cache" -o APT::Sandbox::User=root -q
    if (cd "$box" && apt-get "$@" update && apt-get "$@" download python3-pip-whl && dpkg-deb -x python3-pip-whl*.deb .) >&2; then
        wheel=$(ls "$box"/usr/share/python-wheels/pip-*.whl)
        PYTHONPATH=$wheel "$VENV/bin/python" -m pip install --quiet --no-index --no-deps "$wheel"
        rm -rf "$box"
    else
        rm -rf "$box"
        return 1
    fi
}

# Tried in turn: what this machine has (a pip of any Python's, uv, Debian's wheels), then what its distribution offers.
bring_pip() {
    for name in "$1" python3; do
        if "$name" -m pip --version >/dev/null 2>&1; then
            "$name" -m pip --python "$VENV/bin/python" install --quiet pip && return
        fi
    done
    if command -v uv >/dev/null 2>&1; then
        uv pip install --quiet --python "$VENV/bin/python" pip && return
    fi
    for wheel in /usr/share/python-wheels/pip-*.whl; do
        if [ -f "$wheel" ]; then
            PYTHONPATH=$wheel "$VENV/bin/python" -m pip install --quiet --no-index --no-deps "$wheel" && return
        fi
    done
    if command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1; then
        say "This Python has no pip; taking one out of the distribution's archive."
        pip_from_distribution && return
    fi
    say "This Python has neither ensurepip nor pip. Install them (Debian, Ubuntu: apt-get install python3-venv) and try again."
    exit 1
}

if ! [ -x "$VENV/bin/python" ] || ! new_enough "$VENV/bin/python"; then
    python=$(find_python)
    rm -rf "$VENV"
    # Where ensurepip is missing, the first form leaves a half-made folder behind; the second form clears it.
    "$python" -m venv "$VENV" >/dev/null 2>&1 || "$python" -m venv --clear --without-pip "$VENV"
fi
if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    bring_pip "$(find_python 2>/dev/null)"
fi

# One line that counts the packages as pip takes them up; on a terminal it is written over, elsewhere printed once.
install() {
    count=$(grep -c '^[a-zA-Z0-9].*==' "$1")
    say "Installing up to $count packages from $1 into $VENV ..."
    failed=$(mktemp)
    { "$VENV/bin/python" -m pip install --progress-bar off --require-hashes -r "$1" || echo $? >"$failed"; } 2>&1 |
        awk -v tty="$([ -t 2 ] && echo 1)" '
            /^Collecting / { n++; if (tty) printf "\r\033[K  %d  %s", n, $2 > "/dev/stderr" }
            /^Installing collected/ { if (tty) printf "\r\033[K  %d  writing files ...", n > "/dev/stderr" }
            /^ERROR|^error|^WARNING: Retrying/ { wrong = wrong $0 "\n" }
            END { if (tty) printf "\r\033[K" > "/dev/stderr"; printf "%s", wrong > "/dev/stderr" }'
    if [ -s "$failed" ]; then
        rm -f "$failed"
        say "The packages could not be installed; pip says why above. Mend that and run the command again: it goes on."
        exit 1
    fi
    rm -f "$failed"
}

export PIP_DISABLE_PIP_VERSION_CHECK=1
install "$LOCK"
case $LOCK in
    # The development lock brings what builds this package; otherwise pip fetches that for the moment of the build.
    *dev*) "$VENV/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable . ;;
    *) "$VENV/bin/python" -m pip install --quiet --no-deps --editable . ;;
esac
# Otherwise the first run of anything compiles it all, on one core.
"$VENV/bin/python" -m compileall -q -j 0 -x '/test_' tidings tests tools >/dev/null || true
say "Done. Activate it: . $VENV/bin/activate"
