"""The paper's tables and figures as grids of runs: planned, run, resumed, and printed beside the paper's cells."""
