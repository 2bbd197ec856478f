"""What a WSGI server imports: ``app``. The worker runs beside it (``tillwire worker``) and migrates at its start."""

import sys

from app.config import ConfigError, read_config
from app.factory import create_app, create_parts

try:
    app = create_app(create_parts(read_config()))
except ConfigError as error:
    sys.stderr.write(f"tillwire: {error}\n")
    raise SystemExit(2) from None
