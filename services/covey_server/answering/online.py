"""Plain questions and their answers without messages in between: from the bytes that came to the bytes that go.

A question is plain when all of it is packed columns with values in their ranges. The core reads such questions where
they lie and writes the answers; everything else, and every error, is the business of the generated messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from covey import _core
from covey.v1 import analyzer_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from numpy.typing import NDArray

    from covey.parameters import TraitParameters
    from covey.v1 import cohorts_pb2

Question = _core.LearnerQuestion | analyzer_pb2.AnalyzeLearnerRequest
"""A question as it was read: plain, or as its message. Both have `learner_id` and `segment`."""

_TOKEN_TAG = bytes([analyzer_pb2.AnalyzeLearnerResponse.EXPOSURE_TOKEN_FIELD_NUMBER << 3 | 2])


def read_question(message: bytes) -> Question:
    """The question of an AnalyzeLearnerRequest.

    Raises:
        DecodeError: it is no such message.
    """
    return _core.read_question(message) or analyzer_pb2.AnalyzeLearnerRequest.FromString(message)


def read_questions(message: bytes) -> _core.LearnerQuestions | analyzer_pb2.AnalyzeLearnersRequest:
    """The questions of an AnalyzeLearnersRequest.

    Raises:
        DecodeError: it is no such message.
    """
    questions = _core.read_questions(message)
    if questions is None:
        return analyzer_pb2.AnalyzeLearnersRequest.FromString(message)
    for position in questions.other_positions():
        analyzer_pb2.AnalyzeLearnerRequest.FromString(questions.message(position))  # raises for one that is none
    return questions


def as_message(question: Question) -> analyzer_pb2.AnalyzeLearnerRequest:
    """The question as its message."""
    if isinstance(question, _core.LearnerQuestion):
        return analyzer_pb2.AnalyzeLearnerRequest.FromString(question.message)
    return question


def written(response: Message | bytes) -> bytes:
    """The bytes of a response, which the core may have written already."""
    return response if isinstance(response, bytes) else response.SerializeToString()


def with_token(answer: bytes, token: str) -> bytes:
    """An AnalyzeLearnerResponse without a token, with it: its field is the last one."""
    return answer + _TOKEN_TAG + bytes([len(token)]) + token.encode() if token else answer


def online_analyzer(
    variant: str,
    parameters: TraitParameters,
    model: cohorts_pb2.CohortModel | None,
    scale: NDArray[np.float32],
    centroids: NDArray[np.float32],
) -> _core.OnlineAnalyzer:
    """What answers for a variant of the native engine.

    Args:
        variant: name of the variant.
        parameters: of the trait definitions.
        model: whose cohorts answers name.
        scale: shape (5,), of the traits.
        centroids: shape (k, 5), of the scaled traits; k = 0 without a model.
    """
    answer = analyzer_pb2.AnalyzeLearnerResponse
    tails = [answer(variant=variant)]
    if model is not None:
        tails = [answer(cohort=cohort, cohort_model=model.name, variant=variant) for cohort in model.cohorts]
    return _core.OnlineAnalyzer(
        _core.TraitParameters(**parameters.to_keywords()),
        scale,
        centroids,
        [tail.SerializeToString() for tail in tails],
    )
