"""What `pawl runs --json` and `pawl show --json` print: the members that docs/cli.md promises. Pure."""

from __future__ import annotations

import hashlib

from engine import history
from engine.history import Reading, parsed
from engine.values import CallKind, Json, Outcome, RunInfo, VersionInfo


def listed(info: RunInfo) -> dict[str, Json]:
    """One run in `pawl runs --json`."""
    return {
        "run_id": info.run_id,
        "name": info.name,
        "project": info.project,
        "status": str(info.status),
        "versions": info.versions,
        "created_at": info.created_at,
        "degraded": info.degraded,
        "agents": info.agents,
        "run_usage": info.paid.to_json(),
        "active_seconds": info.active_ms / 1000,
        "owner": info.owner,
    }


def shown(reading: Reading, *, with_calls: bool) -> dict[str, Json]:
    """`pawl show --json`. Every null, failure and refusal is in `nulls` with its reason, whatever `with_calls` says."""
    views, told = history.calls(reading), history.result(reading)
    out: dict[str, Json] = {
        **listed(reading.info),
        **told.to_json(),
        "versions": [_listed_version(reading, version) for version in reading.versions],
        "reasons": history.reasons(reading, views),
        "nulls": [
            {
                "call": v.call,
                "label": v.label,
                "title": v.title,
                "kind": v.kind,
                "outcome": v.outcome,
                "reason": v.reason,
            }
            for v in views
            if v.outcome in (Outcome.NULL, Outcome.FAILED, Outcome.REFUSED)
        ],
        "waiting": [
            {"call": v.call, "question": v.content.get("question"), "choices": v.content.get("choices")}
            for v in views
            if v.outcome == "waiting" or (v.kind == CallKind.ASK and v.outcome == "interrupted")
        ],
        "args": parsed(reading.version.args) if reading.version.args is not None else None,
        "has_args": reading.version.args is not None,
        "caps": history.caps(reading.version),
        "settings": reading.version.settings,
        "permissions": list(reading.version.permissions),
        "engine": reading.version.engine,
        "meta": reading.version.meta,
        "script": _script(reading.version),
        "worktrees": history.worktrees(reading),
        "workflows": [
            {
                "ref": parsed(load.ref.encode()),
                "name": load.name or None,
                "path": load.path or None,
                "sha256": hashlib.sha256(load.script).hexdigest() if load.script else None,
                "error": parsed(load.error),
            }
            for load in reading.loads
        ],
    }
    if with_calls:
        out["calls"] = [view.to_json() for view in views]
    return out


def _script(version: VersionInfo) -> dict[str, Json]:
    return {
        "path": version.script_path,
        "sha256": hashlib.sha256(version.script).hexdigest(),
        "bytes": len(version.script),
    }


def _listed_version(reading: Reading, version: VersionInfo) -> dict[str, Json]:
    end, one = version.end, _of_version(reading, version)
    return {
        "version": version.version,
        "status": str(one.status),
        "started_at": version.started_at,
        "ended_at": end.ended_at if end else None,
        "script_sha256": hashlib.sha256(version.script).hexdigest(),
        "degraded": end.degraded if end else None,
        "agents": end.counts if end else None,
        "usage": end.usage.to_json() if end else None,
    }


def _of_version(reading: Reading, version: VersionInfo) -> Reading:
    return Reading(info=reading.info, version=version, versions=reading.versions, is_driven=reading.is_driven)
