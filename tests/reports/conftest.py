"""Let the report tests import their shared module; ``tests`` itself is not a package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
