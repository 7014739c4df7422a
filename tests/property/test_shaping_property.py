"""The sample backend finds an answer for every schema that a script may use. jsonschema itself is the judge."""

from __future__ import annotations

from random import Random

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st
from support.schema_strategies import SCHEMAS

from engine.agents.shaping import example
from engine.schemas import check_schema, validator_for


@settings(max_examples=300)
@given(schema=SCHEMAS, seed=st.integers(0, 2**32))
def test_S21_sample_answers_fit_every_schema(schema: dict[str, object], seed: int) -> None:
    check_schema(schema)
    value = example(validator_for(schema), Random(seed))
    jsonschema.Draft202012Validator(schema).validate(value)
    assert example(validator_for(schema), Random(seed)) == value
