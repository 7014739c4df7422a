"""Anthropic Messages. See `support.scripted_model`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from support.model_shape import Event, args_text, known_role, new_id, pieces, text_of, tools_by_name
from support.model_values import Asked, BadRequest, Call, Message, Refuse, Reply, Result, Say


class Messages:
    """Anthropic Messages."""

    _KINDS: Mapping[int, str] = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        529: "overloaded_error",
    }

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        kind = code or self._KINDS.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_scripted"}

    def error_event(self, status: int, message: str, code: str | None) -> Event:
        return Event(self.error(status, message, code), "error")

    def read(self, body: dict[str, Any], headers: dict[str, str]) -> Asked:
        if "anthropic-version" not in headers:
            raise BadRequest("anthropic-version: header is required")
        if not isinstance(body.get("max_tokens"), int):
            raise BadRequest("max_tokens: Field required")
        system = [text_of(body.get("system"))]
        messages: list[Message] = []
        waiting: list[str] = []
        for number, told in enumerate(body["messages"]):
            role = known_role(told["role"], ("user", "assistant", "system"))
            blocks = told["content"]
            blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
            if role == "system":
                system.append(text_of(blocks))
                continue
            if not messages and role != "user":
                raise BadRequest('messages: first message must use the "user" role')
            self._check_texts(blocks, number)
            results = self._results(blocks, waiting, number)
            waiting = []
            if results:
                messages.append(Message("tool", results=results))
            calls = tuple(
                Call(block["name"], block["input"], block["id"]) for block in blocks if block["type"] == "tool_use"
            )
            waiting = [str(call.id) for call in calls]
            text = text_of([block for block in blocks if block["type"] == "text"])
            if text or calls or not results:
                messages.append(Message(role, text, calls))
        if not messages:
            raise BadRequest("messages: at least one message is required")
        if waiting:
            raise BadRequest(self._unanswered(waiting, len(body["messages"])))
        wanted = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
        tools = ((tool["name"], tool.get("input_schema") or {}) for tool in body.get("tools") or ())
        return Asked(
            "messages", body["model"], "\n".join(filter(None, system)), tuple(messages), tools_by_name(tools),
            wanted.get("schema"), bool(body.get("stream")), headers, body,
        )  # fmt: skip

    @staticmethod
    def _unanswered(waiting: list[str], number: int) -> str:
        return (
            f"messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(waiting)}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
        )

    @staticmethod
    def _check_texts(blocks: list[dict[str, Any]], number: int) -> None:
        for block in blocks:
            if block["type"] == "text" and not block["text"]:
                raise BadRequest(f"messages.{number}: text content blocks must be non-empty")

    def _results(self, blocks: list[dict[str, Any]], waiting: list[str], number: int) -> tuple[Result, ...]:
        results = []
        for block in blocks:
            if block["type"] != "tool_result":
                continue
            if block["tool_use_id"] not in waiting:
                raise BadRequest(
                    f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: {block['tool_use_id']}. "
                    "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
            waiting.remove(block["tool_use_id"])
            results.append(Result(block["tool_use_id"], text_of(block.get("content")), bool(block.get("is_error"))))
        if waiting:
            raise BadRequest(self._unanswered(waiting, number))
        return tuple(results)

    def _usage(self, reply: Reply) -> dict[str, Any]:
        return {
            "input_tokens": reply.usage[0] - reply.cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": reply.cached,
            "output_tokens": reply.usage[1],
        }

    @staticmethod
    def _block(part: Say | Call | Refuse) -> dict[str, Any]:
        if isinstance(part, Call):
            args = json.loads(part.args) if isinstance(part.args, str) else dict(part.args)
            return {"type": "tool_use", "id": part.id or new_id("toolu"), "name": part.name, "input": args}
        return {"type": "text", "text": part.text}

    @staticmethod
    def _why(reply: Reply) -> str:
        if any(isinstance(part, Refuse) for part in reply.all_parts()):
            return "refusal"
        reasons = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"}
        return reasons.get(reply.why(), reply.why())

    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]:
        return {
            "id": new_id("msg"),
            "type": "message",
            "role": "assistant",
            "model": reply.model or asked.model,
            "content": [self._block(part) for part in reply.all_parts()],
            "stop_reason": self._why(reply),
            "stop_sequence": None,
            "usage": self._usage(reply),
        }

    def stream(self, reply: Reply, asked: Asked) -> Iterator[Event]:
        def event(kind: str, *, is_token: bool = False, **fields: Any) -> Event:
            return Event({"type": kind, **fields}, kind, is_token)

        usage = self._usage(reply)
        begun = {
            **self.whole(Reply(model=reply.model), asked),
            "stop_reason": None,
            "usage": {**usage, "output_tokens": 1},
        }
        yield event("message_start", message=begun)
        yield event("ping")
        for index, part in enumerate(reply.all_parts()):
            if isinstance(part, Call):
                args = args_text(part)
                block = {"type": "tool_use", "id": part.id or new_id("toolu"), "name": part.name, "input": {}}
                yield event("content_block_start", index=index, content_block=block)
                for piece in pieces(args):
                    delta = {"type": "input_json_delta", "partial_json": piece}
                    yield event("content_block_delta", index=index, delta=delta)
            else:
                yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
                for piece in pieces(part.text):
                    delta = {"type": "text_delta", "text": piece}
                    yield event("content_block_delta", is_token=True, index=index, delta=delta)
            yield event("content_block_stop", index=index)
        yield event("message_delta", delta={"stop_reason": self._why(reply), "stop_sequence": None}, usage=usage)
        yield event("message_stop")
