"""`python -m goodvibe_bench`, for launchers such as `accelerate launch -m goodvibe_bench train ...`. Nothing else."""

from goodvibe_bench.cli import main

if __name__ == "__main__":
    main()
