"""Made-up courses whose learners leave for reasons that can be seen."""

from __future__ import annotations

import numpy as np

from covey import Events

DAY_US = 86_400_000_000
START_US = 1_767_571_200_000_000


def course(learners: int = 400, days: int = 120, seed: int = 0, leaving: float = 0.02) -> Events:
    """Learners whose activity fades for some days before they leave for good."""
    random = np.random.default_rng(seed)
    learner, time, topic = [], [], []
    for number in range(learners):
        rate = float(random.uniform(0.1, 0.8))
        end = min(int(random.geometric(leaving)) + 10, 10_000)
        fading = int(random.integers(0, 28))
        for day in range(int(random.integers(0, 6)), min(days, end)):
            chance = rate * (0.3 if end - day <= fading else 1.0)
            if random.random() < chance:
                for _ in range(int(random.integers(1, 5))):
                    learner.append(number)
                    time.append(START_US + day * DAY_US + int(random.integers(0, DAY_US)))
                    topic.append(int(random.integers(0, 6)))
    return Events.from_numpy(np.array(learner), np.array(time), topic, topic, time_unit="us")
