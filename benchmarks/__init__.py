"""Side by side with the peers, in one process, behind a check of the results."""
