# Functions that set up what the project needs; sourced by the other scripts.

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# The first Python of at least 3.11 that can make virtual environments.
find_python() {
    local python
    for python in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$python"
            return
        fi
    done
    fail "Python 3.11 or later is needed; on Debian: apt-get install python3 python3-venv"
}

# make_environment FOLDER [EXTRA]: a virtual environment with the project installed in it as it
# stands in this checkout. Made anew only when what it is made of has changed.
make_environment() {
    local folder=$1 extra=${2:-} python stamp built compiler
    built=(pyproject.toml scripts/build_hook.py peer/connection/aiortc_seam/burst.c)
    python=$(find_python)
    compiler=$(command -v "${CC:-cc}") || compiler="no C compiler"
    stamp="$("$python" --version) $extra $compiler $(cat "${built[@]}" | sha256sum | cut -d' ' -f1)"
    if [ -f "$folder/stamp" ] && [ "$(cat "$folder/stamp")" = "$stamp" ]; then return; fi
    say "installing into $folder"
    rm -rf "$folder"
    "$python" -m venv "$folder" 2>/dev/null || {
        rm -rf "$folder"
        install_packages "Python's venv module" python3-venv
        "$python" -m venv "$folder" || fail "can't make a virtual environment with $python"
    }
    "$folder/bin/pip" install --quiet --disable-pip-version-check --editable ".${extra:+[$extra]}" \
        || fail "the installation of the project's dependencies failed (see above)"
    [ "$compiler" != "no C compiler" ] \
        || say "no C compiler: many viewers will cost more than they need (Debian: gcc)"
    printf '%s\n' "$stamp" > "$folder/stamp"
}

# install_packages PURPOSE PACKAGE…: Debian packages, where this user may install them.
# Returns 1, having said what is missing, where that is not possible.
install_packages() {
    local purpose=$1 package missing=()
    shift
    command -v dpkg-query >/dev/null || { say "$purpose: not a Debian system; wanted: $*"; return 1; }
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] \
            || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        say "$purpose: needs root to install: apt-get install ${missing[*]}"
        return 1
    fi
    say "$purpose: installing ${missing[*]}"
    # Another package manager may be at work on a machine that has just started; and of these calls,
    # which may be made side by side, one at a time.
    {
        flock 9
        { [ -n "${packages_known:-}" ] || apt-get -q -o DPkg::Lock::Timeout=120 update >/dev/null; } \
            && DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 install \
                --no-install-recommends "${missing[@]}" >/dev/null \
            || { say "$purpose: could not install ${missing[*]}"; return 1; }
    } 9< pyproject.toml
    packages_known=yes
}
