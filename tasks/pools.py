"""The work pools and how their runs show that they live; light to import, for the command line."""

CPU_POOL = "lsdc-cpu"
GPU_POOL = "lsdc-gpu"
# A run tells so often that it is alive (Prefect's least).
HEARTBEAT_SECONDS = 30
# One that has not for so long is dead. Workers and runs ask a server that is away for four minutes:
# what lives and goes on then must have told so before this ends.
ZOMBIE_SECONDS = 300
