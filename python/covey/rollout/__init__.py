"""The pure core of a rollout: spec, state machine, verdicts, decide() and replay.

Nothing here does I/O, reads a clock or draws a random number: what happens next is a function of the journal and of the
evidence that is handed in, so every decision can be made again from the journal.

    statement   the language of criteria and triggers
    spec        YAML to RolloutSpec and back, defaults, findings
    state       the fold over journal entries, and what is legal when
    commands    the operator's verbs as entries
    verdicts    what the gates say now
    decide      one tick
    resource    the state as the Rollout message
    explain     one sentence per verdict
    replay      a journal decided again
    rehearsal   decide() in virtual time; sample_replay and other_gates feed it counters and journals
"""
