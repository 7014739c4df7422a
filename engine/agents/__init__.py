"""Backends: who answers an `agent()` call. `registry` opens them by name; each is imported when it is used."""
