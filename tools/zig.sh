# For tools/build and tools/wheels, which source it from the repository's root. Sets python and zig, and puts cmake and
# ninja on PATH: those of the environment of PYTHON, .venv/bin/python if not set.
python=$("${PYTHON:-.venv/bin/python}" -c 'import sys; print(sys.executable)')
zig=$("$python" -c 'import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), "zig"))') || {
    echo "no ziglang in the environment of $python: tools/venv makes one that has it" >&2
    exit 1
}
PATH=$("$python" -c 'import sysconfig; print(sysconfig.get_path("scripts"))'):$PATH
