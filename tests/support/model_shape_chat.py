"""OpenAI Chat Completions. See `support.scripted_model`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from support.model_shape import Event, args_text, known_role, new_id, openai_error, pieces, text_of, tools_by_name
from support.model_values import Asked, BadRequest, Call, Message, Refuse, Reply, Result, Say


class Chat:
    """OpenAI Chat Completions."""

    error = staticmethod(openai_error)

    def error_event(self, status: int, message: str, code: str | None) -> Event:
        return Event(openai_error(status, message, code))

    def read(self, body: dict[str, Any], headers: dict[str, str]) -> Asked:
        if not body.get("messages"):
            raise BadRequest("Missing required parameter: 'messages'.")
        system: list[str] = []
        messages: list[Message] = []
        waiting: list[str] = []  # ids of calls without a result
        for told in body["messages"]:
            role = known_role(told["role"], ("system", "developer", "user", "assistant", "tool"))
            if role == "tool":
                if told.get("tool_call_id") not in waiting:
                    raise BadRequest(
                        "messages with role 'tool' must be a response to a preceding message with 'tool_calls': "
                        f"{told.get('tool_call_id')!r}"
                    )
                waiting.remove(told["tool_call_id"])
                messages.append(Message("tool", results=(Result(told["tool_call_id"], text_of(told["content"])),)))
                continue
            self._check_answered(waiting)
            if role in ("system", "developer"):
                system.append(text_of(told["content"]))
                continue
            calls = tuple(
                Call(call["function"]["name"], json.loads(call["function"]["arguments"]), call["id"])
                for call in told.get("tool_calls") or ()
            )
            waiting = [str(call.id) for call in calls]
            if role == "assistant" and not calls and told.get("content") is None and told.get("refusal") is None:
                raise BadRequest("Invalid value for 'content': expected a string, got null.")
            messages.append(Message(role, text_of(told.get("content")), calls))
        self._check_answered(waiting)
        wanted = body.get("response_format") or {}
        tools = (
            (tool["function"]["name"], tool["function"].get("parameters") or {}) for tool in body.get("tools") or ()
        )
        schema = wanted.get("json_schema", {}).get("schema") if wanted.get("type") == "json_schema" else None
        return Asked(
            "chat", body["model"], "\n".join(system), tuple(messages), tools_by_name(tools), schema,
            bool(body.get("stream")), headers, body,
        )  # fmt: skip

    @staticmethod
    def _check_answered(waiting: list[str]) -> None:
        if waiting:
            raise BadRequest(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}"
            )

    def _usage(self, reply: Reply) -> dict[str, Any]:
        tokens_in, tokens_out = reply.usage
        details = {"cached_tokens": reply.cached}
        total = tokens_in + tokens_out
        return {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": total,
            "prompt_tokens_details": details,
        }

    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]:
        parts = reply.all_parts()
        texts = [part.text for part in parts if isinstance(part, Say)]
        message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None, "refusal": None}
        for part in parts:
            if isinstance(part, Refuse):
                message["refusal"] = part.text
        calls = [self._call(part) for part in parts if isinstance(part, Call)]
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "finish_reason": reply.why(), "logprobs": None}
        return {
            "id": new_id("chatcmpl"),
            "object": "chat.completion",
            "created": 1,
            "model": reply.model or asked.model,
            "choices": [choice],
            "usage": self._usage(reply),
        }

    def _call(self, part: Call) -> dict[str, Any]:
        return {
            "id": part.id or new_id("call"),
            "type": "function",
            "function": {"name": part.name, "arguments": args_text(part)},
        }

    def stream(self, reply: Reply, asked: Asked) -> Iterator[Event]:
        frame = {
            "id": new_id("chatcmpl"),
            "object": "chat.completion.chunk",
            "created": 1,
            "model": reply.model or asked.model,
        }
        is_counted = bool((asked.raw.get("stream_options") or {}).get("include_usage"))
        rest = {"usage": None} if is_counted else {}

        def chunk(delta: dict[str, Any], finish: str | None = None, *, is_token: bool = False) -> Event:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return Event({**frame, "choices": [choice], **rest}, is_token=is_token)

        yield chunk({"role": "assistant", "content": ""})
        index = 0
        for part in reply.all_parts():
            if isinstance(part, Call):
                whole = self._call(part)
                yield chunk(
                    {"tool_calls": [{"index": index, **whole, "function": {"name": part.name, "arguments": ""}}]}
                )
                for piece in pieces(whole["function"]["arguments"]):
                    yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
                index += 1
            else:
                key = "content" if isinstance(part, Say) else "refusal"
                for piece in pieces(part.text):
                    yield chunk({key: piece}, is_token=True)
        yield chunk({}, reply.why())
        if is_counted:
            yield Event({**frame, "choices": [], "usage": self._usage(reply)})
        yield Event("[DONE]")
