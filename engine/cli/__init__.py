"""The `pawl` command: one file a command group. The only place that imports click, and rich only while a person looks.

Nothing here decides anything about a run: bodies call the public API and print what it says.
"""
