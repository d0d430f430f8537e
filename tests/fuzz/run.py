"""One decoder under atheris: `python -m tests.fuzz.run NAME CORPUS [libFuzzer options]`; see `make fuzz`."""

from __future__ import annotations

import sys

import atheris

# The finder of packages that are installed to be edited stands first, and would hide them from the instrumentation.
sys.meta_path.sort(key=lambda finder: type(finder).__module__.startswith("_editable"))
with atheris.instrument_imports(include=["covey", "covey_server", "covey_controller"]):
    from tests.fuzz.decoders import DECODERS


def main() -> None:
    """Fuzzes until the time is over; what does not hold ends the program, and libFuzzer keeps the input."""
    decoder = DECODERS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, decoder)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
