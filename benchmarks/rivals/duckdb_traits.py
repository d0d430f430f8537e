"""The five traits in SQL, on DuckDB: reported beside the claims.

Right for rows in any order, ties included.
"""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa

from covey.parameters import TraitParameters

DAY_US = 86_400_000_000

SQL = """
WITH instants AS (
  SELECT learner_index, capability_index, time_us, count(*) * exp((time_us - $as_of) * $decay) AS weight
  FROM events GROUP BY learner_index, capability_index, time_us
), pairs AS (
  SELECT learner_index, ($as_of_day - min(time_us) // 86400000000) // 7 AS week,
    sum(weight) AS weight, arg_min(weight, time_us) AS first_weight
  FROM instants GROUP BY learner_index, capability_index
), weeks AS (
  SELECT learner_index, week, count(*) AS uses, sum(weight) AS weight, sum(first_weight) AS first_weight
  FROM pairs GROUP BY learner_index, week
), uses AS (
  SELECT learner_index, sum(weight) AS weight, sum(first_weight) AS first_weight,
    $alpha * sum(uses * pow(1 - $alpha, week))
      + (1 - $alpha) * arg_max(uses, week) * pow(1 - $alpha, max(week)) AS average
  FROM weeks GROUP BY learner_index
), domain_counts AS (
  SELECT learner_index, domain_index, count(*) AS uses FROM events GROUP BY ALL
), domains AS (
  SELECT learner_index, sum(uses) AS total, max(uses) AS top, count(*) AS used, sum(uses * log2(uses)) AS logarithms
  FROM domain_counts GROUP BY learner_index
), days AS (
  SELECT learner_index, count(DISTINCT time_us // 86400000000)
      FILTER (time_us // 86400000000 > $as_of_day - $window) AS days,
    count(*) FILTER (kind = 4) AS feedback, count(*) FILTER (kind = 4 AND action_taken = 1) AS acted
  FROM events GROUP BY learner_index
)
SELECT learner_index,
  average / (average + $kappa) AS learning_velocity,
  CASE WHEN used = 1 THEN 1.0
    ELSE top / total * (1 - $penalty * (log2(total) - logarithms / total) / log2(used)) END AS domain_affinity,
  days / $window AS interaction_frequency,
  (acted + 1) / (feedback + 2) AS feedback_responsiveness,
  1 - first_weight / weight AS retention_strength
FROM uses JOIN domains USING (learner_index) JOIN days USING (learner_index) ORDER BY learner_index
"""


def connect(columns: dict[str, Any], threads: int) -> duckdb.DuckDBPyConnection:
    """A database that holds the columns as the table `events`."""
    connection = duckdb.connect(config={"threads": threads})
    arriving = pa.table(columns)
    connection.register("arriving", arriving)
    connection.execute("CREATE TABLE events AS SELECT * FROM arriving")
    connection.unregister("arriving")
    return connection


def traits(connection: duckdb.DuckDBPyConnection, as_of_us: int) -> Any:
    """The five traits as NumPy arrays by name, one value per learner in order."""
    parameters = TraitParameters()
    values = {
        "as_of": as_of_us,
        "as_of_day": as_of_us // DAY_US,
        "decay": parameters.retention_decay_per_day / DAY_US,
        "alpha": parameters.velocity_alpha,
        "kappa": parameters.velocity_kappa,
        "penalty": parameters.affinity_entropy_penalty,
        "window": parameters.frequency_window_days,
    }
    return connection.execute(SQL, values).fetchnumpy()
