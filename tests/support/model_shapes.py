"""How three services word requests, answers, streams and errors, by the end of their address."""

from __future__ import annotations

from support.model_shape import Shape
from support.model_shape_chat import Chat
from support.model_shape_messages import Messages
from support.model_shape_responses import Responses

SHAPES: dict[str, Shape] = {"/chat/completions": Chat(), "/responses": Responses(), "/messages": Messages()}
