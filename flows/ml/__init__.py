"""What the flows are made of: plain Python that knows nothing of Prefect.

Packages that are slow to import (MLflow, XGBoost, pandera, pandas, matplotlib) are imported in the functions that use
them: at the head of a module they would cost every run two seconds before its first task, whether it trains or not.
"""
