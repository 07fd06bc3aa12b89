"""Operations across the other halls: local runs, re-scoring, the audit, maintenance, erasure, diagnosis and tracing."""
