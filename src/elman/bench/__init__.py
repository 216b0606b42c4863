"""The benchmark: Elman beside its peers in one process, and against the machine's limit.

A contest is one piece of work, ours and the peers'. Results are compared before anything is timed; a case in which they
differ gets no time. Times are taken in alternating pairs.
"""
