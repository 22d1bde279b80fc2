# For tools/build and tools/wheels, which source it from the repository's root. Sets zig and python, and puts cmake and
# ninja on PATH: those of the environment of PYTHON, .venv/bin/python if not set.
# shellcheck shell=sh
python=$("${PYTHON:-.venv/bin/python}" -c 'import sys; print(sys.executable)') || {
    echo "tools/venv makes .venv; PYTHON=/path/to/python names another environment" >&2
    exit 1
}
zig=$("$python" -c 'import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), "zig"))') || {
    echo "no ziglang in the environment of $python: tools/venv makes one that has it" >&2
    exit 1
}
PATH=$("$python" -c 'import sysconfig; print(sysconfig.get_path("scripts"))'):$PATH

# Sets what CMake needs for a processor: python, the Python to build for; include, its headers if CMake would not find
# them; folder, where to build. Whoever else builds there waits.
# usage: build_for PROCESSOR
build_for() {
    include=
    if [ "$1" != "$(uname -m)" ]; then
        [ "$1" = aarch64 ] || { echo "nothing can be built here for $1" >&2; exit 2; }
        include=$(tools/arm printenv DWCA_ARM_INCLUDE)
        python=${include%/include}/bin/python
    fi
    folder=build/native/$1-$("$python" -c 'import sys; print(sys.implementation.cache_tag)')
    mkdir -p "$folder"
    exec 9> "$folder/lock"
    flock 9
}
