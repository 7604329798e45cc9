"""Work pools and the heartbeats of their runs; light to import, for the command line."""

CPU_POOL = "lsdc-cpu"
GPU_POOL = "lsdc-gpu"
# The interval of a run's heartbeats (Prefect's minimum).
HEARTBEAT_SECONDS = 30
# A run without a heartbeat for this long is dead. Workers and runs retry an absent server for four
# minutes: live ones must have sent a heartbeat before this ends.
ZOMBIE_SECONDS = 300
