"""How three services word requests, answers, streams and errors. See `support.scripted_model`."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from support.model_values import Asked, BadRequest, Call, Message, Refuse, Reply, Result, Say

_IDS = itertools.count(1)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}\Z")
_PIECES = 3
"""A text or a call's arguments come in at least so many pieces when there is that much of it."""


@dataclass(frozen=True)
class Event:
    """One server-sent event; `is_token` when it carries a piece of text."""

    data: dict[str, Any] | str
    name: str | None = None
    is_token: bool = False

    def encode(self) -> bytes:
        data = self.data if isinstance(self.data, str) else json.dumps(self.data)
        return ((f"event: {self.name}\n" if self.name else "") + f"data: {data}\n\n").encode()


class Shape(Protocol):
    def read(self, body: dict[str, Any], headers: dict[str, str]) -> Asked: ...
    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]: ...
    def stream(self, reply: Reply, asked: Asked) -> Iterator[Event]: ...
    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]: ...
    def error_event(self, status: int, message: str, code: str | None) -> Event: ...


def _id(prefix: str) -> str:
    return f"{prefix}_{next(_IDS):06}"


def _pieces(text: str) -> list[str]:
    words = re.findall(r"\S*\s*", text)[:-1] if " " in text else []
    if len(words) >= _PIECES:
        return words
    size = max(1, -(-len(text) // _PIECES))
    return [text[at : at + size] for at in range(0, len(text), size)]


def _args(call: Call) -> str:
    return call.args if isinstance(call.args, str) else json.dumps(call.args)


def _text(content: Any) -> str:
    """The words of a content in any of the forms that the services take."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(str(part.get("text") or part.get("refusal") or "") for part in content if isinstance(part, dict))


def _tools(pairs: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for name, schema in pairs:
        if not _TOOL_NAME.match(name):
            raise BadRequest(f"Invalid tool name {name!r}: expected {_TOOL_NAME.pattern}")
        if name in out:
            raise BadRequest(f"Tool names must be unique: {name!r}")
        out[name] = schema
    return out


def _known(role: str, roles: Sequence[str]) -> str:
    if role not in roles:
        raise BadRequest(f"Invalid role {role!r}: expected one of {', '.join(roles)}")
    return role


def _openai_error(status: int, message: str, code: str | None) -> dict[str, Any]:
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(status, "invalid_request_error")
    kind = "server_error" if status >= 500 else "insufficient_quota" if code == "insufficient_quota" else kind
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class Chat:
    """OpenAI Chat Completions."""

    error = staticmethod(_openai_error)

    def error_event(self, status: int, message: str, code: str | None) -> Event:
        return Event(_openai_error(status, message, code))

    def read(self, body: dict[str, Any], headers: dict[str, str]) -> Asked:
        if not body.get("messages"):
            raise BadRequest("Missing required parameter: 'messages'.")
        system: list[str] = []
        messages: list[Message] = []
        waiting: list[str] = []  # ids of calls without a result
        for told in body["messages"]:
            role = _known(told["role"], ("system", "developer", "user", "assistant", "tool"))
            if role == "tool":
                if told.get("tool_call_id") not in waiting:
                    raise BadRequest(
                        "messages with role 'tool' must be a response to a preceding message with 'tool_calls': "
                        f"{told.get('tool_call_id')!r}"
                    )
                waiting.remove(told["tool_call_id"])
                messages.append(Message("tool", results=(Result(told["tool_call_id"], _text(told["content"])),)))
                continue
            self._check_answered(waiting)
            if role in ("system", "developer"):
                system.append(_text(told["content"]))
                continue
            calls = tuple(
                Call(call["function"]["name"], json.loads(call["function"]["arguments"]), call["id"])
                for call in told.get("tool_calls") or ()
            )
            waiting = [str(call.id) for call in calls]
            if role == "assistant" and not calls and told.get("content") is None and told.get("refusal") is None:
                raise BadRequest("Invalid value for 'content': expected a string, got null.")
            messages.append(Message(role, _text(told.get("content")), calls))
        self._check_answered(waiting)
        wanted = body.get("response_format") or {}
        tools = (
            (tool["function"]["name"], tool["function"].get("parameters") or {}) for tool in body.get("tools") or ()
        )
        schema = wanted.get("json_schema", {}).get("schema") if wanted.get("type") == "json_schema" else None
        return Asked(
            "chat", body["model"], "\n".join(system), tuple(messages), _tools(tools), schema,
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
            "id": _id("chatcmpl"),
            "object": "chat.completion",
            "created": 1,
            "model": reply.model or asked.model,
            "choices": [choice],
            "usage": self._usage(reply),
        }

    def _call(self, part: Call) -> dict[str, Any]:
        return {
            "id": part.id or _id("call"),
            "type": "function",
            "function": {"name": part.name, "arguments": _args(part)},
        }

    def stream(self, reply: Reply, asked: Asked) -> Iterator[Event]:
        frame = {
            "id": _id("chatcmpl"),
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
                for piece in _pieces(whole["function"]["arguments"]):
                    yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
                index += 1
            else:
                key = "content" if isinstance(part, Say) else "refusal"
                for piece in _pieces(part.text):
                    yield chunk({key: piece}, is_token=True)
        yield chunk({}, reply.why())
        if is_counted:
            yield Event({**frame, "choices": [], "usage": self._usage(reply)})
        yield Event("[DONE]")


class Responses:
    """OpenAI Responses."""

    error = staticmethod(_openai_error)

    def error_event(self, status: int, message: str, code: str | None) -> Event:
        told = {"code": code or ("server_error" if status >= 500 else "rate_limit_exceeded"), "message": message}
        response = {"id": _id("resp"), "object": "response", "status": "failed", "output": [], "error": told}
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
                role = _known(item["role"], ("system", "developer", "user", "assistant"))
                text = _text(item["content"])
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
                text = output if isinstance(output, str) else _text(output)
                messages.append(Message("tool", results=(Result(item["call_id"], text),)))
        missing = [call for call, is_answered in calls.items() if not is_answered]
        if missing:
            raise BadRequest(f"No tool output found for function call {missing[0]}.")
        wanted = (body.get("text") or {}).get("format") or {}
        return Asked(
            "responses", body["model"], "\n".join(filter(None, system)), tuple(messages),
            _tools(self._offered(body.get("tools") or ())), wanted.get("schema"), bool(body.get("stream")), headers, body,
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
            call = {"id": _id("fc"), "call_id": part.id or _id("call"), "name": part.name, "status": "completed"}
            for tool in asked.raw.get("tools") or ():
                if tool.get("type") == "custom" and tool.get("name") == part.name:
                    text = part.args if isinstance(part.args, str) else str(part.args["input"])
                    return {"type": "custom_tool_call", **call, "input": text}
                if tool.get("type") == "namespace" and any(inner.get("name") == part.name for inner in tool["tools"]):
                    call["namespace"] = tool["name"]
            return {"type": "function_call", **call, "arguments": _args(part)}
        if isinstance(part, Say):
            content: dict[str, Any] = {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}
        else:
            content = {"type": "refusal", "refusal": part.text}
        return {"type": "message", "id": _id("msg"), "status": "completed", "role": "assistant", "content": [content]}

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
        return self._response(reply, asked, [self._item(part, asked) for part in reply.all_parts()], _id("resp"))

    def stream(self, reply: Reply, asked: Asked) -> Iterator[Event]:
        number = itertools.count()

        def event(kind: str, *, is_token: bool = False, **fields: Any) -> Event:
            return Event({"type": kind, "sequence_number": next(number), **fields}, kind, is_token)

        response_id = _id("resp")
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
                for piece in _pieces(item[field]):
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
        for piece in _pieces(content[field]):
            yield event(f"response.{content['type']}.delta", is_token=True, delta=piece, **more, **at)
        yield event(f"response.{content['type']}.done", **{field: content[field]}, **more, **at)
        yield event("response.content_part.done", part=content, **at)


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
        system = [_text(body.get("system"))]
        messages: list[Message] = []
        waiting: list[str] = []
        for number, told in enumerate(body["messages"]):
            role = _known(told["role"], ("user", "assistant", "system"))
            blocks = told["content"]
            blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
            if role == "system":
                system.append(_text(blocks))
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
            text = _text([block for block in blocks if block["type"] == "text"])
            if text or calls or not results:
                messages.append(Message(role, text, calls))
        if not messages:
            raise BadRequest("messages: at least one message is required")
        if waiting:
            raise BadRequest(self._unanswered(waiting, len(body["messages"])))
        wanted = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
        tools = ((tool["name"], tool.get("input_schema") or {}) for tool in body.get("tools") or ())
        return Asked(
            "messages", body["model"], "\n".join(filter(None, system)), tuple(messages), _tools(tools),
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
            results.append(Result(block["tool_use_id"], _text(block.get("content")), bool(block.get("is_error"))))
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
            return {"type": "tool_use", "id": part.id or _id("toolu"), "name": part.name, "input": args}
        return {"type": "text", "text": part.text}

    @staticmethod
    def _why(reply: Reply) -> str:
        if any(isinstance(part, Refuse) for part in reply.all_parts()):
            return "refusal"
        reasons = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"}
        return reasons.get(reply.why(), reply.why())

    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]:
        return {
            "id": _id("msg"),
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
                args = _args(part)
                block = {"type": "tool_use", "id": part.id or _id("toolu"), "name": part.name, "input": {}}
                yield event("content_block_start", index=index, content_block=block)
                for piece in _pieces(args):
                    delta = {"type": "input_json_delta", "partial_json": piece}
                    yield event("content_block_delta", index=index, delta=delta)
            else:
                yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
                for piece in _pieces(part.text):
                    delta = {"type": "text_delta", "text": piece}
                    yield event("content_block_delta", is_token=True, index=index, delta=delta)
            yield event("content_block_stop", index=index)
        yield event("message_delta", delta={"stop_reason": self._why(reply), "stop_sequence": None}, usage=usage)
        yield event("message_stop")


SHAPES: dict[str, Shape] = {"/chat/completions": Chat(), "/responses": Responses(), "/messages": Messages()}
