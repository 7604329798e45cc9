"""The work pools and how their runs show that they live; light to import, for the command line."""

CPU_POOL = "lsdc-cpu"
GPU_POOL = "lsdc-gpu"
# A run tells so often that it is alive (Prefect's least); one that has not for three times as long
# is dead.
HEARTBEAT_SECONDS = 30
ZOMBIE_SECONDS = 3 * HEARTBEAT_SECONDS
