"""Pawl inside other agents: what `pawl mcp` serves, and the skill that tells an agent how to use it.

Nothing here decides what a person decides: permissions, caps and a large run are settled when the server starts
(`terms.py`). Nothing here drives a run either: runs are processes of their own (`launching.py`), so that no client and
no death of the server ends one.
"""
