"""What works across the other halls: a whole run without Airflow, re-scoring, the audit, maintenance, erasure, and answers for people."""
