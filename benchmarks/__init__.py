"""What `make bench` runs: each benchmark measures us beside something plain, and says whether both gave the same.

python -m benchmarks.NAME [--json]
"""
