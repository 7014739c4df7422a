"""OpenAI Responses. See `support.scripted_model`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

from support.model_shape import Event, args_text, known_role, new_id, openai_error, pieces, text_of, tools_by_name
from support.model_values import Asked, BadRequest, Call, Message, Refuse, Reply, Result, Say


class Responses:
    """OpenAI Responses."""

    error = staticmethod(openai_error)

    def error_event(self, status: int, message: str, code: str | None) -> Event:
        told = {"code": code or ("server_error" if status >= 500 else "rate_limit_exceeded"), "message": message}
        response = {"id": new_id("resp"), "object": "response", "status": "failed", "output": [], "error": told}
        return Event({"type": "response.failed", "sequence_number": 99, "response": response}, "response.failed")

    def read(self, body: dict[str, Any], headers: dict[str, str]) -> Asked:
        if body.get("previous_response_id"):
            raise BadRequest(f"Previous response with id {body['previous_response_id']!r} not found.")
        told = body["input"]
        items = [{"role": "user", "content": told}] if isinstance(told, str) else told
        system = [body.get("instructions") or ""]
        messages: list[Message] = []
        calls: dict[str, bool] = {}  # id → has a result
        for item in items:
            kind = item.get("type", "message")
            if kind == "message":
                role = known_role(item["role"], ("system", "developer", "user", "assistant"))
                text = text_of(item["content"])
                if role in ("system", "developer"):
                    system.append(text)
                else:
                    messages.append(Message(role, text))
            elif kind in ("function_call", "custom_tool_call"):
                args = json.loads(item["arguments"]) if kind == "function_call" else item["input"]
                calls[item["call_id"]] = False
                messages.append(Message("assistant", calls=(Call(item["name"], args, item["call_id"]),)))
            elif kind in ("function_call_output", "custom_tool_call_output"):
                if item["call_id"] not in calls:
                    raise BadRequest(f"No tool call found for function call output with call_id {item['call_id']}.")
                calls[item["call_id"]] = True
                output = item["output"]
                text = output if isinstance(output, str) else text_of(output)
                messages.append(Message("tool", results=(Result(item["call_id"], text),)))
        missing = [call for call, is_answered in calls.items() if not is_answered]
        if missing:
            raise BadRequest(f"No tool output found for function call {missing[0]}.")
        wanted = (body.get("text") or {}).get("format") or {}
        return Asked(
            "responses", body["model"], "\n".join(filter(None, system)), tuple(messages),
            tools_by_name(self._offered(body.get("tools") or ())), wanted.get("schema"), bool(body.get("stream")), headers, body,
        )  # fmt: skip

    def _offered(self, tools: Iterable[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Tools that the service itself runs (`web_search`) go by their type; those of a namespace by their own name."""
        for tool in tools:
            if tool["type"] == "namespace":
                yield from self._offered(tool["tools"])
            else:
                yield tool.get("name") or tool["type"], tool.get("parameters") or {}

    def _item(self, part: Say | Call | Refuse, asked: Asked) -> dict[str, Any]:
        if isinstance(part, Call):
            call = {"id": new_id("fc"), "call_id": part.id or new_id("call"), "name": part.name, "status": "completed"}
            for tool in asked.raw.get("tools") or ():
                if tool.get("type") == "custom" and tool.get("name") == part.name:
                    text = part.args if isinstance(part.args, str) else str(part.args["input"])
                    return {"type": "custom_tool_call", **call, "input": text}
                if tool.get("type") == "namespace" and any(inner.get("name") == part.name for inner in tool["tools"]):
                    call["namespace"] = tool["name"]
            return {"type": "function_call", **call, "arguments": args_text(part)}
        if isinstance(part, Say):
            content: dict[str, Any] = {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}
        else:
            content = {"type": "refusal", "refusal": part.text}
        return {
            "type": "message",
            "id": new_id("msg"),
            "status": "completed",
            "role": "assistant",
            "content": [content],
        }

    def _response(self, reply: Reply, asked: Asked, output: list[dict[str, Any]], response_id: str) -> dict[str, Any]:
        tokens_in, tokens_out = reply.usage
        reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
        reason = reasons.get(reply.why())
        return {
            "id": response_id,
            "object": "response",
            "created_at": 1,
            "status": "incomplete" if reason else "completed",
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": None,
            "metadata": {},
            "model": reply.model or asked.model,
            "output": output,
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "top_p": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": tokens_in,
                "input_tokens_details": {"cached_tokens": reply.cached},
                "output_tokens": tokens_out,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": tokens_in + tokens_out,
            },
        }

    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]:
        return self._response(reply, asked, [self._item(part, asked) for part in reply.all_parts()], new_id("resp"))

    def stream(self, reply: Reply, asked: Asked) -> Iterator[Event]:
        number = itertools.count()

        def event(kind: str, *, is_token: bool = False, **fields: Any) -> Event:
            return Event({"type": kind, "sequence_number": next(number), **fields}, kind, is_token)

        response_id = new_id("resp")
        begun = {**self._response(reply, asked, [], response_id), "status": "in_progress", "usage": None}
        yield event("response.created", response=begun)
        yield event("response.in_progress", response=begun)
        output = []
        for index, part in enumerate(reply.all_parts()):
            item = self._item(part, asked)
            output.append(item)
            at = {"item_id": item["id"], "output_index": index}
            empty = {"content": []} if item["type"] == "message" else {}
            field = {"function_call": "arguments", "custom_tool_call": "input"}.get(item["type"])
            if field:
                empty = {field: ""}
            yield event(
                "response.output_item.added", output_index=index, item={**item, **empty, "status": "in_progress"}
            )
            if field:
                kind = "function_call_arguments" if field == "arguments" else "custom_tool_call_input"
                for piece in pieces(item[field]):
                    yield event(f"response.{kind}.delta", delta=piece, **at)
                yield event(f"response.{kind}.done", **{field: item[field]}, **at)
            else:
                yield from self._content(item["content"][0], {**at, "content_index": 0}, event)
            yield event("response.output_item.done", output_index=index, item=item)
        whole = self._response(reply, asked, output, response_id)
        yield event(f"response.{whole['status']}", response=whole)

    @staticmethod
    def _content(content: dict[str, Any], at: dict[str, Any], event: Any) -> Iterator[Event]:
        field = "text" if content["type"] == "output_text" else "refusal"
        yield event("response.content_part.added", part={**content, field: ""}, **at)
        more = {"logprobs": []} if field == "text" else {}
        for piece in pieces(content[field]):
            yield event(f"response.{content['type']}.delta", is_token=True, delta=piece, **more, **at)
        yield event(f"response.{content['type']}.done", **{field: content[field]}, **more, **at)
        yield event("response.content_part.done", part=content, **at)
