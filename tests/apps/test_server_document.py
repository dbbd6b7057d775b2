"""The server's description of itself: whatever it allows or forbids is answered as it says."""

from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import APIOperation, BaseSchema, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.apps.serving import QUESTION, running

ROUTES = 7  # that the description has
EXAMPLES = 8  # of each route, of what it allows and of what it forbids
# what this server allows less of than its description, and what names tokens of another vocabulary
LIMITED = ("max_tokens", "max_completion_tokens", "n", "best_of", "logit_bias")
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    negative_data_rejection,
]  # fmt: skip


@pytest.fixture(scope="module")
def document(session) -> Iterator[BaseSchema]:
    # a limit that is told to clients takes the place of patience: this model never ends by itself
    with running(session, max_answer=3, max_batch=8, max_waiting=256) as url:
        described = httpx.get(f"{url}/openapi.json").json()
        for operation in (each for path in described["paths"].values() for each in path.values()):
            operation.pop("security", None)  # of servers that have keys; this one has none
        schema = schemathesis.openapi.from_dict(described)
        schema.config.update(base_url=url)
        yield schema


def try_out(operation: APIOperation, mode: GenerationMode, good: dict | None = None) -> list[int]:
    """The status of every answer, each as the description says; `good` takes the place of what was drawn."""
    statuses = []

    @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(mode))
    def tried(case: Case) -> None:
        if good:
            case.body = {name: value for name, value in case.body.items() if name not in LIMITED} | good
        statuses.append(case.call_and_validate(checks=CHECKS).status_code)

    tried()
    return statuses


@pytest.mark.slow
@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_no_request_that_anybody_can_think_of_is_a_server_error(document, mode):
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) == ROUTES
    for operation in operations:
        # a path takes any text: only a body can be wrong
        if mode is GenerationMode.POSITIVE or operation.body:
            assert try_out(operation, mode)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("/v1/chat/completions", {"model": "demo", "messages": QUESTION}),
        ("/v1/completions", {"model": "demo", "prompt": "The red circle", "max_tokens": 2}),
    ],
)
def test_a_good_question_is_answered_whatever_the_settings_or_they_are_refused(document, path, good):
    statuses = try_out(document[path]["POST"], GenerationMode.POSITIVE, good)
    assert set(statuses) <= {200, 400} and 200 in statuses
