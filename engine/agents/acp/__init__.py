"""Coding agents over the Agent Client Protocol. See `backend.py`."""

from engine.agents.acp.backend import AcpBackend
from engine.agents.acp.programs import PROGRAMS, missing

__all__ = ["PROGRAMS", "AcpBackend", "missing"]
