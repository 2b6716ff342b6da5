"""The command lines: parse, call, print. Nothing is decided here."""
