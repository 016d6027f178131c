"""Coverage-guided fuzzing of every parser that sees a device's or a vendor's bytes (`python3 -m tests.fuzz --help`).

``targets/`` holds one module for each parser, with ``check(data)``: it returns for input that is handled as documented and
raises for any other. ``corpus/TARGET/`` holds inputs that are worth trying again; a test replays them without a fuzzer.
"""
