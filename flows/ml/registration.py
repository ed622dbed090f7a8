"""A judged candidate into the registry, and the alias behind the ledger."""

import json
from dataclasses import asdict
from pathlib import Path
